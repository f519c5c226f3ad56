import assert from 'node:assert/strict';
import { createMailBuffers } from '../../../shared/mailbox/mailBuffers.ts';
import type { MailboxOptions, MailboxSession, OpenMailbox } from '../../../shared/mailbox/mailbox.ts';
import { openPop3Mailbox } from '../../../shared/mailbox/pop3/pop3Mailbox.ts';
import { CountedMemory, type Fetched, fetchAll } from '../memory.ts';
import { listAndMeasure, passwords, timeoutsOf } from '../outcomes.ts';
import { type Script, type ScriptedServer, startScriptedServer } from './scriptedServer.ts';

export { listAndMeasure as measured } from '../outcomes.ts';

export const password = passwords.pop3;

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
    timeouts: timeoutsOf(10_000),
    wholeBytes: 16 * 1024 * 1024,
    streamBytes: 12 * 1024 * 1024,
    buffers: createMailBuffers(16 * 1024 * 1024),
    ...changes,
  };
}

export const threeMails: readonly Buffer[] = ['one\r\n', '.two\r\n..\r\n', 'three \r\n . \r\n'].map((text) =>
  Buffer.from(text),
);

/** A server with three mails, unless the script says otherwise, for as long as `use` takes. */
export async function withServer<T>(script: Script, use: (server: ScriptedServer) => Promise<T>): Promise<T> {
  const server = await startScriptedServer({ mails: threeMails, ...script });
  try {
    return await use(server);
  } finally {
    await server.stop();
  }
}

/** The same with a session on it, which is closed at the end. */
export async function withSession<T>(
  { options = {}, ...script }: Script & { readonly options?: Partial<MailboxOptions> },
  use: (session: MailboxSession, server: ScriptedServer) => Promise<T>,
): Promise<T> {
  return await withServer(script, async (server) => {
    const session = await openPop3Mailbox(pop3Options(server.port, options));
    const result = await use(session, server);
    await session.close();
    return result;
  });
}

/** Lists, fetches, settles what came, and ends the session: as a poll does. No memory stays held. */
export async function drain(session: MailboxSession) {
  const memory = new CountedMemory();
  try {
    const answers = await fetchAll(session, await listAndMeasure(session), memory);
    await session.settle(answers.filter(({ kind }) => kind === 'mail').map(({ mail }) => mail));
    return { answers, confirmed: await session.close() };
  } finally {
    await session.close();
    assert.equal(memory.heldBytes, 0);
  }
}

export async function openAndDrain(options: MailboxOptions, open: OpenMailbox = openPop3Mailbox) {
  return drain(await open(options));
}

/** A whole session against a server of its own. */
export async function drained(script: Script) {
  return await withServer(script, async (server) => ({
    ...(await openAndDrain(pop3Options(server.port))),
    server,
  }));
}

export function sources(answers: readonly Fetched[]): readonly Buffer[] {
  return answers.map((answer) => (answer.kind === 'mail' ? answer.source : assert.fail(answer.kind)));
}

export function kinds(answers: readonly Fetched[]): readonly string[] {
  return answers.map(({ kind }) => kind);
}
