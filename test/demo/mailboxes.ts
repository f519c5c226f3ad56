import { randomBytes } from 'node:crypto';
import type { Dovecot } from '../testbed/dovecot.ts';
import { listMaildir, seedMaildir } from '../testbed/seed.ts';
import { faxMails, orderMails } from './demoMails.ts';
import { type Stage, startMailServer } from './stage.ts';
import { countText, type Terminal } from './terminal.ts';

/** A mailbox of the demo and the connection that polls it. */
export interface DemoMailbox {
  readonly connection: string;
  readonly user: string;
  readonly hostType: 'IMAP' | 'POP3';
  readonly maildir: string;
  readonly seeded: number;
}

export interface DemoMailboxes {
  readonly dovecot: Dovecot;
  /** Of both, made anew for each run. */
  readonly password: string;
  readonly mailboxes: readonly DemoMailbox[];
}

/** A mailbox that nobody polls yet: for a connection that the person adds. */
export const spareUser = 'spare';
export const customer = 'demo';
export const queueName = 'email-inbound';

const plans = [
  { connection: 'orders-imap', user: 'orders', hostType: 'IMAP', mails: orderMails },
  { connection: 'faxes-pop3', user: 'faxes', hostType: 'POP3', mails: faxMails },
] as const;

/** Starts the mail server and puts the demo's mails into its two mailboxes. */
export async function startMailboxes(terminal: Terminal): Promise<DemoMailboxes> {
  const password = randomBytes(9).toString('base64url');
  const dovecot = await startMailServer(
    terminal,
    [...plans.map(({ user }) => user), spareUser].map((user) => ({ user, password })),
  );
  const mailboxes = await Promise.all(
    plans.map(async ({ mails, ...plan }): Promise<DemoMailbox> => {
      const maildir = dovecot.maildir(plan.user);
      const sources = mails();
      await seedMaildir(maildir, sources);
      return { ...plan, maildir, seeded: sources.length };
    }),
  );
  return { dovecot, password, mailboxes };
}

/** What a connection to a mailbox of the demo is. */
export function columnsOf(
  { host, imapsPort, pop3sPort, caCertificate }: Dovecot,
  hostType: 'IMAP' | 'POP3',
  username: string,
  password: string,
) {
  const port = hostType === 'IMAP' ? imapsPort : pop3sPort;
  return { host, hostType, port, caCertificate, username, password };
}

/** Two rows in the table are all that the app needs to poll them. */
export async function addConnections(
  stage: Stage,
  { dovecot, password, mailboxes }: DemoMailboxes,
  terminal: Terminal,
): Promise<void> {
  for (const { connection, user, hostType, seeded } of mailboxes) {
    await stage.addConnection(customer, connection, columnsOf(dovecot, hostType, user, password));
    terminal.line(
      `Connection   ${customer}/${connection}: ${hostType} mailbox ${user}, ${countText(seeded, 'mail')} waiting`,
    );
  }
}

/** What became of the mails, from the server's own files. */
export async function describeMailbox({ hostType, user, maildir, seeded }: DemoMailbox): Promise<{
  readonly sentence: string;
  readonly settled: boolean;
}> {
  const mails = await listMaildir(maildir);
  const unread = mails.filter(({ seen }) => !seen).length;
  return hostType === 'IMAP'
    ? {
        sentence: `IMAP ${user}: ${mails.length} of ${countText(seeded, 'mail')} still there, ${mails.length - unread} marked read, ${unread} unread`,
        settled: unread === 0 && mails.length === seeded,
      }
    : {
        sentence: `POP3 ${user}: ${seeded - mails.length} of ${countText(seeded, 'mail')} deleted, ${mails.length} left`,
        settled: mails.length === 0,
      };
}
