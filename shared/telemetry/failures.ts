import { toFailure } from '../failure/failure.ts';
import type { Log } from './log.ts';

const logged = new WeakSet<object>();

/** Notes that this error stands in the log already, and gives it back, to be thrown on. */
export function asLogged(error: unknown): unknown {
  if (typeof error === 'object' && error !== null) logged.add(error);
  return error;
}

/**
 * Does `work`, and logs what it rejects with as an error, once, before it goes on to the caller: what a function
 * throws the host leaves out of its own telemetry as soon as the app sends telemetry itself. `doing` completes
 * "while …".
 */
export async function loggingFailures<T>(log: Log, doing: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const isKnown = typeof error === 'object' && error !== null && logged.has(error);
    if (!isKnown) {
      const { message, reason } = toFailure(error, doing);
      log.error(message, { reason });
    }
    throw asLogged(error);
  }
}
