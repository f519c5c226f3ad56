import { createHash } from 'node:crypto';
import type { MeasuredMail } from '../mailbox.ts';
import { ContentHash } from './contentHash.ts';
import type { Distrust } from './distrust.ts';
import { type Pop3Body, readLines } from './multiLine.ts';
import { ask, describeRefusal, isGone, type Pop3Reply, readReply } from './reply.ts';
import { describeUnavailable, Retrieval } from './retrieval.ts';
import { Deadline, type Pop3Wire } from './wire.ts';

/** A mail as LIST and UIDL give it; without `uidl` where the server gives none that can serve as a key. */
interface ListedMail {
  readonly id: number;
  readonly sizeBytes: number;
  readonly uidl: string | undefined;
}

const maxLines = 1_000_000;
/** A mailbox with more is seen in part, oldest mails first, until these are gone. */
const maxMails = 200_000;

/**
 * Asks for the numbers, sizes and UIDLs of all mails, oldest first. LIST says which mails there are, UIDL only
 * names them; `uidlPromised`: CAPA says that the server has it. Rejects with a `Failure`.
 */
export async function listMails(wire: Pop3Wire, uidlPromised: boolean): Promise<readonly ListedMail[]> {
  const { pipelining } = wire;
  wire.expectSilence();
  wire.write(pipelining ? 'LIST\r\nUIDL\r\n' : 'LIST\r\n');
  const sizes = new Map<number, number>();
  const listReply = await readList(wire, 'LIST', (id, value) => {
    // Zero for a size that is none: the mail is there all the same.
    const sizeBytes = Number(/^\d{1,15}(?=$|[ \t])/.exec(value)?.[0] ?? 0);
    if (!sizes.has(id) && sizes.size < maxMails) sizes.set(id, sizeBytes);
  });
  if (!pipelining) wire.write('UIDL\r\n');

  const uidls = new Map<number, string>();
  const bearers = new Map<string, number>();
  const uidlReply = await readList(wire, 'UIDL', (id, uidl) => {
    if (!isUidl(uidl) || uidls.has(id) || uidls.size >= maxMails) return;
    bearers.set(uidl, (bearers.get(uidl) ?? 0) + 1);
    uidls.set(id, uidl);
  });
  // Some refuse either for want of mails.
  const isEmpty = listReply.ok ? sizes.size === 0 : /^0\b/.test((await ask(wire, 'STAT')).text);
  if (isEmpty) return [];
  if (!listReply.ok) throw describeRefusal(wire, 'LIST', listReply);
  // A server that has UIDL and fails to give them now must not make the same mails look new under other keys.
  const { ok, code, text } = uidlReply;
  if (!ok && (code !== undefined || (uidlPromised && !unknownCommand.test(text)))) {
    throw describeRefusal(wire, 'UIDL', uidlReply);
  }
  return [...sizes]
    .sort(([one], [other]) => one - other)
    .map(([id, sizeBytes]) => {
      const uidl = uidls.get(id);
      // Two mails with one UIDL, which RFC 1939 forbids, would count as one.
      return { id, sizeBytes, uidl: uidl !== undefined && bearers.get(uidl) === 1 ? uidl : undefined };
    });
}

/** The numbers of the mails that are there, those deleted in this session left out. Rejects with a `Failure`. */
export async function listNumbers(wire: Pop3Wire): Promise<ReadonlySet<number>> {
  const numbers = new Set<number>();
  // Without an argument: there are servers that ignore it and list all.
  wire.write('LIST\r\n');
  const reply = await readList(wire, 'LIST', (id) => numbers.add(id));
  if (!reply.ok) throw describeRefusal(wire, 'LIST', reply);
  return numbers;
}

const unknownCommand =
  /\b(unknown|unrecogni[sz]ed|unsupported|unimplemented|not (supported|implemented|available|recogni[sz]ed)|(invalid|bad) command)\b/i;

async function readList(
  wire: Pop3Wire,
  command: string,
  take: (id: number, value: string) => void,
): Promise<Pop3Reply> {
  const deadline = new Deadline(wire.timeouts.openMs);
  const reply = await readReply(wire, deadline);
  if (!reply.ok) return reply;
  await readLines(wire, deadline, { maxLines, command }, (line) => {
    const [, id, value = ''] = /^\s*0*([1-9]\d{0,8})[ \t]+(.*)$/.exec(line) ?? [];
    if (id !== undefined) take(Number(id), value.trimEnd());
  });
  return reply;
}

/** RFC 1939 allows 70 characters; some servers use file names, which are longer. One that looks like a hash is none. */
function isUidl(value: string): boolean {
  return /^[\x21-\x7e]{1,255}$/.test(value) && !value.startsWith('sha256:');
}

/** A mail with its key; `unavailable` says what the server answered when a key was to be made from its content. */
export interface KeyedMail extends MeasuredMail {
  readonly unavailable?: string;
}

/**
 * Gives each mail its key: the UIDL, or the SHA-256 of its content, which is not kept, and its number among equal ones;
 * where the content is withheld, or ended the session twice, its size, so that it is known again and can be reported.
 * Mails that are gone are left out.
 */
export async function keyMails(
  wire: Pop3Wire,
  mails: readonly ListedMail[],
  mailboxId: string,
  retrieving: Distrust,
): Promise<readonly KeyedMail[]> {
  const nameOf = ({ id, sizeBytes }: ListedMail) => `${mailboxId} ${id} ${sizeBytes}`;
  const asked = new Set(mails.filter((mail) => mail.uidl === undefined && retrieving.mayTry(nameOf(mail))));
  const retrieval = new Retrieval(wire, [...asked]);
  const counts = new Map<string, number>();
  const keyed: KeyedMail[] = [];
  for (const mail of mails) {
    const { id, sizeBytes, uidl } = mail;
    if (uidl !== undefined) {
      keyed.push({ key: uidl, id, sizeBytes });
      continue;
    }
    let sha256 = createHash('sha256').update(`withheld ${sizeBytes}`).digest('hex');
    let unavailable: string | undefined =
      `${wire.server} ended the session whenever it was asked for its mail ${id}. Look at it in a mail program.`;
    if (asked.has(mail)) {
      retrieving.noteWrong(nameOf(mail));
      const { body, reply } = await retrieval.next(mail);
      if (body) sha256 = await hashOf(body);
      retrieving.forget(nameOf(mail));
      if (isGone(reply)) continue;
      unavailable = body ? undefined : describeUnavailable(wire, mail, reply);
    }
    const number = (counts.get(sha256) ?? 0) + 1;
    counts.set(sha256, number);
    keyed.push({ key: `sha256:${sha256}:${number}`, id, sizeBytes, ...(unavailable && { unavailable }) });
  }
  return keyed;
}

async function hashOf(body: Pop3Body): Promise<string> {
  const hash = new ContentHash();
  for (let pieces = await body.next(); pieces !== undefined; pieces = await body.next()) {
    for (const piece of pieces) hash.update(piece);
  }
  return hash.digest();
}
