import { Failure } from '../failure/failure.ts';
import { defaultTimeouts, type MailboxOptions, type MailboxSession } from '../mailbox/mailbox.ts';
import type { Run } from '../poll/run.ts';
import type { Settings } from '../settings/settings.ts';

/** Opens mailbox sessions; the adapter of each protocol is loaded when its first mailbox is polled. */
export function createSessions(_settings: Settings): (run: Run) => Promise<MailboxSession> {
  return async ({ config }) => {
    if (config.auth.kind === 'oauth2') throw new Failure('token', 'OAuth2 is not there yet.');
    const options: MailboxOptions = {
      protocol: config.protocol,
      host: config.host,
      port: config.port,
      security: config.security,
      ...(config.caCertificate === undefined ? {} : { caCertificate: config.caCertificate }),
      username: config.username,
      credential: config.auth,
      folder: config.folder,
      deleteMails: config.deleteMails,
      timeouts: defaultTimeouts,
    };
    if (config.protocol === 'imap') {
      const { openImapMailbox } = await import('../mailbox/imap/imapMailbox.ts');
      return await openImapMailbox(options);
    }
    const { openPop3Mailbox } = await import('../mailbox/pop3/openPop3Mailbox.ts');
    return await openPop3Mailbox(options);
  };
}
