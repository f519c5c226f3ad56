import type { ConnectionConfig } from '../../shared/connection/config.ts';
import { type ConnectionFile, deletes } from './connectionFile.ts';
import { readOutcome } from './outcome.ts';
import { startStage } from './stage.ts';
import { countText, printable, type Terminal } from './terminal.ts';

const defaultQueueName = 'email-inbound';
const receiveTimeoutMs = 20_000;

/**
 * Polls a mailbox of one's own, until nothing is left in it, into a queue that ends with this process. Gives
 * the process's exit code: 1 when the mailbox could not be polled.
 */
export async function pollOwnMailbox(
  terminal: Terminal,
  { config, columns, unknown }: ConnectionFile,
  outFolder: string | undefined,
): Promise<number> {
  const { customer, connection } = config;
  terminal.heading(`Polling ${describe(config)}`);
  if (unknown.length > 0) {
    const names = unknown.map(printable).join(', ');
    terminal.line(terminal.paint(`Not a column, and ignored: ${names}.`, 'yellow'));
  }
  terminal.line(
    deletes(config)
      ? 'Every mail in it is deleted when its messages are on the queue, and that queue ends with this run.'
      : `Unread mails in ${printable(config.folder ?? 'INBOX')} are marked read when their messages are on the queue. Nothing is deleted.`,
  );
  const stage = await startStage({
    terminal,
    queueName: config.queueName ?? defaultQueueName,
    outFolder,
  });
  await stage.addConnection(customer, connection, { ...columns, enabled: true });

  terminal.heading('Every message as it arrives on the queue');
  let mails = 0;
  let messages = 0;
  for (;;) {
    await stage.makeDue(customer, connection);
    await stage.tick();
    const outcome = readOutcome(connection, await stage.row(customer, connection));
    mails += outcome.mails;
    messages += outcome.messages;
    if (outcome.ok && outcome.mails > 0) continue;
    const allCame = await stage.consumer.received(messages, receiveTimeoutMs);
    const { damaged } = stage.consumer;
    terminal.heading('Summary');
    terminal.line(
      `${countText(mails, 'mail')} ${deletes(config) ? 'deleted' : 'marked read'}, ${countText(stage.consumer.count, 'message')} received${damaged === 0 ? '' : `, ${damaged} of them damaged`}.`,
    );
    terminal.line(outcome.ok ? 'The last poll found nothing more.' : terminal.paint(outcome.sentence, 'red'));
    await stage.stop();
    return outcome.ok && allCame && damaged === 0 ? 0 : 1;
  }
}

function describe({
  customer,
  connection,
  protocol,
  host,
  port,
  security,
  username,
}: ConnectionConfig): string {
  return `${customer}/${connection}: ${protocol.toUpperCase()} ${printable(host)}:${port} (${security}) as ${printable(username)}`;
}
