import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { QueueClient } from '@azure/storage-queue';
import { mainFile } from '../demo/bundle.ts';
import { type HostProcess, startHostProcess } from '../testbed/host/hostProcess.ts';
import { clearMaildir } from '../testbed/seed.ts';
import { openTable, pollOrder } from '../testbed/storage.ts';
import { type Parts, type PartsOptions, password, queueName, startParts } from './parts.ts';
import { linkIntoMaildir, type StoredMail } from './stock.ts';
import { checkArrived, checkMailbox } from './verify.ts';

export type Protocol = 'IMAP' | 'POP3';

export const benchFolder = join(import.meta.dirname, '..', '..', '.bench');

const appUser = 'app';

/** All parts and the app, whole and warm. */
export interface Bed {
  readonly parts: Parts;
  readonly host: HostProcess;
  /** Empties the user's mailbox, puts these mails in, and lets the server take notice of them. */
  fill(user: string, mails: readonly StoredMail[]): Promise<void>;
  /** Writes the app's connection, to the mailbox of the user `app`. */
  connect(protocol: Protocol, columns?: Readonly<Record<string, string>>): Promise<void>;
  /** Orders a poll of it, and works it off. Answers the milliseconds. */
  poll(): Promise<number>;
  /** Throws unless exactly this arrived and the mailbox is as it should be; then empties the queue. */
  check(mails: readonly StoredMail[], protocol: Protocol): Promise<void>;
  stop(): Promise<void>;
}

export interface BedOptions extends PartsOptions {
  readonly profile?: boolean;
  readonly main?: string | undefined;
  /** Settings of the app beside those that every bed has. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Names the profile. */
  readonly name: string;
  /** Opens a session on a mailbox and closes it again. */
  readonly open: (port: number, protocol: Protocol, user: string) => Promise<void>;
}

export async function startBed(options: BedOptions): Promise<Bed> {
  const parts = await startParts(options);
  const { azurite, broker, dovecot } = parts;
  const host = await startAppHost(parts, options);
  const connections = openTable(azurite.connectionString, 'EmailConnections');
  await connections.createTable();
  const orders = new QueueClient(azurite.connectionString, 'email-polls');
  await orders.createIfNotExists();

  return {
    parts,
    host,
    async fill(user, mails) {
      await clearMaildir(dovecot.maildir(user));
      await linkIntoMaildir(dovecot.maildir(user), mails);
      await options.open(dovecot.imapPort, 'IMAP', user);
      await options.open(dovecot.pop3Port, 'POP3', user);
    },
    async connect(protocol, columns) {
      await connections.upsertEntity({
        partitionKey: 'bench',
        rowKey: appUser,
        host: '127.0.0.1',
        hostType: protocol,
        port: protocol === 'IMAP' ? parts.imapPort : parts.pop3Port,
        useSsl: false,
        username: appUser,
        password,
        ...columns,
      });
    },
    async poll() {
      await orders.sendMessage(pollOrder('bench', appUser));
      const startedMs = performance.now();
      await host.drainQueue();
      return performance.now() - startedMs;
    },
    async check(mails, protocol) {
      const row = await connections.getEntity<Record<string, unknown>>('bench', appUser);
      const partCount = mails.reduce((sum, mail) => sum + mail.parts.length, 0);
      const state = `${row.lastStatus}, ${row.lastMailCount} mails, ${row.lastMessageCount} messages`;
      if (state !== `ok, ${mails.length} mails, ${partCount} messages`) {
        throw new Error(`The poll ended as ${state}: ${row.lastError}`);
      }
      await checkMailbox(dovecot.maildir(appUser), protocol, mails.length);
      const { duplicates } = await broker.state(queueName);
      if (duplicates > 0) throw new Error(`${duplicates} messages were sent twice.`);
      const messages = await broker.messages(queueName);
      await checkArrived(messages, mails, azurite.connectionString);
      await broker.clear(queueName);
    },
    async stop() {
      await host.stop();
      await parts.stop();
    },
  };
}

/** The app in a process of its own, with the parts as it sees them. */
export async function startAppHost(
  parts: Parts,
  options: Pick<BedOptions, 'profile' | 'name' | 'main' | 'settings'>,
): Promise<HostProcess> {
  const profiling = options.profile
    ? ['--cpu-prof', `--cpu-prof-dir=${benchFolder}`, `--cpu-prof-name=${options.name}-\x24{pid}.cpuprofile`]
    : [];
  await mkdir(benchFolder, { recursive: true });
  return startHostProcess({
    main: options.main ?? mainFile,
    storageConnectionString: parts.azurite.connectionString,
    env: {
      AzureWebJobsStorage: parts.storageConnectionString,
      ServiceBusConnection: parts.serviceBusConnectionString,
      EMAIL_QUEUE_NAME: queueName,
      POLL_TIME_BUDGET_SECONDS: '3600',
      POLL_SCHEDULE: '0 * * * * *',
      RETRY_SCHEDULE: '30 * * * * *',
      ...options.settings,
    },
    execArgv: [...profiling, '--expose-gc', '--import', new URL('./hostPreload.ts', import.meta.url).href],
  });
}
