import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import type { ContainerClient } from '@azure/storage-blob';
import { MailPayloads, PayloadConflict } from '../destination/claimCheck.ts';
import { fixedMemory, MailContents } from '../destination/contentStore.ts';
import type { QueueSender } from '../destination/destination.ts';
import { sendParts } from '../destination/sendParts.ts';
import { type Failure, toFailure } from '../failure/failure.ts';
import { identityWindowBytes, mailFingerprint } from '../mail/identity.ts';
import type { MailSource, OmissionReason, SplitMail } from '../mail/mail.ts';
import { compareWithSecondReader } from '../mail/secondReader.ts';
import { rawMail, splitMail } from '../mail/splitMail.ts';
import { type FetchedMail, type Holding, MailGone } from '../mailbox/mailbox.ts';
import { identifyMail, type MailIdentity } from '../message/identity.ts';
import { buildMessages, interchangeIdOf, type PartMessage } from '../message/message.ts';
import { type Step, traced } from '../telemetry/telemetry.ts';
import { unlessAborted } from '../wait/deadline.ts';
import type { Known, KnownMails } from './knownMails.ts';
import type { ProcessHolding } from './memory.ts';
import type { Run } from './runStart.ts';
import { isSuspicious, maxRisks } from './tries.ts';

/** What the mails of one session go by. */
export interface Way extends Run {
  readonly endpoint: string;
  readonly mailboxId: string;
  readonly known: KnownMails;
  readonly sender: QueueSender;
  readonly payloads: ContainerClient;
}

/** What became of a mail. */
export type Fate =
  | { readonly kind: 'delivered'; readonly messages: number }
  /** Its unsent parts lie in the undelivered store. */
  | { readonly kind: 'stored'; readonly messages: number; readonly failure: Failure; readonly storedAt: Date }
  /** A rule leaves out, on purpose, all that it holds. */
  | { readonly kind: 'left-out'; readonly reason: OmissionReason }
  /** An earlier run brought it away and could not settle it, or the server lists it again though it was settled. */
  | { readonly kind: 'known'; readonly as: Known | { readonly kind: 'settled' } }
  /** It stays on the server. */
  | { readonly kind: 'left'; readonly failure: Failure; readonly atFault: Fault };

/** What kept a mail: the run, which can't go on; this mail alone; the server, which may do so at this very mail; or a person. */
export type Fault = 'run' | 'mail' | 'handover' | 'gone';

/** A mail taken apart, its large parts uploaded; `bring` must follow, which frees what it holds. */
export interface ApartMail {
  readonly kind: 'apart';
  readonly mail: FetchedMail;
  readonly identity: MailIdentity;
  readonly interchangeId: string;
  readonly split: SplitMail;
  readonly parts: readonly PartMessage[];
  readonly contents: MailContents;
  readonly memory: ProcessHolding | undefined;
  readonly known: Extract<Fate, { kind: 'known' }> | undefined;
  readonly pushing: Step;
}

export type Taken = ApartMail | Extract<Fate, { kind: 'left' }>;

/** What the parts of a mail that is in memory whole may take beside it; the rest goes to files. */
const partsBytes = 16 * 1_048_576;
const maxConflicts = 3;
const tooRisky = `The mail was not taken apart and goes whole, as message/rfc822, because ${maxRisks} runs ended with their process while they took it apart.`;

/** Reads a mail to its end and takes it apart. Never rejects. */
export async function takeApart(mail: FetchedMail, way: Way): Promise<Taken> {
  let memory: ProcessHolding | undefined;
  let identity: MailIdentity | undefined;
  try {
    const { source, head } = await withHead(mail);
    identity = identifyMail(way.mailboxId, mail.mail.key, mailFingerprint(head));
    const known = findKnown(identity, way);
    memory = mail.whole ? undefined : way.streamMemory();
    const apart = await splitAndUpload(source, identity, known !== undefined, memory, way);
    if (mail.whole && !sharesMemory(apart.parts, mail.whole)) mail.freeBytes();
    return { kind: 'apart', mail, identity, known, memory, ...apart };
  } catch (error) {
    letGo({ mail, memory, identity }, way);
    const failure = toFailure(error, 'taking a mail apart');
    return { kind: 'left', failure, atFault: faultOf(failure, mail) };
  }
}

/** Brings a mail that was taken apart to its queue or into the undelivered store. Never rejects. */
export async function bring(apart: ApartMail, way: Way): Promise<Fate> {
  const fate: Fate = apart.known ?? (await push(apart, way));
  apart.pushing.end('failure' in fate ? fate.failure : undefined);
  await apart.contents.dispose();
  // Before the settle, which may wait for the fetch, which waits for memory.
  letGo(apart, way);
  return fate;
}

