import { refuseUnsafe } from '../connecting.ts';
import { logInWithFreshToken } from '../freshToken.ts';
import type { MailboxOptions, MailboxSession, OpenMailbox } from '../mailbox.ts';
import type { LoginSecret } from './clientOptions.ts';
import type { OpenFolder } from './folder.ts';
import { ImapConnection } from './imapConnection.ts';
import { ImapSession } from './imapSession.ts';

/**
 * Opens a session on an IMAP mailbox (RFC 3501, RFC 9051): connects, logs in and selects the folder, within
 * `connectMs`. A refused OAuth2 token is fetched anew once, within the same deadline. Rejects with a `Failure`.
 */
export const openImapMailbox: OpenMailbox = async (options): Promise<MailboxSession> => {
  refuseUnsafe(options);
  const first = await connect(options);
  try {
    return new ImapSession(options, first, () => connect(options));
  } catch (error) {
    first.connection.logout();
    throw error;
  }
};

async function connect(options: MailboxOptions): Promise<OpenFolder> {
  const { credential, timeouts } = options;
  const endsAt = performance.now() + timeouts.connectMs;
  const leftMs = () => endsAt - performance.now();
  const connectWith = async (secret: LoginSecret): Promise<OpenFolder> => {
    const connection = new ImapConnection(options, secret);
    return { connection, mailbox: await connection.open(leftMs()) };
  };
  if (credential.kind === 'password') return await connectWith({ pass: credential.password });
  return await logInWithFreshToken('IMAP', options, credential.getToken, leftMs, (accessToken) =>
    connectWith({ accessToken }),
  );
}
