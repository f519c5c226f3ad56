import assert from 'node:assert/strict';
import { Failure, type FailureReason } from '../../../shared/failure/failure.ts';
import type { MailboxOptions, MailboxSession, MeasuredMail } from '../../../shared/mailbox/mailbox.ts';
import { openPop3Mailbox } from '../../../shared/mailbox/pop3/pop3Mailbox.ts';
import { type Fetched, fetched } from '../memory.ts';

export { fetched } from '../memory.ts';

export const password = 'Tr0ub4dor&3 ';

/** Options for a plain POP3 server on 127.0.0.1 with deadlines that a good one never meets. */
export function pop3Options(port: number, changes: Partial<MailboxOptions> = {}): MailboxOptions {
  return {
    protocol: 'pop3',
    host: '127.0.0.1',
    port,
    security: 'plain',
    username: 'x',
    credential: { kind: 'password', password },
    folder: 'INBOX',
    deleteMails: true,
    timeouts: { connectMs: 10_000, openMs: 10_000, commandMs: 10_000 },
    wholeBytes: 16 * 1024 * 1024,
    ...changes,
  };
}

/** What a whole session brought. */
export interface Drained {
  readonly answers: readonly Fetched[];
  readonly confirmed: boolean;
}

/** Lists, fetches, settles what came, and ends the session: as a poll does. */
export async function drain(session: MailboxSession): Promise<Drained> {
  const answers: Fetched[] = [];
  try {
    for await (const answer of fetched(session, await measured(session))) answers.push(answer);
    await session.settle(answers.filter(({ kind }) => kind === 'mail').map(({ mail }) => mail));
  } catch (error) {
    await session.close();
    throw error;
  }
  return { answers, confirmed: await session.close() };
}

export async function openAndDrain(options: MailboxOptions): Promise<Drained> {
  return drain(await openPop3Mailbox(options));
}

export async function measured(session: MailboxSession, limit = 10_000): Promise<readonly MeasuredMail[]> {
  return session.measure(await session.list(limit));
}

export function sources(answers: readonly Fetched[]): readonly Buffer[] {
  return answers.map((answer) => {
    assert.equal(answer.kind, 'mail');
    return answer.kind === 'mail' ? answer.source : Buffer.alloc(0);
  });
}

/** The failure that this ends in; its reason is checked, and that no secret stands in its sentence. */
export async function failureOf(work: Promise<unknown>, reason?: FailureReason): Promise<Failure> {
  const error = await work.then(
    () => assert.fail('it should have failed'),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof Failure, `not a Failure: ${String(error)}`);
  if (reason !== undefined) assert.equal(error.reason, reason, error.message);
  assert.ok(!error.message.includes(password.trim()), error.message);
  return error;
}
