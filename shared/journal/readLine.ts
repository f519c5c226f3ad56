import type { JournalFile } from './files.ts';
import type { JournalPart } from './lines.ts';

/** A mail as the journal tells it; times are ISO 8601. */
export interface FoundMail {
  readonly at: string;
  readonly runId: string;
  readonly customer: string;
  readonly connection: string;
  readonly interchangeId: string;
  /** The latest that is known. */
  readonly outcome: 'delivered' | 'undelivered' | 'left-out' | 'given-up';
  readonly reason?: string;
  readonly emailMessageId?: string;
  readonly emailSubject?: string;
  readonly emailFrom?: string;
  readonly emailTo?: string;
  readonly emailDate?: string;
  readonly receivedAt?: string;
  readonly sizeBytes: number;
  readonly queueName: string;
  readonly parts: readonly FoundPart[];
  readonly warning?: string;
}

/** Without its name in a journal of ids. */
export type FoundPart = Omit<JournalPart, 'inboundFileName' | 'partKind'> & {
  readonly partKind: string;
  readonly inboundFileName?: string;
};

export interface FoundRun {
  readonly at: string;
  readonly runId: string;
  readonly customer: string;
  readonly connection: string;
  readonly status: string;
  readonly mails: number;
  readonly messages: number;
  readonly bytes: number;
  readonly durationMs: number;
  readonly error?: string;
}

const outcomes = ['delivered', 'undelivered', 'left-out', 'given-up'] as const;

/** Reads a line of kind `mail`; undefined for one that is not as the journal writes it. */
export function readMailLine(text: string, later: string | undefined): FoundMail | undefined {
  const line = parse(text);
  if (line === undefined) return undefined;
  const written = outcomes.find((outcome) => outcome === line.outcome);
  const outcome = written === 'undelivered' ? (outcomes.find((each) => each === later) ?? written) : written;
  const [at, runId, customer, connection, interchangeId, queueName] = [
    line.at,
    line.runId,
    line.customer,
    line.connection,
    line.interchangeId,
    line.queueName,
  ].map(textOf);
  if (at === undefined || customer === undefined || connection === undefined || interchangeId === undefined) {
    return undefined;
  }
  if (outcome === undefined || runId === undefined || queueName === undefined) return undefined;
  const parts = Array.isArray(line.parts) ? line.parts : [];
  return {
    at,
    runId,
    customer,
    connection,
    interchangeId,
    outcome,
    ...texts(line, ['reason', 'emailMessageId', 'emailSubject', 'emailFrom', 'emailTo', 'emailDate']),
    ...texts(line, ['receivedAt', 'warning']),
    sizeBytes: countOf(line.sizeBytes),
    queueName,
    parts: parts.map(partOf).filter((part) => part !== undefined),
  };
}

/** Reads a line of kind `run`, whose file says which connection it is about. */
export function readRunLine(text: string, file: JournalFile | undefined): FoundRun | undefined {
  const line = parse(text);
  const [at, runId, status] = [line?.at, line?.runId, line?.status].map(textOf);
  if (line === undefined || file === undefined) return undefined;
  if (at === undefined || runId === undefined || status === undefined) return undefined;
  return {
    at,
    runId,
    customer: file.customer,
    connection: file.connection,
    status,
    mails: countOf(line.mails),
    messages: countOf(line.messages),
    bytes: countOf(line.bytes),
    durationMs: countOf(line.durationMs),
    ...texts(line, ['error']),
  };
}

function partOf(value: unknown): FoundPart | undefined {
  if (!isObject(value)) return undefined;
  const [messageId, partKind, contentType, sha256] = [
    value.messageId,
    value.partKind,
    value.contentType,
    value.sha256,
  ].map(textOf);
  if (messageId === undefined || partKind === undefined) return undefined;
  return {
    partNumber: countOf(value.partNumber),
    messageId,
    partKind,
    contentType: contentType ?? '',
    size: countOf(value.size),
    sha256: sha256 ?? '',
    ...texts(value, ['inboundFileName', 'claimCheck']),
  };
}

type Line = Readonly<Record<string, unknown>>;

function parse(text: string): Line | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is Line {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

function texts<Name extends string>(line: Line, names: readonly Name[]): { [name in Name]?: string } {
  const found: { [name in Name]?: string } = {};
  for (const name of names) {
    const value = line[name];
    if (typeof value === 'string' && value !== '') found[name] = value;
  }
  return found;
}

function countOf(value: unknown): number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : 0;
}
