import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { listenOn, onExit } from '../testbed/child.ts';
import type { Host } from '../testbed/host/host.ts';
import type { LogEntry } from '../testbed/host/invoke.ts';
import { seedMaildir } from '../testbed/seed.ts';
import { listenForKeys } from './keys.ts';
import {
  addConnections,
  columnsOf,
  type DemoMailboxes,
  queueName,
  spareUser,
  startMailboxes,
} from './mailboxes.ts';
import { startMailDrop } from './smtp.ts';
import { requireMailServer, type Stage, startStage } from './stage.ts';
import { clockText, countText, printable, type Terminal } from './terminal.ts';

/** Where they are free; any others else. Those of `func start` and of other trial mail servers. */
const usualPorts = { http: 7071, smtp: 2525 } as const;
const defaultSchedules = { poll: '0 * * * * *', retry: '30 * * * * *' } as const;
/** Ctrl-C reaches the storage too, so what waits for it may not end by itself. */
const stopGraceMs = 2_000;

/**
 * Runs by the schedule until `stopped` resolves: serves the page and the API, takes mail by SMTP, polls when a key
 * is pressed, and shows the messages, or with `consumes` off leaves them to somebody else. Gives the process's exit
 * code.
 */
export async function watch(
  terminal: Terminal,
  { consumes, outFolder }: { readonly consumes: boolean; readonly outFolder: string | undefined },
  stopped: Promise<void>,
): Promise<number> {
  let stopping = false;
  const showLog = ({ category, level, message }: LogEntry) => {
    if (category !== 'user' || stopping) return;
    const [sentence = ''] = message.split(' {"');
    const line = `${clockText(new Date())} ${printable(sentence)}`;
    terminal.line(terminal.paint(line, level === 'error' ? 'red' : level === 'warning' ? 'yellow' : 'dim'));
  };
  // Installing it may take minutes; nothing should be waiting meanwhile.
  requireMailServer();
  terminal.heading('Starting everything on this machine');
  const { POLL_SCHEDULE: poll, RETRY_SCHEDULE: retry } = process.env;
  const schedules = { poll: poll ?? defaultSchedules.poll, retry: retry ?? defaultSchedules.retry };
  const [mail, stage] = await Promise.all([
    startMailboxes(terminal),
    startStage({ terminal, queueName, consumes, schedules, outFolder, onLog: showLog }),
  ]);
  await addConnections(stage, mail, terminal);
  const { host } = stage;
  const functionKey = randomBytes(12).toString('base64url');
  const http = await listenOn(usualPorts.http, (port) => host.serveHttp({ port, functionKey }));
  const users = [...mail.mailboxes.map(({ user }) => user), spareUser];
  const deliver = (user: string, source: Buffer) => seedMaildir(mail.dovecot.maildir(user), [source]);
  const drop = await listenOn(usualPorts.smtp, (port) => startMailDrop(port, users, deliver));
  const connectionFile = writeConnectionFile(mail);
  explain(terminal, mail, { url: http.url, functionKey, smtpPort: drop.port, connectionFile });
  if (outFolder !== undefined)
    terminal.line(`Files        each message, and its properties, in ${outFolder}`);

  if (!consumes) explainConsuming(terminal, stage);
  terminal.heading(consumes ? 'Messages on the queue, and what the app logs' : 'What the app logs');
  host.startQueueListener();
  let isQueueFull = false;
  listenForKeys(process.stdin, (key) => {
    if (stopping) return;
    if (key === 'f') {
      isQueueFull = !isQueueFull;
      stage.setQueueFull(isQueueFull);
      const state = isQueueFull ? 'full: it refuses every message, until f is pressed again' : 'open again';
      terminal.line(terminal.paint(`${clockText(new Date())} The queue is ${state}.`, 'bold'));
    } else if (key === 'r') runAway(host.fireTimer('retryDeliveries'));
    else if (key === 'p') runAway(pollAll(host));
  });
  // Nobody wants to wait a minute for the first messages; a schedule of one's own is left as it is.
  if (poll === undefined) await host.fireTimer('schedulePolls');

  await stopped;
  stopping = true;
  const { count } = stage.consumer;
  terminal.line('\nStopping.');
  await Promise.all([http.stop(), drop.stop()]);
  await stage.stop(stopGraceMs);
  await mail.dovecot.stop();
  terminal.line(`${consumes ? `${countText(count, 'message')} received. ` : ''}Everything stopped.`);
  return 0;

  /** What fails is in the app's log already, or is the end of the demo. */
  function runAway(work: Promise<unknown>): void {
    work.catch((error: unknown) => {
      if (!stopping) terminal.line(terminal.paint(printable(String(error)), 'red'));
    });
  }
}

