import { ImapFlow } from 'imapflow';
import { startCyrus } from '../testbed/cyrus.ts';
import { type DovecotOptions, startDovecot } from '../testbed/dovecot.ts';

/** A real mail server of any make, with its mailboxes as a mail program sees them. */
export interface MailServer {
  readonly name: string;
  readonly imapPort: number;
  readonly imapsPort: number;
  readonly pop3Port: number;
  readonly pop3sPort: number;
  readonly caCertificate: string;
  /** Names with odd characters that its folders may have. */
  readonly oddFolders: readonly string[];
  stop(): Promise<void>;
}

export interface MailServerUsers {
  readonly users: readonly string[];
  readonly password: string;
}

const oddFolders = ['Łódź & Söhne', '日本語', ' outer ', '&-', "it's", 'a,b+c'];

export type StartMailServer = (users: MailServerUsers) => Promise<MailServer>;

export const startMailServer = {
  Dovecot: async ({ users, password }, more: Partial<DovecotOptions> = {}) => ({
    ...(await startDovecot({ users: users.map((user) => ({ user, password })), ...more })),
    name: 'Dovecot',
    oddFolders: [...oddFolders, 'with "quotes" and (brackets)', 'per%cent', 'back\\slash'],
  }),
  Cyrus: async ({ users, password }) => ({
    ...(await startCyrus(users.map((user) => ({ user, password })))),
    name: 'Cyrus',
    oddFolders: [...oddFolders, 'deep/deeper'],
  }),
} satisfies Readonly<Record<string, StartMailServer>>;

export interface Mailbox {
  readonly server: Pick<MailServer, 'imapPort'>;
  readonly user: string;
  readonly password: string;
}

/** Does something in a mailbox as a person's mail program would. */
export async function inMailProgram<T>(mailbox: Mailbox, act: (program: ImapFlow) => Promise<T>): Promise<T> {
  const program = new ImapFlow({
    host: '127.0.0.1',
    port: mailbox.server.imapPort,
    secure: false,
    doSTARTTLS: false,
    auth: { user: mailbox.user, pass: mailbox.password },
    logger: false,
  });
  program.on('error', () => undefined);
  await program.connect();
  try {
    return await act(program);
  } finally {
    await program.logout();
  }
}

/** Puts mails into a folder as unread, in this order; makes the folder when it is missing. */
export async function seedFolder(
  mailbox: Mailbox,
  mails: readonly Buffer[],
  folder = 'INBOX',
): Promise<void> {
  await inMailProgram(mailbox, async (program) => {
    if (folder !== 'INBOX') await program.mailboxCreate(folder);
    for (const mail of mails) {
      if ((await program.append(folder, withCrlf(mail))) === false) throw new Error('APPEND was refused.');
    }
  });
}

/** How many mails are in the folder, and how many of them are read. */
export async function countMails(
  mailbox: Mailbox,
  folder = 'INBOX',
): Promise<{ count: number; seen: number }> {
  return inMailProgram(mailbox, async (program) => {
    const status = await program.status(folder, { messages: true, unseen: true });
    if (status === false) throw new Error(`There is no folder ${folder}.`);
    const { messages = 0, unseen = 0 } = status;
    return { count: messages, seen: messages - unseen };
  });
}

/** As a server takes mail: with LF as line end only after CR. */
export function withCrlf(mail: Buffer): Buffer {
  return Buffer.from(mail.toString('latin1').replace(/\r?\n/g, '\r\n'), 'latin1');
}
