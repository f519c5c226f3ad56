import { createHash } from 'node:crypto';
import { queueName } from '../app/testbed.ts';
import { listMaildir } from '../testbed/seed.ts';
import type { TortureMail } from './mails.ts';
import { mailboxes, type Rig } from './rig.ts';

/** What there is to say against a run: nothing, if all is well. */
export async function findProblems(
  rig: Rig,
  mails: ReadonlyMap<string, readonly TortureMail[]>,
): Promise<string[]> {
  const [parts, settled, rows] = await Promise.all([
    findPartProblems(rig, mails),
    findUnsettled(rig),
    findRows(rig),
  ]);
  return [...parts, ...settled, ...rows];
}

async function findPartProblems(
  rig: Rig,
  mails: ReadonlyMap<string, readonly TortureMail[]>,
): Promise<string[]> {
  const problems: string[] = [];
  const arrived = new Map<string, number>();
  const expected = new Map<string, string>();
  for (const { subject, parts } of [...mails.values()].flat()) {
    for (const [index, sha256] of parts.entries()) expected.set(`${subject}, part ${index + 1}`, sha256);
  }
  for (const message of await rig.broker.messages(queueName)) {
    const { emailSubject, partNumber, claimCheck } = message.applicationProperties;
    const name = `${emailSubject}, part ${partNumber}`;
    const times = (arrived.get(name) ?? 0) + 1;
    arrived.set(name, times);
    if (times > 1) problems.push(`Twice on the queue: ${name}.`);
    const sha256 = typeof claimCheck === 'string' ? await payloadSha256(rig, claimCheck) : message.bodySha256;
    if (!expected.has(name)) problems.push(`On the queue and in no mailbox: ${name}.`);
    else if (expected.get(name) !== sha256) problems.push(`Not what was in the mail: ${name}.`);
  }
  for (const name of expected.keys()) if (!arrived.has(name)) problems.push(`Missing: ${name}.`);
  return problems;
}

async function payloadSha256(rig: Rig, claimCheck: string): Promise<string> {
  const name = claimCheck.slice(claimCheck.indexOf('/') + 1);
  const bytes = await rig.payloads.getBlobClient(name).downloadToBuffer();
  return createHash('sha256').update(bytes).digest('hex');
}

async function findUnsettled(rig: Rig): Promise<string[]> {
  const problems: string[] = [];
  for (const { name, deletes, movesTo } of mailboxes) {
    const left = await listMaildir(rig.dovecot.maildir(name));
    const unsettled = deletes || movesTo !== undefined ? left : left.filter(({ seen }) => !seen);
    if (unsettled.length > 0) problems.push(`${unsettled.length} mails of ${name} are not settled.`);
  }
  return problems;
}

async function findRows(rig: Rig): Promise<string[]> {
  const problems: string[] = [];
  for (const name of ['EmailDelivered', 'EmailUndelivered'] as const) {
    for await (const row of rig.table(name).listEntities<Record<string, unknown>>()) {
      problems.push(`Left in ${name}: ${row.partitionKey} ${row.rowKey} ${String(row.status ?? '')}`);
    }
  }
  return problems;
}
