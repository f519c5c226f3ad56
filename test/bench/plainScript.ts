import { ServiceBusClient } from '@azure/service-bus';
import { ImapFlow } from 'imapflow';
import { simpleParser } from 'mailparser';
import type { Login } from './rawFetch.ts';

export interface PlainScript {
  readonly login: Login;
  readonly serviceBusConnectionString: string;
  readonly queueName: string;
}

/** Both connections as anyone would open them. */
export async function connect({
  login: { port, user, password },
  serviceBusConnectionString,
  queueName,
}: PlainScript) {
  const serviceBus = new ServiceBusClient(serviceBusConnectionString);
  const sender = serviceBus.createSender(queueName);
  const client = new ImapFlow({
    host: '127.0.0.1',
    port,
    secure: false,
    doSTARTTLS: false,
    auth: { user, pass: password },
    logger: false,
  });
  await client.connect();
  return { serviceBus, sender, client };
}

/**
 * The script that a competent user would write: fetch the unread mails as one range, parse each, send its parts
 * one after the other, and mark what was sent as read. Answers how many messages it sent.
 */
export async function runPlainScript(script: PlainScript): Promise<number> {
  const { serviceBus, sender, client } = await connect(script);
  const lock = await client.getMailboxLock('INBOX');
  let sent = 0;
  try {
    const unread = await client.search({ seen: false }, { uid: true });
    if (!unread || unread.length === 0) return 0;
    const read: number[] = [];
    for await (const { uid, source } of client.fetch(unread, { source: true }, { uid: true })) {
      if (source === undefined) continue;
      const mail = await simpleParser(source);
      const properties = { from: mail.from?.text ?? '', subject: mail.subject ?? '' };
      if (mail.text !== undefined) {
        const body = Buffer.from(mail.text);
        await sender.sendMessages({ body, contentType: 'text/plain', applicationProperties: properties });
        sent += 1;
      }
      for (const { content, contentType, filename } of mail.attachments) {
        const applicationProperties = { ...properties, fileName: filename ?? '' };
        await sender.sendMessages({ body: content, contentType, applicationProperties });
        sent += 1;
      }
      read.push(uid);
    }
    await client.messageFlagsAdd(read, ['\\Seen'], { uid: true });
  } finally {
    lock.release();
    await client.logout();
    await sender.close();
    await serviceBus.close();
  }
  return sent;
}
