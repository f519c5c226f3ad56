import type { HostProcess } from '../testbed/host/hostProcess.ts';
import type { Rig } from './rig.ts';

/** Instances of the app, each in a process of its own, that are killed and started anew. */
export interface Fleet {
  readonly kills: number;
  /** What instances wrote that ended by themselves; there should be none. */
  readonly crashes: readonly string[];
  /** Whether the id was made by an instance that was killed. */
  isOfDead(id: unknown): boolean;
  /** SIGKILL, and another one in its place. */
  kill(slot: number): Promise<void>;
  /** One tick of the catastrophic retry, on this instance. */
  retry(slot: number): Promise<void>;
  /** Waits until this instance has worked off all that is ordered. */
  drain(slot: number): Promise<void>;
  /** Kills all. */
  end(): Promise<void>;
}

interface Instance {
  readonly mark: string;
  readonly starting: Promise<HostProcess>;
  isKilled: boolean;
}

export async function startFleet(rig: Rig, size: number): Promise<Fleet> {
  const dead = new Set<string>();
  const crashes: string[] = [];
  let started = 0;
  let kills = 0;

  const start = (): Instance => {
    started += 1;
    const mark = started.toString(16).padStart(8, '0');
    const instance: Instance = {
      mark,
      isKilled: false,
      starting: rig.startHost(mark).then(async (host) => {
        void host.ended.then(() => {
          if (!instance.isKilled) crashes.push(host.output().slice(-2_000));
          dead.add(mark);
        });
        await host.startQueueListener();
        return host;
      }),
    };
    // Whoever needs it awaits it; one that is killed while it starts is no failure.
    instance.starting.catch(() => undefined);
    return instance;
  };
  const slots = Array.from({ length: size }, start);
  await Promise.all(slots.map(({ starting }) => starting));

  const end = async (instance: Instance): Promise<void> => {
    const host = await instance.starting;
    instance.isKilled = true;
    await host.kill();
    dead.add(instance.mark);
  };
  return {
    get kills() {
      return kills;
    },
    crashes,
    isOfDead: (id) => typeof id === 'string' && dead.has(id.slice(0, 8)),
    async kill(slot) {
      const instance = slots[slot];
      if (instance === undefined || instance.isKilled) return;
      await end(instance);
      kills += 1;
      slots[slot] = start();
    },
    async retry(slot) {
      const host = await slots[slot]?.starting;
      await host?.fireTimer('retryDeliveries');
    },
    async drain(slot) {
      const host = await slots[slot]?.starting;
      await host?.drainQueue();
    },
    async end() {
      await Promise.all(slots.map(end));
    },
  };
}
