import { setTimeout as delay } from 'node:timers/promises';
import { queueName } from '../app/testbed.ts';
import { between, type Random, seededRandom } from '../mail/build.ts';
import { seedMaildir } from '../testbed/seed.ts';
import { type PlanOptions, planFaults } from './faults.ts';
import { type Fleet, startFleet } from './fleet.ts';
import { inflict } from './inflict.ts';
import { type TortureMail, tortureMail } from './mails.ts';
import { mailboxes, type Rig, startRig } from './rig.ts';
import { type LetTimePass, timeLapse } from './timeLapse.ts';
import { findProblems } from './verdict.ts';

/** With `gentle` nothing is killed, and nothing may be sent twice. `durationMs`: how long things go wrong. */
export interface TormentOptions extends Omit<PlanOptions, 'hosts' | 'mailboxes'> {
  readonly seed: number;
  /** There at the start; more come all the time. */
  readonly mails: number;
  readonly report: (line: string) => void;
}

export interface TormentFigures {
  readonly kills: number;
  readonly interruptions: number;
  readonly mails: number;
  readonly parts: number;
  /** Messages that were sent again and dropped by duplicate detection. */
  readonly repeatsDropped: number;
  readonly storedAtMost: number;
  readonly durationMs: number;
}

export interface Torment {
  readonly figures: TormentFigures;
  /** Empty when every part of every mail is on the queue once, and all is settled and cleared away. */
  readonly problems: readonly string[];
}

const instances = 2;
const settleMs = 240_000;

/**
 * Lets mail come in while instances of the app are killed and everything that they work with is interrupted, by a
 * schedule that the seed decides; then ends all faults, lets the app come to rest and looks at what is there.
 */
export async function torment(options: TormentOptions): Promise<Torment> {
  const startedMs = performance.now();
  const rig = await startRig();
  try {
    const work = new Work(rig, options);
    await work.seed(options.mails);
    const fleet = await startFleet(rig, instances);
    await work.suffer(fleet);
    await rig.calm();
    await fleet.end();
    const problems = await work.settle(fleet);
    const { duplicates } = await rig.broker.state(queueName);
    const repeats =
      options.gentle === true && duplicates > 0 ? [`${duplicates} messages were sent twice.`] : [];
    return {
      problems: [
        ...repeats,
        ...fleet.crashes.map((output) => `The app ended by itself: ${output}`),
        ...problems,
      ],
      figures: {
        kills: fleet.kills,
        ...work.figures,
        repeatsDropped: duplicates,
        durationMs: performance.now() - startedMs,
      },
    };
  } finally {
    await rig.stop();
  }
}

class Work {
  readonly #rig: Rig;
  readonly #options: TormentOptions;
  readonly #mails = new Map<string, TortureMail[]>();
  readonly #mailRandom: Random;
  readonly #timeLapse: LetTimePass;
  #interruptions = 0;
  #storedAtMost = 0;

  constructor(rig: Rig, options: TormentOptions) {
    this.#rig = rig;
    this.#options = options;
    this.#timeLapse = timeLapse(rig);
    this.#mailRandom = seededRandom(options.seed + 1);
  }

  get figures() {
    const mails = [...this.#mails.values()].flat();
    return {
      interruptions: this.#interruptions,
      mails: mails.length,
      parts: mails.reduce((sum, { parts }) => sum + parts.length, 0),
      storedAtMost: this.#storedAtMost,
    };
  }

  /** Puts new mails into the mailboxes, about the same number into each. */
  async seed(count: number, into = mailboxes): Promise<void> {
    for (const [index, { name }] of into.entries()) {
      const share = Math.floor(count / into.length) + (index < count % into.length ? 1 : 0);
      const known = this.#mails.get(name) ?? [];
      const more = Array.from({ length: share }, (_, number) =>
        tortureMail(this.#mailRandom, name, known.length + number),
      );
      this.#mails.set(name, [...known, ...more]);
      await seedMaildir(
        this.#rig.dovecot.maildir(name),
        more.map(({ source }) => source),
      );
    }
  }

  /** The time in which things go wrong. */
  async suffer(fleet: Fleet): Promise<void> {
    const { durationMs, seed, report } = this.#options;
    const random = seededRandom(seed);
    const plan = planFaults(random, { ...this.#options, hosts: instances, mailboxes: mailboxes.length });
    const startedMs = performance.now();
    const isOver = () => performance.now() - startedMs >= durationMs;
    const under: Promise<unknown>[] = [];

    const goWrong = async (): Promise<void> => {
      for (const { atMs, fault } of plan) {
        await delay(Math.max(0, atMs - (performance.now() - startedMs)));
        if (fault.kind === 'kill the app') under.push(fleet.kill(fault.host));
        else {
          this.#interruptions += 1;
          under.push(inflict(fault, this.#rig));
        }
      }
    };
    const again = async (everyMs: number, act: () => Promise<unknown>): Promise<void> => {
      while (!isOver()) {
        // Storage may be stopped, or the instance killed: the next time is soon.
        await act().catch(() => undefined);
        await delay(everyMs);
      }
    };
    const orders = seededRandom(seed + 2);
    const any = () => mailboxes.slice(between(orders, 0, mailboxes.length - 1)).slice(0, 1);
    await Promise.all([
      goWrong(),
      again(400, async () => {
        for (const mailbox of any()) await this.#rig.order(mailbox);
      }),
      again(1_200, () => this.seed(between(this.#mailRandom, 4, 16), any())),
      again(4_000, () => fleet.retry(between(orders, 0, instances - 1))),
      again(1_500, () => this.#letTimePass(fleet)),
      again(10_000, async () => report(await this.#progress(fleet, startedMs))),
    ]);
    // What lasts has its end of its own; a stopped part must be running again before anyone asks it anything.
    await Promise.all(under);
  }

  /** Everything works now: polls, retries and lets time pass until nothing is left to do, or it takes too long. */
  async settle(before: Fleet): Promise<readonly string[]> {
    const startedMs = performance.now();
    this.#options.report('The faults have ended; the app comes to rest.');
    const fleet = await startFleet(this.#rig, 1);
    try {
      for (;;) {
        // What killed runs have left goes with the next run on the mailbox, with mail or without.
        await this.seed(mailboxes.length);
        await this.#timeLapse(before, 'no run is at work');
        for (const mailbox of mailboxes) await this.#rig.order(mailbox);
        await fleet.drain(0);
        await fleet.retry(0);
        const problems = await findProblems(this.#rig, this.#mails);
        if (problems.length === 0 || performance.now() - startedMs > settleMs) return problems;
        this.#options.report(`${problems.length} things are still to be done, as: ${problems[0]}`);
      }
    } finally {
      await fleet.end();
    }
  }

  async #letTimePass(fleet: Fleet): Promise<void> {
    const { undelivered } = await this.#timeLapse(fleet, 'runs are at work');
    this.#storedAtMost = Math.max(this.#storedAtMost, undelivered);
  }

  async #progress(fleet: Fleet, startedMs: number): Promise<string> {
    const { active, duplicates } = await this.#rig.broker.state(queueName);
    const { mails, parts, interruptions } = this.figures;
    const seconds = Math.round((performance.now() - startedMs) / 1_000);
    return `${seconds} s: ${fleet.kills} kills, ${interruptions} interruptions; ${mails} mails of ${parts} parts came, ${active} are on the queue, ${duplicates} repeats were dropped.`;
  }
}