/** Nothing of the mail is in memory any more, and it has brought nothing down. */
function letGo(
  { mail, memory, identity }: Pick<ApartMail, 'mail' | 'memory'> & { identity: MailIdentity | undefined },
  { risks }: Way,
): void {
  memory?.release();
  mail.release();
  if (identity) risks.end(identity.id);
}

async function push(apart: ApartMail, way: Way): Promise<Fate> {
  const { parts, contents, identity, split } = apart;
  if (split.leftOut !== undefined) return { kind: 'left-out', reason: split.leftOut };
  const { limits, sender } = way;
  const { signal } = limits;
  try {
    const sending = sendParts(sender, limits, parts, contents);
    const { accepted, failed } = await unlessAborted(sending, signal, () =>
      toFailure(signal.reason, 'sending'),
    );
    if (!failed) return { kind: 'delivered', messages: accepted.length };
    const { failure, unsent } = failed;
    // A run that was fenced off stores nothing.
    if (!limits.mayWrite()) return { kind: 'left', failure, atFault: 'run' };
    const storedAt = await store(apart, unsent, failure, way);
    way.known.noteStored(identity, storedAt);
    return { kind: 'stored', messages: accepted.length, failure, storedAt };
  } catch (error) {
    return { kind: 'left', failure: toFailure(error, 'sending a mail'), atFault: 'run' };
  }
}

/** The catastrophic retry: what Service Bus did not take is kept, to be delivered later. */
async function store(
  { identity, interchangeId, split, parts }: ApartMail,
  unsent: readonly PartMessage[],
  failure: Failure,
  { config, mailboxId, queueName, openUndelivered, known, limits }: Way,
): Promise<Date> {
  const { customer, connection, protocol } = config;
  const { signal } = limits;
  const mail = {
    ...{ customer, connection, protocol, queueName, mailboxId, identity, interchangeId },
    envelope: split.envelope,
    error: failure.message,
    partCount: parts.length,
    parts: unsent,
  };
  const storing = openUndelivered().then((store) => store.store(mail, limits));
  try {
    return await unlessAborted(storing, signal, () => toFailure(signal.reason, 'storing a mail'));
  } catch (error) {
    known.noteDoubt();
    throw error;
  }
}

/** That a mail was settled before counts for POP3 alone: over IMAP a person may have marked it unread. */
function findKnown(
  identity: MailIdentity,
  { known, settled, config }: Way,
): Extract<Fate, { kind: 'known' }> | undefined {
  const as = known.find(identity);
  if (as) return { kind: 'known', as };
  const isBack = config.protocol === 'pop3' && settled.has(identity);
  return isBack ? { kind: 'known', as: { kind: 'settled' } } : undefined;
}

async function splitAndUpload(
  source: MailSource,
  identity: MailIdentity,
  isKnown: boolean,
  memory: ProcessHolding | undefined,
  way: Way,
): Promise<Pick<ApartMail, 'interchangeId' | 'split' | 'parts' | 'contents' | 'pushing'>> {
  const { config, endpoint, trace } = way;
  const { customer, connection, sessions } = config;
  const interchangeId = interchangeIdOf({ customer, connection, identity });
  const payloads = new MailPayloads(way.payloads, { customer, connection, interchangeId });
  let awaited: Promise<Holding> | undefined;
  for (let conflicts = 0; ; conflicts += 1) {
    const turn = await awaited;
    awaited = undefined;
    payloads.start();
    const contents = new MailContents({
      maxInlineBytes: way.sender.maxMessageBytes,
      payloads,
      spillFolder: join(way.temporaryFolder, randomUUID()),
      memory: memory ?? fixedMemory(partsBytes),
    });
    try {
      const isStreamed = memory !== undefined;
      const split = await traced(trace, 'parse', () =>
        splitUnlessTooRisky(source, isStreamed, turn, identity, contents, way),
      );
      if ('awaited' in split) {
        await contents.dispose();
        awaited = split.awaited;
        continue;
      }
      const pushing = trace.startStep('push');
      const origin = { customer, connection, identity, endpoint };
      const parts = buildMessages(origin, split, sessions, pushing.traceparent);
      const uploaded = isKnown ? parts : await uploadLarge(parts, contents, payloads);
      return { interchangeId, split, contents, pushing, parts: uploaded };
    } catch (error) {
      await contents.dispose();
      if (!(error instanceof PayloadConflict) || conflicts >= maxConflicts) throw error;
    }
  }
}

