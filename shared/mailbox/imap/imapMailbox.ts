import { X509Certificate } from 'node:crypto';
import { Failure } from '../../failure/failure.ts';
import type { MailboxOptions, MailboxSession, OpenMailbox } from '../mailbox.ts';
import { describeTimeout } from '../networkFailure.ts';
import { within } from './deadlines.ts';
import type { OpenFolder } from './folderConnection.ts';
import { ImapConnection, type LoginSecret } from './imapConnection.ts';
import { ImapSession } from './imapSession.ts';

/**
 * Opens a session on an IMAP mailbox (RFC 3501, RFC 9051) through imapflow: connects, logs in and selects
 * the folder, all within `connectMs`. After a refused OAuth2 login it connects once more with a fresh
 * token, within the same deadline. Rejects with a `Failure`.
 */
export const openImapMailbox: OpenMailbox = async (options): Promise<MailboxSession> => {
  refuseUnsafeOptions(options);
  const first = await connect(options);
  try {
    return new ImapSession(options, first, () => connect(options));
  } catch (error) {
    first.connection.logout();
    throw error;
  }
};

async function connect(options: MailboxOptions): Promise<OpenFolder> {
  const startedAt = performance.now();
  const leftMs = (): number => options.timeouts.connectMs - (performance.now() - startedAt);
  try {
    return await connectOnce(options, false, leftMs);
  } catch (error) {
    const refused = error instanceof Failure && error.reason === 'login';
    if (!refused || options.credential.kind !== 'oauth2') throw error;
    return connectOnce(options, true, leftMs);
  }
}

async function connectOnce(
  options: MailboxOptions,
  freshToken: boolean,
  leftMs: () => number,
): Promise<OpenFolder> {
  const connection = new ImapConnection(options, await loginSecret(options, freshToken, leftMs()));
  return { connection, mailbox: await connection.open(leftMs()) };
}

async function loginSecret(
  { credential, host, port, security, timeouts }: MailboxOptions,
  fresh: boolean,
  timeoutMs: number,
): Promise<LoginSecret> {
  if (credential.kind === 'password') return credential;
  const accessToken = await within(credential.getToken(fresh), timeoutMs, () =>
    describeTimeout({ protocol: 'IMAP', host, port, security, phase: 'login' }, timeouts.connectMs),
  );
  return { kind: 'oauth2', accessToken };
}

/** What would end a command line, or the credentials in it, never gets near a server. */
function refuseUnsafeOptions({ username, folder, credential, host, caCertificate }: MailboxOptions): void {
  const values: readonly (readonly [string, string])[] = [
    ['host', host],
    ['username', username],
    ['folder', folder],
    ...(credential.kind === 'password' ? ([['password', credential.password]] as const) : []),
  ];
  for (const [column, value] of values) {
    if (value === '') throw new Failure('config', `Column ${column} is empty. Set it.`);
    if (/[\r\n\0]/.test(value)) {
      throw new Failure(
        'config',
        `Column ${column} holds a line break or NUL, which IMAP does not allow. Remove it.`,
      );
    }
  }
  if (caCertificate !== undefined && !isPemCertificate(caCertificate)) {
    throw new Failure('config', 'Column caCertificate is no PEM certificate. Put the PEM of the CA there.');
  }
}

function isPemCertificate(pem: string): boolean {
  try {
    new X509Certificate(pem);
    return pem.includes('-----BEGIN CERTIFICATE-----');
  } catch {
    return false;
  }
}
