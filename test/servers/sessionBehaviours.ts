import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { openImapMailbox } from '../../shared/mailbox/imap/imapMailbox.ts';
import type { MailboxOptions, OpenMailbox } from '../../shared/mailbox/mailbox.ts';
import { defaultTimeouts } from '../../shared/mailbox/mailbox.ts';
import { openPop3Mailbox } from '../../shared/mailbox/pop3/pop3Mailbox.ts';
import { optionsFor as imapOptions } from '../mailbox/imap/scriptedImapServer.ts';
import type { Fetched } from '../mailbox/memory.ts';
import { failureOf } from '../mailbox/outcomes.ts';
import { drain as drainSession, pop3Options } from '../mailbox/pop3/sessions.ts';
import { variedMails } from '../mailbox/pop3/variedMails.ts';

/** A mail server, or what stands in front of one, as sessions see it. */
export interface SessionServer {
  readonly imapPort?: number;
  readonly imapsPort?: number;
  readonly pop3Port?: number;
  readonly pop3sPort?: number;
  readonly caCertificate?: string;
  readonly username: (user: string) => string;
  /** Puts unread mails into a new user's mailbox. */
  seed(user: string, mails: readonly Buffer[]): Promise<void> | void;
  stop(): Promise<void>;
}

type Protocol = MailboxOptions['protocol'];

const password = 'Tr0ub4dor&3';
export const sessionUsers = {
  users: Array.from({ length: 12 }, (_, index) => `user${index}`),
  password,
} as const;

/** Mails as any server takes them: lines in CRLF, no NUL, none that an mbox would take for the next one. */
const mails = variedMails(60)
  .map((mail) =>
    mail
      .toString('latin1')
      .replace(/\0/g, '0')
      .replace(/\r?\n|\r/g, '\r\n')
      .replace(/^From /gm, 'from '),
  )
  .map((text, index) =>
    Buffer.from(`Subject: mail ${index}\r\nMessage-ID: <${index}@x>\r\n\r\n${text}\r\n`, 'latin1'),
  );

/** Behind the header, to which mbox servers add fields; some count the empty line between two mails to the first. */
const body = (source: Buffer) =>
  source.toString('latin1', source.indexOf('\r\n\r\n')).replace(/(\r\n)+$/, '');

/** What a session does with a mail server of any make: all that lies below the queue. */
export function testSessions(
  name: string,
  start: (users: typeof sessionUsers) => Promise<SessionServer>,
): void {
  describe(`sessions, ${name}`, () => {
    let server: SessionServer;
    let used = 0;
    before(async () => {
      server = await start(sessionUsers);
    });
    after(() => server?.stop());

    const newUser = () => sessionUsers.users[used++] ?? 'none';
    const portOf = (protocol: Protocol) => (protocol === 'imap' ? server.imapPort : server.pop3Port);
    const optionsFor = (protocol: Protocol, user: string, changes: Partial<MailboxOptions> = {}) =>
      (protocol === 'imap' ? imapOptions : pop3Options)(portOf(protocol) ?? 0, {
        username: server.username(user),
        credential: { kind: 'password', password },
        timeouts: defaultTimeouts,
        ...changes,
      });
    const drain = async (options: MailboxOptions): Promise<readonly Fetched[]> => {
      const open: OpenMailbox = options.protocol === 'imap' ? openImapMailbox : openPop3Mailbox;
      const { answers, confirmed } = await drainSession(await open(options));
      assert.equal(confirmed, true);
      return answers;
    };
    const bodiesOf = (fetched: readonly Fetched[]) =>
      fetched.map((one) => (one.kind === 'mail' ? body(one.source) : one.kind)).toSorted();

    for (const protocol of ['imap', 'pop3'] as const) {
      const ways = [
        ['whole', {}],
        ['streamed', { wholeBytes: 0 }],
        ...(protocol === 'imap' ? [['whole, deleted', { deleteMails: true }] as const] : []),
      ] as const;
      for (const [way, changes] of ways) {
        it(`${protocol.toUpperCase()}: ${mails.length} varied mails come as they are, once, ${way}`, async (context) => {
          if (portOf(protocol) === undefined) return context.skip();
          const user = newUser();
          await server.seed(user, mails);
          const options = optionsFor(protocol, user, changes);
          assert.deepEqual(bodiesOf(await drain(options)), mails.map(body).toSorted());
          assert.deepEqual(await drain(options), []);
        });
      }

      it(`${protocol.toUpperCase()}: a wrong password gets its sentence`, async (context) => {
        if (portOf(protocol) === undefined) return context.skip();
        const credential = { kind: 'password', password: 'wrong horse' } as const;
        const failure = await failureOf(drain(optionsFor(protocol, 'user0', { credential })), 'login');
        assert.match(
          failure.message,
          /^(IMAP|POP3) login to .* was refused: .*Check username and password\.$/,
        );
      });

      it(`${protocol.toUpperCase()}: TLS from the first byte, and nothing else is trusted`, async (context) => {
        const port = protocol === 'imap' ? server.imapsPort : server.pop3sPort;
        const { caCertificate } = server;
        if (port === undefined || caCertificate === undefined) return context.skip();
        const user = newUser();
        await server.seed(user, mails.slice(0, 2));
        const secure = { port, security: 'tls' } as const;
        const failure = await failureOf(drain(optionsFor(protocol, user, secure)), 'tls');
        assert.match(failure.message, /certificate.*caCertificate/);
        assert.equal((await drain(optionsFor(protocol, user, { ...secure, caCertificate }))).length, 2);
      });
    }
  });
}
