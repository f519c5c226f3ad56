import assert from 'node:assert/strict';
import { Failure, type FailureReason } from '../../shared/failure/failure.ts';
import type { MailboxSession, MailboxTimeouts, MeasuredMail } from '../../shared/mailbox/mailbox.ts';
import type { Fetched } from './memory.ts';

/** The password of every mailbox of a scripted server, by IMAP and by POP3. */
export const passwords = { imap: 'pass-7391-word', pop3: 'Tr0ub4dor&3 ' };

/** The failure that this ends in; its reason is checked, and that its sentence is one line without a secret. */
export async function failureOf(work: Promise<unknown>, reason?: FailureReason): Promise<Failure> {
  const error = await work.then(
    () => assert.fail('it should have failed'),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof Failure, `not a Failure: ${String(error)}`);
  const { message } = error;
  if (reason !== undefined) assert.equal(error.reason, reason, message);
  for (const secret of Object.values(passwords)) assert.ok(!message.includes(secret.trim()), message);
  assert.doesNotMatch(message, /[\r\n\0]/);
  return error;
}

export async function assertFails(
  work: Promise<unknown>,
  reason: FailureReason,
  sentence: RegExp,
): Promise<void> {
  assert.match((await failureOf(work, reason)).message, sentence);
}

export async function listAndMeasure(session: MailboxSession): Promise<readonly MeasuredMail[]> {
  return session.measure(await session.list(100_000));
}

/** Why the first mail that can't be had can't. */
export function sentenceIn(fetched: readonly Fetched[]): string {
  const unavailable = fetched.find((one) => one.kind === 'unavailable');
  return unavailable?.kind === 'unavailable' ? unavailable.sentence : '';
}

export function timeoutsOf(commandMs: number, connectMs = commandMs): MailboxTimeouts {
  return { connectMs, openMs: commandMs, commandMs };
}
