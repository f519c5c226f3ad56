import { readFile, writeFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type { Bed, Protocol } from '../bed.ts';
import { attachmentMail, type BenchMail, mixedMail } from '../benchMails.ts';
import { amountFigure, atMost, type Figure, type ScenarioResult } from '../figures.ts';
import { type StoredMail, withStock } from '../stock.ts';
import { withTemporaryFolder } from '../temporaryFolder.ts';
import { type Context, inMs, withBed } from './context.ts';

const mebibyte = 1_048_576;
/** Standard tier: every attachment of 1 MiB and more goes by claim check. */
const standardLimitBytes = 262_144;

/**
 * The most memory the app's process has above what it has idle, which is after a small poll and with the garbage
 * collected. A fresh process each time.
 */
export async function measureMemory(context: Context): Promise<ScenarioResult> {
  const { sizes } = context.options;
  const mailboxes: { name: string; count: number; make: (index: number) => BenchMail; bar: number }[] = [
    {
      name: `one attachment of ${sizes.hugeMiB} MiB`,
      count: 1,
      make: (index) => attachmentMail(index, sizes.hugeMiB * mebibyte),
      bar: 96,
    },
    {
      name: `${sizes.largeMails} mails with 5 MiB`,
      count: sizes.largeMails,
      make: (index) => attachmentMail(index, 5 * mebibyte),
      bar: 96,
    },
    {
      name: `${sizes.mails.toLocaleString('en')} mixed mails`,
      count: sizes.mails,
      make: mixedMail,
      bar: 120,
    },
  ];
  const figures: Figure[] = [];
  await withStock(10, mixedMail, async (warm) => {
    for (const { name, count, make, bar } of mailboxes) {
      const samples: Record<Protocol, number[]> = { IMAP: [], POP3: [] };
      await withStock(count, make, async (mails) => {
        for (let round = 1; round <= context.options.rounds; round += 1) {
          for (const protocol of ['IMAP', 'POP3'] as const) {
            const { overIdleMiB, idleMiB, ms } = await measureOnce(context, protocol, warm, mails);
            samples[protocol].push(overIdleMiB);
            const over = `${overIdleMiB.toFixed(0)} MiB over ${idleMiB.toFixed(0)} MiB`;
            context.say(`  round ${round}: ${name}, ${protocol}: ${over}, ${inMs(ms)}`);
          }
        }
      });
      for (const protocol of ['IMAP', 'POP3'] as const) {
        const series = { name, unit: 'MiB', samples: samples[protocol] } as const;
        figures.push(amountFigure(`${protocol}, memory over idle: ${name}`, series, atMost(bar)));
      }
    }
  });
  return { figures };
}

async function measureOnce(
  context: Context,
  protocol: Protocol,
  warm: readonly StoredMail[],
  mails: readonly StoredMail[],
): Promise<{ overIdleMiB: number; idleMiB: number; ms: number }> {
  // A gigabyte of payloads is not for the memory of a storage emulator.
  return withTemporaryFolder('bench-storage-', (storageFolder) => {
    const bedOptions = {
      name: 'memory',
      users: ['app'],
      messageLimitBytes: standardLimitBytes,
      storageFolder,
    };
    return withBed(context, bedOptions, async (bed) => {
      await bed.connect(protocol);
      await bed.fill('app', warm);
      await bed.poll();
      await bed.check(warm, protocol);
      await bed.fill('app', mails);
      const idleMiB = await settledMiB(bed);
      await resetPeak(bed.host.pid);
      const ms = await bed.poll();
      const { peakMiB } = await readMemory(bed.host.pid);
      await bed.check(mails, protocol);
      return { overIdleMiB: peakMiB - idleMiB, idleMiB, ms };
    });
  });
}

/** Has the process collect its garbage until it gives nothing more back, for at most five seconds. */
async function settledMiB({ host }: Bed): Promise<number> {
  let last = (await readMemory(host.pid)).nowMiB;
  for (let attempt = 0; attempt < 10; attempt += 1) {
    process.kill(host.pid, 'SIGUSR2');
    await delay(500);
    const { nowMiB } = await readMemory(host.pid);
    if (Math.abs(last - nowMiB) < 0.5) return nowMiB;
    last = nowMiB;
  }
  return last;
}

/** The kernel's high-water mark starts again from what is resident now. */
async function resetPeak(pid: number): Promise<void> {
  await writeFile(`/proc/${pid}/clear_refs`, '5');
}

async function readMemory(pid: number): Promise<{ nowMiB: number; peakMiB: number }> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  const field = (name: string): number => {
    const [, kibibytes] = new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status) ?? [];
    if (kibibytes === undefined)
      throw new Error(`This kernel does not tell ${name}: memory can't be measured.`);
    return Number(kibibytes) / 1024;
  };
  return { nowMiB: field('VmRSS'), peakMiB: field('VmHWM') };
}
