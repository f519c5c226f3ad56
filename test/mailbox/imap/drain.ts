import type { FailureReason } from '../../../shared/failure/failure.ts';
import { openImapMailbox } from '../../../shared/mailbox/imap/imapMailbox.ts';
import type { MailboxOptions, MailboxSession } from '../../../shared/mailbox/mailbox.ts';
import { type Fetched, fetchAll } from '../memory.ts';
import { assertFails, listAndMeasure } from '../outcomes.ts';
import { optionsFor, type Script, type ScriptedImapServer, withServer } from './scriptedImapServer.ts';

export { fetchAll, fetched } from '../memory.ts';
export { assertFails, failureOf, listAndMeasure, sentenceIn } from '../outcomes.ts';

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

type SessionScript = Script & { readonly options?: Partial<MailboxOptions> };

/** The same on a server of this script. */
export async function onServer<T>(
  { options, ...script }: SessionScript,
  use: (session: MailboxSession, server: ScriptedImapServer) => Promise<T>,
): Promise<T> {
  return await withServer(script, (server) =>
    withSession(optionsFor(server.port, options), (session) => use(session, server)),
  );
}

/** Lists, measures and fetches, and settles nothing. */
export async function fetchFrom(options: MailboxOptions): Promise<Fetched[]> {
  return withSession(options, async (session) => fetchAll(session, await listAndMeasure(session)));
}

export async function fetchedOf({ options, ...script }: SessionScript): Promise<Fetched[]> {
  return await withServer(script, ({ port }) => fetchFrom(optionsFor(port, options)));
}

/** Each as `1 mail` or `2 gone`, by UID. */
export function kindsOf(fetched: readonly Fetched[]): string[] {
  return fetched.map(({ mail, kind }) => `${mail.id} ${kind}`).sort();
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

export async function drained({ options, ...script }: SessionScript): Promise<Buffer[]> {
  return await withServer(script, ({ port }) => drain(optionsFor(port, options)));
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
