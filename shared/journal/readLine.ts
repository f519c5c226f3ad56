import { isObject, type JsonObject, parseObject } from '../json/json.ts';
import { clockToleranceMs } from '../time/time.ts';
import type { JournalFile } from './files.ts';
import { type FoundMail, type FoundPart, type FoundRun, outcomes } from './found.ts';

/** Reads a line of kind `mail`; undefined for one that is not as the journal writes it. */
export function readMailLine(text: string, later?: Later): FoundMail | undefined {
  const line = parseObject(text) ?? {};
  const known = neededTexts(line, ['at', 'runId', 'customer', 'connection', 'interchangeId', 'queueName']);
  const written = outcomes.find((outcome) => outcome === line.outcome);
  if (known === undefined || written === undefined) return undefined;
  // One from before this line is of the time before, when the same mail was picked up already.
  const isOfIt = later && Date.parse(later.at) > Date.parse(known.at) - clockToleranceMs;
  const outcome = written === 'undelivered' && isOfIt ? later.outcome : written;
  const parts = Array.isArray(line.parts) ? line.parts : [];
  return {
    ...known,
    outcome,
    ...texts(line, ['reason', 'emailMessageId', 'emailSubject', 'emailFrom', 'emailTo', 'emailDate']),
    ...texts(line, ['receivedAt', 'warning']),
    sizeBytes: countOf(line.sizeBytes),
    parts: parts.map(partOf).filter((part) => part !== undefined),
  };
}

/** Reads a line of kind `run`, whose file says which connection it is about. */
export function readRunLine(text: string, file: JournalFile | undefined): FoundRun | undefined {
  const line = parseObject(text) ?? {};
  const known = neededTexts(line, ['at', 'runId', 'status']);
  if (known === undefined || file === undefined) return undefined;
  return {
    ...known,
    customer: file.customer,
    connection: file.connection,
    mails: countOf(line.mails),
    messages: countOf(line.messages),
    bytes: countOf(line.bytes),
    durationMs: countOf(line.durationMs),
    ...texts(line, ['error']),
  };
}

export type Later = NonNullable<ReturnType<typeof readLaterLine>>;

/** Reads a line of kind `later`. */
export function readLaterLine(text: string) {
  const line = parseObject(text) ?? {};
  const known = neededTexts(line, ['at', 'interchangeId']);
  const outcome = (['delivered', 'given-up'] as const).find((each) => each === line.outcome);
  return known && outcome && { ...known, outcome };
}

function partOf(value: unknown): FoundPart | undefined {
  const part = isObject(value) ? value : {};
  const known = neededTexts(part, ['messageId', 'partKind']);
  if (known === undefined) return undefined;
  return {
    ...known,
    partNumber: countOf(part.partNumber),
    ...{ contentType: '', sha256: '', ...texts(part, ['contentType', 'sha256']) },
    size: countOf(part.size),
    ...texts(part, ['inboundFileName', 'claimCheck']),
  };
}

/** Undefined where one of them is missing. */
function neededTexts<Name extends string>(
  line: JsonObject,
  names: readonly Name[],
): { [name in Name]: string } | undefined {
  const found = names.map((name) => [name, line[name]]);
  if (!found.every(([, value]) => typeof value === 'string')) return undefined;
  return Object.fromEntries(found) as { [name in Name]: string };
}

function texts<Name extends string>(line: JsonObject, names: readonly Name[]): { [name in Name]?: string } {
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
