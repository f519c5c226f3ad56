import type { ServiceBusMessage } from '@azure/service-bus';
import { connect, type PlainScript } from './plainScript.ts';

const batchMails = 64;
const batchBytes = 800_000;
const sendsInFlight = 8;

/**
 * What imapflow and the Service Bus SDK take by themselves: one fetch of all unread mails, each sent whole as it
 * comes, in batches of which several are in flight, then all marked as read. No mail is looked into, and nothing is
 * remembered of any. Answers how many mails it sent.
 */
export async function runPackagesAlone(script: PlainScript): Promise<number> {
  const { serviceBus, sender, client } = await connect(script);
  await client.mailboxOpen('INBOX');
  const inFlight = new Set<Promise<void>>();
  const read: number[] = [];
  let batch: ServiceBusMessage[] = [];
  let bytes = 0;
  const send = () => {
    const sending = sender.sendMessages(batch).finally(() => inFlight.delete(sending));
    inFlight.add(sending);
    batch = [];
    bytes = 0;
  };
  const unread = (await client.search({ seen: false }, { uid: true })) || [];
  for await (const { uid, source } of client.fetch(unread, { source: true }, { uid: true })) {
    if (source === undefined) continue;
    batch.push({ body: source, contentType: 'message/rfc822', messageId: String(uid) });
    bytes += source.length;
    read.push(uid);
    if (batch.length === batchMails || bytes >= batchBytes) send();
    if (inFlight.size === sendsInFlight) await Promise.race(inFlight);
  }
  if (batch.length > 0) send();
  await Promise.all(inFlight);
  await client.messageFlagsAdd(read, ['\\Seen'], { uid: true });
  await client.logout();
  await serviceBus.close();
  return read.length;
}
