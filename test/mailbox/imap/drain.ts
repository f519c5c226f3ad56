import assert from 'node:assert/strict';
import { Failure, type FailureReason } from '../../../shared/failure/failure.ts';
import { openImapMailbox } from '../../../shared/mailbox/imap/imapMailbox.ts';
import type { MailboxOptions, MailboxSession, MeasuredMail } from '../../../shared/mailbox/mailbox.ts';
import { type Fetched, fetchAll } from '../memory.ts';
import { optionsFor, type Script, withServer } from './scriptedImapServer.ts';

export { fetchAll, fetched } from '../memory.ts';

export async function listAndMeasure(session: MailboxSession): Promise<readonly MeasuredMail[]> {
  return session.measure(await session.list(100_000));
}

/** The sources of those that came as mails. */
export function sourcesOf(fetched: readonly Fetched[]): Buffer[] {
  return fetched.flatMap((one) => (one.kind === 'mail' ? [one.source] : []));
}

/** Opens, runs and closes, whatever happens. */
export async function withSession<T>(
  options: MailboxOptions,
  use: (session: MailboxSession) => Promise<T>,
): Promise<T> {
  const session = await openImapMailbox(options);
  try {
    return await use(session);
  } finally {
    await session.close();
  }
}

/** Lists, measures and fetches, and settles nothing. */
export async function fetchFrom(options: MailboxOptions): Promise<Fetched[]> {
  return withSession(options, async (session) => fetchAll(session, await listAndMeasure(session)));
}

/** Each as `1 mail` or `2 gone`, by UID. */
export function kindsOf(fetched: readonly Fetched[]): string[] {
  return fetched.map(({ mail, kind }) => `${mail.id} ${kind}`).sort();
}

/** Why the first mail that can't be had can't. */
export function sentenceIn(fetched: readonly Fetched[]): string {
  const unavailable = fetched.find((one) => one.kind === 'unavailable');
  return unavailable?.kind === 'unavailable' ? unavailable.sentence : '';
}

/** A whole poll: list, measure, fetch, settle. */
export async function drain(options: MailboxOptions): Promise<Buffer[]> {
  return withSession(options, async (session) => {
    const mails = await listAndMeasure(session);
    const fetched = await fetchAll(session, mails);
    await session.settle(fetched.flatMap((one) => (one.kind === 'mail' ? [one.mail] : [])));
    return sourcesOf(fetched);
  });
}

/** The `Failure` that `work` rejects with; anything else is a defect. */
export async function failureOf(work: Promise<unknown>): Promise<Failure> {
  try {
    await work;
  } catch (error) {
    assert.ok(error instanceof Failure, `a Failure, not ${String(error)}`);
    assert.ok(!error.message.includes('pass-7391-word'), `no password in: ${error.message}`);
    assert.ok(!/[\r\n\0]/.test(error.message));
    return error;
  }
  throw new assert.AssertionError({ message: 'it did not fail' });
}

export async function assertFails(
  work: Promise<unknown>,
  reason: FailureReason,
  sentence: RegExp,
): Promise<void> {
  const failure = await failureOf(work);
  assert.equal(failure.reason, reason, failure.message);
  assert.match(failure.message, sentence);
}

export async function assertNotOpened(
  options: MailboxOptions,
  reason: FailureReason,
  sentence: RegExp,
): Promise<void> {
  await assertFails(openImapMailbox(options), reason, sentence);
}

/** With a server of this script no mailbox is opened; gives the commands that it got. */
export async function assertRefused(
  script: Script,
  reason: FailureReason,
  sentence: RegExp,
  changes: Partial<MailboxOptions> = {},
): Promise<string[]> {
  return await withServer(script, async ({ port, commands }) => {
    await assertNotOpened(optionsFor(port, changes), reason, sentence);
    return commands.map(({ name }) => name);
  });
}
