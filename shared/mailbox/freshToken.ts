import { Failure, toFailure } from '../failure/failure.ts';
import { unlessAborted, withDeadline } from '../wait/deadline.ts';
import type { MailboxOptions } from './mailbox.ts';
import { describeAbort, describeTimeout } from './networkFailure.ts';

/**
 * Logs in with the token at hand, to be had within `leftMs`, and where that is refused once more with a fresh one,
 * unless it is the same. Rejects as `logIn` does, or with a `Failure`.
 */
export async function logInWithFreshToken<T>(
  protocol: 'IMAP' | 'POP3',
  { host, port, security, timeouts, signal }: MailboxOptions,
  getToken: (fresh: boolean) => Promise<string>,
  leftMs: () => number,
  logIn: (token: string) => Promise<T>,
): Promise<T> {
  const contact = { protocol, host, port, security, phase: 'login' } as const;
  const late = (): Failure => {
    const { message } = describeTimeout(contact, timeouts.connectMs);
    return new Failure('timeout', `No OAuth2 token came in time. ${message}`);
  };
  const tokenInTime = (fresh: boolean): Promise<string> => {
    const token = unlessAborted(getToken(fresh), signal, () => describeAbort(signal, contact));
    return withDeadline(token, leftMs(), late).catch((error: unknown) => {
      throw toFailure(error, 'getting an OAuth2 token');
    });
  };
  const token = await tokenInTime(false);
  try {
    return await logIn(token);
  } catch (error) {
    if (!(error instanceof Failure) || error.reason !== 'login') throw error;
    const fresh = await tokenInTime(true);
    if (fresh === token) throw error;
    return await logIn(fresh);
  }
}
