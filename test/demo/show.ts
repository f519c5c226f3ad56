import {
  addConnections,
  customer,
  type DemoMailbox,
  describeMailbox,
  queueName,
  startMailboxes,
} from './mailboxes.ts';
import { type PollOutcome, readOutcome, sumOf } from './outcome.ts';
import { requireMailServer, type Stage, startStage } from './stage.ts';
import { countText, type Terminal } from './terminal.ts';

const receiveTimeoutMs = 20_000;

/** The main job from start to end. Gives the process's exit code: 0 when all went as it should. */
export async function show(terminal: Terminal, outFolder: string | undefined): Promise<number> {
  const beganMs = performance.now();
  // Installing it may take minutes; nothing should be waiting meanwhile.
  requireMailServer();
  terminal.heading('Starting everything on this machine');
  const [mail, stage] = await Promise.all([
    startMailboxes(terminal),
    startStage({ terminal, queueName, outFolder }),
  ]);
  await addConnections(stage, mail, terminal);

  terminal.heading('First tick: every message as it arrives on the queue');
  const firstMs = performance.now();
  await stage.tick();
  const first = await outcomesOf(stage, mail.mailboxes);
  const expected = sumOf(first, 'messages');
  await stage.consumer.received(expected, receiveTimeoutMs);
  const tookMs = Math.round(performance.now() - firstMs);
  terminal.line(
    terminal.paint('* claim check: the bytes are in blob storage, the message says where', 'dim'),
  );

  terminal.heading('What became of the mails');
  const found = await Promise.all(mail.mailboxes.map(describeMailbox));
  for (const { sentence } of found) terminal.line(sentence);
  for (const { sentence } of first) terminal.line(sentence);

  terminal.heading('Second tick, both connections made due: nothing is left to send');
  for (const { connection } of mail.mailboxes) await stage.makeDue(customer, connection);
  await stage.tick();
  const second = await outcomesOf(stage, mail.mailboxes);
  for (const { sentence } of second) terminal.line(sentence);

  terminal.heading('Summary');
  const { count, damaged } = stage.consumer;
  const seeded = mail.mailboxes.reduce((sum, mailbox) => sum + mailbox.seeded, 0);
  const arrived = sumOf(first, 'mails') === seeded && count === expected && sumOf(second, 'messages') === 0;
  const ok =
    [...first, ...second].every((outcome) => outcome.ok) &&
    found.every(({ settled }) => settled) &&
    arrived &&
    damaged === 0;
  terminal.line(
    `${countText(sumOf(first, 'mails'), 'mail')} of ${seeded} picked up, ${countText(count, 'message')} received in ${tookMs} ms, which includes loading the libraries.`,
  );
  terminal.line(
    damaged === 0
      ? 'Size and SHA-256 of every message are what it says. The second tick sent nothing.'
      : terminal.paint(`${countText(damaged, 'message')} damaged.`, 'red'),
  );
  await stage.stop();
  await mail.dovecot.stop();
  const seconds = ((performance.now() - beganMs) / 1000).toFixed(1);
  terminal.line(
    ok
      ? terminal.paint(`Done in ${seconds} s, everything stopped.`, 'green')
      : terminal.paint(`Not as it should be; see above. Everything stopped after ${seconds} s.`, 'red'),
  );
  if (ok)
    terminal.line('Next: npm run demo -- --watch, or -- --connection file.json for a mailbox of your own.');
  return ok ? 0 : 1;
}

async function outcomesOf(stage: Stage, mailboxes: readonly DemoMailbox[]): Promise<PollOutcome[]> {
  return Promise.all(
    mailboxes.map(async ({ connection }) => readOutcome(connection, await stage.row(customer, connection))),
  );
}
