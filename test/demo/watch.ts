import type { LogEntry } from '../testbed/host/invoke.ts';
import { addConnections, type DemoMailboxes, queueName, startMailboxes } from './mailboxes.ts';
import { requireMailServer, startStage } from './stage.ts';
import { clockText, countText, printable, type Terminal } from './terminal.ts';

const defaultPollSchedule = '0 * * * * *';
/** Ctrl-C reaches the storage too, so what waits for it may not end by itself. */
const stopGraceMs = 2_000;

/** Runs by the schedule until `stopped` resolves. Gives the process's exit code. */
export async function watch(terminal: Terminal, stopped: Promise<void>): Promise<number> {
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
  const pollSchedule = process.env.POLL_SCHEDULE;
  const [mail, stage] = await Promise.all([
    startMailboxes(terminal),
    startStage({ terminal, queueName, pollSchedule: pollSchedule ?? defaultPollSchedule, onLog: showLog }),
  ]);
  await addConnections(stage, mail, terminal);
  explain(terminal, mail);
  terminal.heading('Messages on the queue, and what the app logs');
  stage.host.startQueueListener();
  // Nobody wants to wait a minute for the first messages; a schedule of one's own is left as it is.
  if (pollSchedule === undefined) await stage.host.fireTimer('schedulePolls');

  await stopped;
  stopping = true;
  const { count } = stage.consumer;
  terminal.line('\nStopping.');
  await stage.stop(stopGraceMs);
  await mail.dovecot.stop();
  terminal.line(`${countText(count, 'message')} received. Everything stopped.`);
  return 0;
}

function explain(terminal: Terminal, { dovecot, password, mailboxes }: DemoMailboxes): void {
  terminal.heading('Drop a mail in; it is picked up at a full minute. Ctrl-C ends all of it.');
  for (const { hostType, maildir } of mailboxes) {
    terminal.line(`${hostType}: cp mail.eml ${maildir}/new/`);
  }
  const [first] = mailboxes;
  if (first !== undefined) {
    terminal.line(`or    printf 'Subject: Hello\\n\\nA first mail.\\n' > ${first.maildir}/new/hello-$RANDOM`);
  }
  terminal.line(
    `With a mail program: 127.0.0.1, IMAP ${dovecot.imapPort} (TLS ${dovecot.imapsPort}), POP3 ${dovecot.pop3Port} (TLS ${dovecot.pop3sPort}),`,
  );
  const users = mailboxes.map(({ user }) => user).join(' or ');
  terminal.line(
    `user ${users}, password ${password} (made for this run); it must copy mails there as unread.`,
  );
}
