import { hash } from 'node:crypto';
import type { ConnectionKey } from '../connection/connectionStore.ts';
import type { JournalMode } from '../settings/settings.ts';
import type { FoundMail, FoundPart, FoundRun } from './found.ts';

/** One part of a mail: what its message says, never what it holds. */
export interface JournalPart extends FoundPart {
  readonly partKind: 'body' | 'attachment' | 'raw';
  readonly inboundFileName: string;
}

/** What the file and the run say of all its lines. */
type OwnerMember = 'customer' | 'connection' | 'runId';

/** What became of a mail when it left the unread ones. */
export type MailFate =
  | { readonly outcome: 'delivered' | 'undelivered' }
  /** Settled by a rule though nothing of it was sent; `reason` names the rule. */
  | { readonly outcome: 'left-out'; readonly reason: string };

/** A mail that left the unread ones. */
export type MailLine = MailFate &
  Omit<FoundMail, OwnerMember | 'outcome' | 'reason' | 'at' | 'receivedAt' | 'parts'> & {
    /**
     * When its delivery was recorded. It decides the day, and so the file, in which the line stands. For an
     * `undelivered` mail it must be the time that its record keeps (`storedAt`): later outcomes go into the file
     * of that day.
     */
    readonly at: Date;
    /** When the server got it; POP3 does not say. */
    readonly receivedAt?: Date | undefined;
    readonly parts: readonly JournalPart[];
  };

/** A run that moved mail or failed. */
export interface RunLine extends Omit<FoundRun, OwnerMember | 'at' | 'status'> {
  /** When it ended. */
  readonly at: Date;
  readonly status: 'ok' | 'failed' | 'skipped';
}

/** What became later of a mail whose line says `undelivered`. */
export interface LaterLine {
  readonly at: Date;
  readonly interchangeId: string;
  readonly outcome: 'delivered' | 'given-up';
}

const maxTextCharacters = 1_024;
/** Of one line, so that a mail of very many parts takes neither memory nor a whole append for itself. */
export const maxLineBytes = 256 * 1_024;

/** A mail's line as text, with its line end. The members that are read without parsing come first. */
export function mailText(mode: JournalMode, owner: ConnectionKey, runId: string, mail: MailLine): string {
  const isFull = mode === 'full';
  const line = {
    kind: 'mail',
    at: mail.at.toISOString(),
    runId,
    customer: owner.customer,
    connection: owner.connection,
    interchangeId: mail.interchangeId,
    outcome: mail.outcome,
    reason: mail.outcome === 'left-out' ? cut(mail.reason) : undefined,
    emailMessageId: isFull ? cut(mail.emailMessageId) : hashedMessageId(mail.emailMessageId),
    emailSubject: isFull ? cut(mail.emailSubject) : undefined,
    emailFrom: isFull ? cut(mail.emailFrom) : undefined,
    emailTo: isFull ? cut(mail.emailTo) : undefined,
    emailDate: mail.emailDate,
    receivedAt: mail.receivedAt?.toISOString(),
    sizeBytes: mail.sizeBytes,
    queueName: mail.queueName,
    parts: mail.parts.map((part) => partOf(isFull, part)),
    warning: cut(mail.warning),
  };
  const text = `${JSON.stringify(line)}\n`;
  return Buffer.byteLength(text) <= maxLineBytes ? text : shortened(line);
}

export function runText(runId: string, run: RunLine): string {
  const { at, status, mails, messages, bytes, durationMs, error } = run;
  const line = { kind: 'run', at: at.toISOString(), runId, status, mails, messages, bytes, durationMs };
  return `${JSON.stringify({ ...line, error: cut(error) })}\n`;
}

export function laterText({ at, interchangeId, outcome }: LaterLine): string {
  return `${JSON.stringify({ kind: 'later', at: at.toISOString(), interchangeId, outcome })}\n`;
}

/** What stands for a Message-ID with `ids`: hex SHA-256 of it, without blanks and angle brackets around. */
export function hashedMessageId(messageId: string | undefined): string | undefined {
  const plain = messageId?.trim().replace(/^<|>$/g, '');
  return plain ? hash('sha256', plain, 'hex') : undefined;
}

/** Named one by one: a part that the caller has may hold more than the journal may. */
function partOf(isFull: boolean, part: JournalPart): Record<string, string | number | undefined> {
  const { partNumber, messageId, partKind, size, sha256, claimCheck } = part;
  // A content type's parameters may give the file's name.
  const contentType = isFull ? part.contentType : (part.contentType.split(';', 1)[0] ?? '');
  return {
    partNumber,
    messageId,
    partKind,
    inboundFileName: isFull ? cut(part.inboundFileName) : undefined,
    contentType: cut(contentType),
    size,
    sha256,
    claimCheck,
  };
}

/** The line with as many of its parts as fit, saying how many it leaves out. */
function shortened<L extends { readonly parts: readonly object[]; readonly warning: string | undefined }>(
  line: L,
): string {
  const roomBytes = maxLineBytes - Buffer.byteLength(JSON.stringify({ ...line, parts: [] })) - 200;
  let takenBytes = 0;
  const kept = line.parts.findIndex((part) => {
    takenBytes += Buffer.byteLength(JSON.stringify(part)) + 1;
    return takenBytes > roomBytes;
  });
  const parts = kept < 0 ? line.parts : line.parts.slice(0, kept);
  const left = `${line.parts.length - parts.length} more parts are not listed here.`;
  const warning = line.warning === undefined ? left : `${line.warning} ${left}`;
  return `${JSON.stringify({ ...line, parts, warning })}\n`;
}

function cut(text: string | undefined): string | undefined {
  return text?.slice(0, maxTextCharacters).toWellFormed();
}
