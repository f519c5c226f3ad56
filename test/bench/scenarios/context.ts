import type { Bed } from '../bed.ts';
import { type BedOptions, benchFolder, type Protocol, startBed } from '../bed.ts';
import type { Contenders } from '../contenders.ts';
import type { BenchOptions } from '../options.ts';
import { password } from '../parts.ts';

/** What every scenario gets. */
export interface Context {
  readonly options: BenchOptions;
  readonly contenders: Contenders;
  /** One line on what is being done. */
  readonly say: (line: string) => void;
}

export { benchFolder };

/** All parts and the app, for the time of `use`. */
export async function withBed<T>(
  { options, contenders }: Context,
  bedOptions: Omit<BedOptions, 'profile' | 'main' | 'handshake' | 'open'>,
  use: (bed: Bed) => Promise<T>,
): Promise<T> {
  const bed = await startBed({
    ...bedOptions,
    profile: options.profile,
    main: options.main,
    handshake: options.handshake,
    open: async (port: number, protocol: Protocol, user: string) => {
      const login = { port, user, password };
      await contenders.perform({ do: protocol === 'IMAP' ? 'openImap' : 'openPop3', login });
    },
  });
  try {
    return await use(bed);
  } finally {
    await bed.stop();
  }
}

/** `1,234 ms`. */
export function inMs(ms: number): string {
  return `${Math.round(ms).toLocaleString('en')} ms`;
}
