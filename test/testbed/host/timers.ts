import { Cron } from 'croner';

export interface Timer {
  /** Runs the function now, or skips when it still runs: a timer never overlaps itself. */
  fire(): Promise<'ran' | 'skipped'>;
  /** Fires at the schedule's times, the next one counted from the end of the last run. */
  start(): void;
  stop(): void;
}

export interface TimerOptions {
  /** NCRONTAB with six fields, UTC. */
  readonly schedule: string;
  readonly run: () => Promise<void>;
}

/** How much too early every other tick comes: the real host's timer fires up to 3 ms before its second. */
const earlyMs = 3;

/** A timer trigger. Throws when the schedule is not NCRONTAB. */
export function makeTimer(options: TimerOptions): Timer {
  // NCRONTAB wants both of day of month and day of week to match, cron either.
  const cron = new Cron(options.schedule, { timezone: 'UTC', domAndDow: true, paused: true, mode: '6-part' });
  let running = false;
  let waiting: NodeJS.Timeout | undefined;
  let stopped = true;
  let isNextEarly = true;

  const fire = async (): Promise<'ran' | 'skipped'> => {
    if (running) return 'skipped';
    running = true;
    try {
      await options.run();
      return 'ran';
    } finally {
      running = false;
    }
  };
  const wait = (from: Date | undefined) => {
    const next = cron.nextRun(from);
    if (stopped || next === null) return;
    const dueMs = next.getTime() - (isNextEarly ? earlyMs : 0);
    // A timer of Node holds 24 days at most; a year's schedule is waited for in pieces.
    const waitMs = Math.min(Math.max(dueMs - Date.now(), 0), 86_400_000);
    waiting = setTimeout(() => {
      if (Date.now() < dueMs) return wait(from);
      isNextEarly = !isNextEarly;
      // What became due while it ran is passed over. A failed run is logged where it ran; the timer goes on.
      const goOn = () => wait(new Date(Math.max(next.getTime(), Date.now())));
      fire().then(goOn, goOn);
    }, waitMs);
  };
  return {
    fire,
    start: () => {
      if (!stopped) return;
      stopped = false;
      wait(undefined);
    },
    stop: () => {
      stopped = true;
      clearTimeout(waiting);
    },
  };
}
