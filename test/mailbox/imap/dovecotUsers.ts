import assert from 'node:assert/strict';
import type { ImapFlow } from 'imapflow';
import type { MailboxOptions } from '../../../shared/mailbox/mailbox.ts';
import { inMailProgram } from '../../servers/mailServers.ts';
import { type Dovecot, type DovecotOptions, startDovecot } from '../../testbed/dovecot.ts';
import { seedMaildir } from '../../testbed/seed.ts';
import { optionsFor } from './scriptedImapServer.ts';

export const password = 'pass-7391-word';
const names = Array.from({ length: 30 }, (_, index) => `user${index}`);

export function startServer(more: Partial<DovecotOptions> = {}): Promise<Dovecot> {
  return startDovecot({ users: names.map((user) => ({ user, password })), ...more });
}

/** A user of its own for each test, so that none sees another's mails. */
export async function newUser(mails: readonly Buffer[], on: Dovecot): Promise<string> {
  const user = names.pop();
  assert.ok(user !== undefined, 'more users are needed');
  await seedMaildir(on.maildir(user), mails);
  return user;
}

export function optionsOn(
  on: Dovecot,
  username: string,
  changes: Partial<MailboxOptions> = {},
): MailboxOptions {
  return optionsFor(on.imapPort, { username, ...changes });
}

/** As another mail program does what this app never does. */
export async function withMailProgram<T>(
  { port, username }: MailboxOptions,
  use: (client: ImapFlow) => Promise<T>,
): Promise<T> {
  return await inMailProgram({ server: { imapPort: port }, user: username, password }, use);
}

/** As a mail program does that keeps deleted mails until it is told to expunge. */
export async function flagDeleted(options: MailboxOptions, uids: string): Promise<void> {
  await withMailProgram(options, async (client) => {
    await client.mailboxOpen('INBOX');
    await client.messageFlagsAdd(uids, ['\\Deleted'], { uid: true });
  });
}
