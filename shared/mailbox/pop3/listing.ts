import { createHash } from 'node:crypto';
import { Failure } from '../../failure/failure.ts';
import type { MailRef } from '../mailbox.ts';
import { commandDeadline } from './deadline.ts';
import { readLines } from './multiLine.ts';
import { describeRefusal } from './refusal.ts';
import { type Pop3Reply, readReply } from './reply.ts';
import type { Pop3Wire } from './wire.ts';

/** A mail as LIST and UIDL give it; without `uidl` where the server gives none that can serve as a key. */
export interface ListedMail {
  readonly id: number;
  readonly sizeBytes: number;
  readonly uidl: string | undefined;
}

const maxLines = 1_000_000;
/** A mailbox with more is seen in part, oldest mails first, until these are gone. */
const maxMails = 200_000;

/** How to speak to this server. */
export interface ListingManner {
  readonly pipelining: boolean;
  /** CAPA says that the server has UIDL. */
  readonly uidlPromised: boolean;
  /** For the whole of it. */
  readonly openMs: number;
}

/**
 * Asks for the numbers, sizes and UIDLs of all mails, oldest first. LIST says which mails there are, UIDL only
 * names them. Rejects with a `Failure`.
 */
export async function listMails(wire: Pop3Wire, manner: ListingManner): Promise<readonly ListedMail[]> {
  wire.expectSilence();
  wire.write(manner.pipelining ? 'LIST\r\nUIDL\r\n' : 'LIST\r\n');
  const sizes = new Map<number, number>();
  const listReply = await readList(wire, 'LIST', manner.openMs, (id, value) => {
    const sizeBytes = parseSize(value);
    if (!sizes.has(id) && sizes.size < maxMails) sizes.set(id, sizeBytes);
  });
  if (!manner.pipelining && listReply.ok) wire.write('UIDL\r\n');
  if (!manner.pipelining && !listReply.ok) throw describeRefusal(wire, 'LIST', listReply);

  const uidls = new Map<number, string>();
  const bearers = new Map<string, number>();
  const uidlReply = await readList(wire, 'UIDL', manner.openMs, (id, uidl) => {
    if (!isUidl(uidl) || bearers.size >= maxMails) return;
    bearers.set(uidl, (bearers.get(uidl) ?? 0) + 1);
    if (!uidls.has(id)) uidls.set(id, uidl);
  });
  if (!listReply.ok) throw describeRefusal(wire, 'LIST', listReply);
  // Some refuse it for want of mails.
  if (sizes.size === 0) return [];
  // A server that has UIDL and fails to give them now must not make the same mails look new under other keys.
  if (!uidlReply.ok && (uidlReply.code !== undefined || (manner.uidlPromised && !saysUnknown(uidlReply)))) {
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
export async function listNumbers(wire: Pop3Wire, timeoutMs: number): Promise<ReadonlySet<number>> {
  const numbers = new Set<number>();
  // Without an argument: there are servers that ignore it and list all.
  wire.write('LIST\r\n');
  const reply = await readList(wire, 'LIST', timeoutMs, (id) => numbers.add(id));
  if (!reply.ok) throw describeRefusal(wire, 'LIST', reply);
  return numbers;
}

function saysUnknown({ text }: Pop3Reply): boolean {
  return /\b(unknown|unrecogni[sz]ed|unsupported|unimplemented|not (supported|implemented|available|recogni[sz]ed)|(invalid|bad) command)\b/i.test(
    text,
  );
}

async function readList(
  wire: Pop3Wire,
  command: string,
  timeoutMs: number,
  take: (id: number, value: string) => void,
): Promise<Pop3Reply> {
  const deadline = commandDeadline(timeoutMs);
  const reply = await readReply(wire, deadline);
  if (!reply.ok) return reply;
  await readLines(wire, deadline, { maxLines, command }, (line) => {
    const match = /^\s*(\d{1,9})[ \t]+(.*?)[ \t]*$/.exec(line);
    const id = Number(match?.[1] ?? 0);
    if (match !== null && id > 0) take(id, match[2] ?? '');
  });
  return reply;
}

/** Zero for a size that is none: the mail is there all the same. */
function parseSize(value: string): number {
  const digits = /^\d{1,15}(?=$|[ \t])/.exec(value)?.[0];
  return digits === undefined ? 0 : Number(digits);
}

/** RFC 1939 allows 70 characters; some servers use file names, which are longer. One that looks like a hash is none. */
function isUidl(value: string): boolean {
  return /^[\x21-\x7e]{1,255}$/.test(value) && !value.startsWith('sha256:');
}

/** The failure of a caller that names mails of another session: numbers mean something else in each. */
export function foreignMail(wire: Pop3Wire): Failure {
  return new Failure('internal', `A mail was asked of ${wire.server} that this session has not listed.`);
}

/** A mail with its key; `unavailable` says what the server answered when a key was to be made from its content. */
export interface KeyedMail extends MailRef {
  readonly sizeBytes: number;
  readonly unavailable: string | undefined;
}

/** What is known of a mail without UIDL. */
export type Content =
  | { readonly sha256: string }
  | { readonly gone: true }
  | { readonly unavailable: string };

/**
 * Gives each mail its key: the UIDL, or the SHA-256 of its content and its number among equal ones. One whose
 * content the server withholds is keyed by its size, so that the same one is known again in the next session
 * and can be reported; those that are gone are left out.
 */
export function keyMails(
  mails: readonly ListedMail[],
  contents: ReadonlyMap<number, Content>,
): readonly KeyedMail[] {
  const counts = new Map<string, number>();
  const keyed: KeyedMail[] = [];
  for (const { id, sizeBytes, uidl } of mails) {
    if (uidl !== undefined) {
      keyed.push({ key: uidl, id, sizeBytes, unavailable: undefined });
      continue;
    }
    const content = contents.get(id);
    if (content === undefined || 'gone' in content) continue;
    const unavailable = 'unavailable' in content ? content.unavailable : undefined;
    const sha256 = 'sha256' in content ? content.sha256 : hexOf(`withheld ${sizeBytes}`);
    const number = (counts.get(sha256) ?? 0) + 1;
    counts.set(sha256, number);
    keyed.push({ key: `sha256:${sha256}:${number}`, id, sizeBytes, unavailable });
  }
  return keyed;
}

function hexOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
