import type { ConnectionConfig, OAuth2Grant } from '../connection/config.ts';
import { writeRefreshToken } from '../connection/refreshToken.ts';
import { openWithSecrets } from '../connection/withSecrets.ts';
import { createHeaderFilter } from '../mail/headerFilter.ts';
import { allowSlowAddresses } from '../mailbox/connecting.ts';
import { resolveHost } from '../mailbox/hostGuard.ts';
import type { MailBuffers } from '../mailbox/mailBuffers.ts';
import {
  defaultTimeouts,
  type MailboxOptions,
  type MailboxSession,
  type MailCredential,
} from '../mailbox/mailbox.ts';
import type { Settings } from '../settings/settings.ts';
import type { Log } from '../telemetry/log.ts';
import { createTokenCache } from '../token/tokenCache.ts';
import { lazily } from '../wait/lazy.ts';
import { createVaultReader, hostRules } from './secrets.ts';
import type { Storage } from './storage.ts';

/** Opens a session on a connection's mailbox. Rejects with a `Failure`. */
export type OpenSession = (
  config: ConnectionConfig,
  log: Log,
  run?: {
    /** Ends whatever is under way. */
    readonly signal?: AbortSignal;
    /** How far earlier sessions have looked with the filter. */
    readonly lookedAt?: string | undefined;
  },
) => Promise<MailboxSession>;

/** A larger mail is streamed. */
const wholeBytes = 2 * 1_048_576;
/** What a streamed mail holds of its bytes as they come; its parts take memory of their own. */
const streamBytes = 524_288;

/** Opens mailbox sessions; what a protocol or a kind of login needs is loaded when it is first used. */
export function createSessions(settings: Settings, storage: Storage, buffers?: MailBuffers): OpenSession {
  allowSlowAddresses();
  const tokens = createTokenCache();
  const vaultReader = createVaultReader(settings, storage.getCredential);
  const rules = hostRules(settings);
  const pop3 = lazily(async () => (await import('../mailbox/pop3/pop3Mailbox.ts')).createPop3Opener());

  const oauth2 = async (config: ConnectionConfig, grant: OAuth2Grant, log: Log): Promise<MailCredential> => {
    const { createTokenSource } = await import('../token/tokenSource.ts');
    const { customer, connection } = config;
    return createTokenSource(grant, {
      ...{ customer, connection, log, cache: tokens, endpointRules: rules },
      getCredential: storage.getCredential,
      saveRefreshToken: async (token, replaced) =>
        await writeRefreshToken(await storage.connections(), { customer, connection }, token, replaced),
    });
  };

  return async (config, log, { signal, lookedAt } = {}) => {
    const guarded = await resolveHost(config.host, rules, defaultTimeouts.connectMs);
    return await openWithSecrets(config, vaultReader(log), async (auth) => {
      const options: MailboxOptions = {
        ...config,
        ...guarded,
        credential: auth.kind === 'password' ? auth : await oauth2(config, auth.grant, log),
        timeouts: defaultTimeouts,
        ...(config.filters === undefined ? {} : { headerFilter: createHeaderFilter(config.filters) }),
        wholeBytes,
        streamBytes,
        ...(signal === undefined ? {} : { signal }),
        ...(lookedAt === undefined ? {} : { lookedAt }),
        ...(buffers === undefined ? {} : { buffers }),
      };
      if (config.protocol === 'imap') {
        const { openImapMailbox } = await import('../mailbox/imap/imapMailbox.ts');
        return await openImapMailbox(options);
      }
      return await (await pop3())(options);
    });
  };
}
