import type { ContainerClient } from '@azure/storage-blob';
import type { ConnectionConfig } from '../connection/config.ts';
import type { ConnectionKey, ConnectionStore } from '../connection/connectionStore.ts';
import type { SecretSources } from '../connection/secret.ts';
import type { MailboxSession } from '../mailbox/mailbox.ts';
import type { CheckedServer } from '../mailbox/serverCheck.ts';
import type { OrderQueue } from '../schedule/orderQueue.ts';
import type { JournalMode } from '../settings/settings.ts';
import type { Log } from '../telemetry/log.ts';
import type { UndeliveredStore } from '../undelivered/undeliveredStore.ts';

/** What the HTTP API works with; each part is opened, and its library loaded, when a call needs it. */
export interface HttpDependencies {
  readonly connections: () => Promise<ConnectionStore>;
  readonly orderQueue: () => Promise<OrderQueue>;
  readonly undelivered: () => Promise<UndeliveredStore>;
  readonly journal: { readonly container: () => Promise<ContainerClient>; readonly mode: JournalMode };
  /** Opens a session on a mailbox that shares no token with the polls. Rejects with a `Failure`. */
  readonly openSession: (config: ConnectionConfig) => Promise<MailboxSession>;
  /** Looks at a mail server from outside, as far as the app's rules let it. Never rejects. */
  readonly checkServer: (config: ConnectionConfig) => Promise<CheckedServer>;
  /** Proves that the queue can be reached, the app's own where there is no name; gives its name. */
  readonly openQueue: (queueName: string | undefined) => Promise<string>;
  /** Where connections may have secrets beside their own columns. */
  readonly secrets: SecretSources;
  readonly now: () => Date;
  readonly log: Log;
  /** Forgets what is remembered of a deleted connection's mails beside its undelivered ones. Never rejects. */
  readonly forget: (key: ConnectionKey) => Promise<void>;
  /** The longest that a test of a connection may take. */
  readonly testTimeoutMs: number;
}