/**
 * A mail that brought the process down before goes whole, so that it and what lies behind it arrive. One that has to
 * wait for its turn to hold text is let go of meanwhile where it can be read again from its beginning for little: a
 * POP3 server would first have to send the rest.
 */
async function splitUnlessTooRisky(
  source: MailSource,
  isStreamed: boolean,
  granted: Holding | undefined,
  { id }: MailIdentity,
  contents: MailContents,
  { config, risks, maxMailBytes, takeTextTurn }: Way,
): Promise<SplitMail | { readonly awaited: Promise<Holding> }> {
  let turn = granted;
  let awaited: Promise<Holding> | undefined;
  const beforeRisk = async () => {
    const taken = turn ?? (isStreamed ? takeTextTurn() : undefined);
    if (taken instanceof Promise && config.protocol === 'imap') {
      awaited = taken;
      // It may fail before it is waited for.
      taken.catch(() => {});
      throw new Error('The mail waits for its turn.');
    }
    turn = await taken;
    await risks.begin(id);
  };
  try {
    if (risks.countOf(id) >= maxRisks) return await rawMail(source, tooRisky, contents);
    const split = await splitMail(source, { ...config.rules, maxMailBytes }, contents, { beforeRisk });
    const more = await compareWithSecondReader(source, split, () => risks.begin(id));
    return more === undefined ? split : { ...split, warning: `${split.warning} ${more}` };
  } catch (error) {
    if (awaited === undefined) throw error;
    return { awaited };
  } finally {
    turn?.release();
  }
}

/** Before anything of the mail is sent, so that all of it can be taken apart anew where a name proves taken. */
async function uploadLarge(
  parts: readonly PartMessage[],
  contents: MailContents,
  payloads: MailPayloads,
): Promise<readonly PartMessage[]> {
  const uploaded: PartMessage[] = [];
  let conflict: PayloadConflict | undefined;
  for (const part of parts) {
    try {
      uploaded.push(part.content.kind === 'blob' ? await contents.toClaimCheck(part) : part);
    } catch (error) {
      if (!(error instanceof PayloadConflict)) throw error;
      // The other names are looked at too: the mail is read anew once, not once for each that is taken.
      payloads.passOver(error);
      conflict = error;
    }
  }
  if (conflict) throw conflict;
  return uploaded;
}

/** The mail's beginning, and all of it from the start. */
async function withHead(mail: FetchedMail): Promise<{ head: Buffer; source: MailSource }> {
  const { whole } = mail;
  const { sizeBytes } = mail.mail;
  if (whole) {
    const source = { sizeBytes: whole.length, open: () => mail.open() };
    return { head: whole.subarray(0, identityWindowBytes), source };
  }
  const pieces = (await mail.open())[Symbol.asyncIterator]();
  const read: Buffer[] = [];
  let readBytes = 0;
  while (readBytes < identityWindowBytes) {
    const next = await pieces.next();
    if (next.done) break;
    read.push(next.value);
    readBytes += next.value.length;
  }
  const head = Buffer.concat(read, Math.min(readBytes, identityWindowBytes));
  let first: AsyncIterable<Buffer> | undefined = rejoined(read, pieces);
  const open = async () => {
    const stream = first ?? (await mail.open());
    first = undefined;
    return stream;
  };
  // A server that announces less has not made it a small mail.
  return { head, source: { sizeBytes: Math.max(sizeBytes, readBytes), open } };
}

/** Keeps nothing of what was read once it is taken. */
async function* rejoined(read: Buffer[], rest: AsyncIterator<Buffer>): AsyncIterable<Buffer> {
  for (let next = read.shift(); next !== undefined; next = read.shift()) yield next;
  try {
    for (let next = await rest.next(); !next.done; next = await rest.next()) yield next.value;
  } finally {
    await rest.return?.();
  }
}

function sharesMemory(parts: readonly PartMessage[], whole: Buffer): boolean {
  return parts.some(({ content }) => content.kind === 'bytes' && content.bytes.buffer === whole.buffer);
}

/** What was wrong with the storage or the connection would be so with the next mail too. */
function faultOf(failure: Failure, { whole }: FetchedMail): Fault {
  if (failure instanceof MailGone) return 'gone';
  if (failure.reason === 'mail' || failure.reason === 'internal') return 'mail';
  return whole === undefined && isSuspicious(failure) ? 'handover' : 'run';
}