/** Orders a poll of every connection, those of the person's own too. */
async function pollAll(host: Host): Promise<void> {
  const { connections } = (await host.invokeHttp('GET /api/connections')).json() as {
    readonly connections: readonly { readonly customer: string; readonly connection: string }[];
  };
  for (const { customer, connection } of connections) {
    await host.invokeHttp(`POST /api/connections/${customer}/${connection}/poll`);
  }
}

/** A connection to the mailbox that nobody polls, as docs/operations.md adds one. */
function writeConnectionFile({ dovecot, password }: DemoMailboxes): string {
  const folder = mkdtempSync(join(tmpdir(), 'demo-connection-'));
  onExit(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 'connection.json');
  const connection = columnsOf(dovecot, 'IMAP', spareUser, password);
  writeFileSync(file, `${JSON.stringify(connection, null, 2)}\n`, { mode: 0o600 });
  return file;
}

interface Doors {
  readonly url: string;
  readonly functionKey: string;
  readonly smtpPort: number;
  readonly connectionFile: string;
}

function explain(
  terminal: Terminal,
  { dovecot, password, mailboxes }: DemoMailboxes,
  { url, functionKey, smtpPort, connectionFile }: Doors,
): void {
  const users = mailboxes.map(({ user }) => user);
  terminal.heading('Send a mail; it is picked up at the next full minute, or when you press p.');
  for (const line of [
    `Page         ${url}/api/ui, which asks for the key ${functionKey}`,
    `API          APP=${url} KEY=${functionKey}`,
    `             docs/operations.md has a walk through it. Its connection.json, of a mailbox that`,
    `             nobody polls yet: cp ${connectionFile} .`,
    `SMTP         127.0.0.1:${smtpPort}, to ${[...users, spareUser].join('@, ')}@ any domain, without a login:`,
    `             printf 'Subject: Hello\\n\\nA mail.\\n' | curl -sS smtp://127.0.0.1:${smtpPort} --mail-from me@example.com --mail-rcpt ${users[0]}@example.com -T -`,
    ...mailboxes.map(
      ({ hostType, maildir }) => `${hostType.padEnd(12)} or as a file: cp mail.eml ${maildir}/new/`,
    ),
    `Mail program 127.0.0.1, IMAP ${dovecot.imapPort} (TLS ${dovecot.imapsPort}), POP3 ${dovecot.pop3Port} (TLS ${dovecot.pop3sPort}),`,
    `             user ${[...users, spareUser].join(' or ')}, password ${password} (made for this run)`,
    'Keys         p: poll all mailboxes; f: the queue is full, and open again; r: try what is undelivered; Ctrl-C ends',
  ]) {
    terminal.line(line);
  }
}

/** In a form to paste into a shell, by the names that the samples read. */
function explainConsuming(terminal: Terminal, { connectionStrings }: Stage): void {
  terminal.heading('The messages are left to your consumer, such as one of samples/. For its shell:');
  terminal.line(`export ServiceBusConnection='${connectionStrings.serviceBus}'`);
  terminal.line(`export PayloadStorageConnection='${connectionStrings.storage}'`);
  terminal.line(`export QUEUE_NAME='${queueName}'`);
}
