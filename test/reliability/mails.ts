import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { type MailParts, type Parts, type Protocol, queueName } from '../app/testbed.ts';
import { base64Entity, entity, multipart } from '../mail/build.ts';
import type { QueueMessage } from '../testbed/broker/queue.ts';
import type { TcpProxy } from '../testbed/proxy.ts';
import { listMaildir } from '../testbed/seed.ts';

/** From now on nothing comes through: what is open breaks, what is new is refused. */
export async function cutOff(proxy: TcpProxy): Promise<void> {
  const refused = proxy.refuse(true);
  proxy.dropAll('rst');
  await refused;
}

/** A mail with these fields and parts. */
export function mixedMail(fields: string, parts: readonly Buffer[]): Buffer {
  return entity(`${fields}\r\nContent-Type: multipart/mixed; boundary=b`, multipart('b', ...parts));
}

/** A part that is an attachment of this name. */
export function attached(type: string, fileName: string, bytes: Buffer): Buffer {
  const disposition = `Content-Disposition: attachment; filename=${fileName}`;
  return base64Entity(`Content-Type: ${type}; name=${fileName}\r\n${disposition}`, bytes);
}

/** Mails of a body and one attachment each; what they hold tells them apart. */
export function twoPartMails(name: string, count: number, attachmentBytes = 2_000): Buffer[] {
  return Array.from({ length: count }, (_, index) => {
    const attachment = Buffer.alloc(attachmentBytes, `${name} ${index} `);
    const fields = `From: sender@example.com\r\nSubject: ${name} ${index}\r\nMessage-ID: <${index}@${name}>`;
    const parts = [
      entity('Content-Type: text/plain', `Body of ${name} ${index}`),
      attached('application/octet-stream', 'data.bin', attachment),
    ];
    return mixedMail(fields, parts);
  });
}

/** What has arrived from the mailbox, of its mails of this subject only where one is given. */
export function messagesOf(bed: Pick<Parts, 'broker'>, name: string, subject?: string): QueueMessage[] {
  return bed.broker.queue(queueName).messages.filter(({ applicationProperties }) => {
    const { connection, emailSubject } = applicationProperties ?? {};
    return connection === name && (subject === undefined || emailSubject === subject);
  });
}

/** `{subject}: {numbers of its parts}` of what has arrived from the mailbox, sorted; a part twice shows twice. */
export function arrived(bed: Pick<Parts, 'broker'>, name: string): string[] {
  const bySubject = new Map<string, number[]>();
  for (const message of messagesOf(bed, name)) {
    const { emailSubject, partNumber, sha256, claimCheck } = message.applicationProperties ?? {};
    if (claimCheck === undefined) {
      assert.equal(hash('sha256', message.body), sha256);
    }
    const parts = bySubject.get(String(emailSubject)) ?? [];
    bySubject.set(String(emailSubject), [...parts, Number(partNumber)]);
  }
  return [...bySubject].map(([subject, parts]) => `${subject}: ${parts.sort().join(' ')}`).sort();
}

/** What `arrived` is when each of the two-part mails came just once. */
export function eachOnce(name: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${name} ${index}: 1 2`).sort();
}

/** Waits until the condition holds; says what was waited for when it does not within the time. */
export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  timeoutMs = 20_000,
): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`Not within ${timeoutMs} ms: ${what}.`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** How many mails are still there for the next poll. */
export async function countUnsettled(
  { dovecot }: Pick<MailParts, 'dovecot'>,
  name: string,
  protocol: Protocol,
): Promise<number> {
  const mails = await listMaildir(dovecot.maildir(name));
  return protocol === 'IMAP' ? mails.filter(({ seen }) => !seen).length : mails.length;
}

/** Runs `act` at the first message that comes from the mailbox. */
export function atFirstMessage({ broker }: Pick<Parts, 'broker'>, name: string, act: () => void): void {
  const off = broker.queue(queueName).onMessage(({ applicationProperties }) => {
    if (applicationProperties?.connection !== name) return;
    off();
    act();
  });
}
