import { createHash } from 'node:crypto';
import { toPem } from '../mailbox/pem.ts';
import { checkCron } from '../time/cron.ts';
import { decodeAuth, type Findings } from './auth.ts';
import {
  type ConfigColumn,
  type ConfigColumnName,
  configColumnNames,
  configColumns,
  isConfigColumn,
  isSecretColumn,
  isSecretReference,
  keyRule,
  normalizeColumn,
} from './columns.ts';
import { type ColumnError, type ConnectionConfig, type Decoded, defaultPort, securityOf } from './config.ts';
import { parsePatterns } from './patterns.ts';
import { type Columns, partialSchema } from './schema.ts';
import type { SecretSources } from './secret.ts';
import { stateColumns } from './state.ts';
import { toHost } from './syntax.ts';

// Imports zod and croner (100 ms to load): reach this module by a dynamic import.

const required = ['host', 'hostType', 'username'] as const;
const keys = ['PartitionKey', 'RowKey'] as const;

/**
 * Decodes one entity of the table of connections. Every wrong column gets one sentence; no sentence holds
 * a secret. `sources` has the app settings that hold secrets; what stands in a vault is not read. Never throws.
 * With `strict`, for the HTTP API, unknown columns are wrong too, and the keys are called `customer` and `connection`.
 */
export function decodeConnection(
  entity: Readonly<Record<string, unknown>>,
  sources: SecretSources,
  { strict = false } = {},
): Decoded {
  const errors = new Map<string, string>();
  const raw = normalize(entity);
  const columns = parseColumns(raw, errors, strict);
  const findings: Findings = {
    // One sentence a column: the first one, since what is wrong by itself is wrong in any company.
    report: (column, message) => void (errors.has(column) || errors.set(column, message)),
    has: (column) => raw[column] !== undefined,
  };
  for (const name of required) {
    if (!findings.has(name))
      findings.report(name, `${name} is missing; it must be ${configColumns[name].rule}.`);
  }
  checkTogether(raw, columns, findings);
  const auth = decodeAuth(columns, findings, sources);
  if (strict) reportUnknown(entity, findings);
  const { PartitionKey: customer, RowKey: connection, hostType, username } = columns;
  const host = columns.host === undefined ? undefined : toHost(columns.host);
  if (
    errors.size > 0 ||
    auth === undefined ||
    customer === undefined ||
    connection === undefined ||
    hostType === undefined ||
    host === undefined ||
    username === undefined
  ) {
    return { ok: false, errors: [...errors].map(([column, message]): ColumnError => ({ column, message })) };
  }
  const protocol = hostType === 'IMAP' ? 'imap' : 'pop3';
  const known = { customer, connection, protocol, host, username, auth } as const;
  return { ok: true, config: { ...known, ...configOf(columns, protocol) } };
}

function normalize(entity: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const { PartitionKey, RowKey } = entity;
  const given = configColumnNames.filter((name) => Object.hasOwn(entity, name));
  const columns = given.map((name) => [name, normalizeColumn(name, entity[name])]);
  return { PartitionKey, RowKey, ...Object.fromEntries(columns) };
}

/** The columns that are right by themselves, with their defaults; the others are reported. */
function parseColumns(raw: Record<string, unknown>, errors: Map<string, string>, strict: boolean): Columns {
  const shown: Readonly<Record<string, string>> = strict
    ? { PartitionKey: 'customer', RowKey: 'connection' }
    : {};
  for (const key of keys) {
    const name = shown[key] ?? key;
    if (raw[key] === undefined) errors.set(name, `${name} is missing; it must be ${keyRule}.`);
  }
  const first = partialSchema.safeParse(raw);
  if (first.success) return first.data;
  const good = { ...raw };
  for (const issue of first.error.issues) {
    const column = String(issue.path[0]);
    const name = shown[column] ?? column;
    delete good[column];
    errors.set(
      name,
      isConfigColumn(column)
        ? columnSentence(column, raw[column])
        : `${name} is ${quote(raw[column])}; it must be ${keyRule}.`,
    );
  }
  return partialSchema.parse(good);
}

function columnSentence(name: ConfigColumnName, value: unknown): string {
  if (name === 'cron' && typeof value === 'string') {
    return `cron is ${quote(value)}; ${checkCron(value) ?? 'it must have at most 256 characters'}.`;
  }
  const { type, rule }: ConfigColumn = configColumns[name];
  // As some tools write whatever has digits alone. Zeros in front are lost then, so it is not taken for the text.
  if (type === 'string' && typeof value === 'number') return `${name} is a number; it must be ${rule}.`;
  // A name that can't be a setting's may be the secret itself, put into the wrong column.
  const hidden =
    isSecretColumn(name) ||
    name === 'caCertificate' ||
    isSecretReference(name) ||
    name === 'oauth2TokenEndpoint';
  return `${name} is ${hidden ? 'not valid' : quote(value)}; it must be ${rule}.`;
}

const maxQuoteLength = 80;

function quote(value: unknown): string {
  if (typeof value === 'string') {
    const text = JSON.stringify(value.length > maxQuoteLength ? `${value.slice(0, maxQuoteLength)}…` : value);
    // What nobody sees, such as a zero-width space that was copied along, is shown.
    const hexOf = (character: string) => (character.codePointAt(0) ?? 0).toString(16).padStart(4, '0');
    return text.replace(/(?! )[\p{C}\p{Z}]/gu, (character) => `\\u${hexOf(character)}`);
  }
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  return `of type ${value === null ? 'null' : typeof value}`;
}

function checkTogether(raw: Record<string, unknown>, columns: Columns, { report, has }: Findings): void {
  if (columns.startTls && columns.useSsl) {
    report('startTls', 'startTls is true while useSsl is true; it must be false unless useSsl is false.');
  }
  if (has('cron') && has('pollingIntervalSeconds')) {
    report('cron', 'cron is given together with pollingIntervalSeconds; only one of them may be given.');
  }
  if (raw.sendAttachments === false && raw.sendMessageBody === false) {
    report(
      'sendMessageBody',
      'sendMessageBody and sendAttachments are both false; one of them must be true, or mail would be consumed and nothing sent.',
    );
  }
  if (has('moveToFolder') && columns.deleteMessages) {
    report(
      'moveToFolder',
      'moveToFolder is given while deleteMessages is true; only one of them may say what becomes of a delivered mail.',
    );
  }
  if (columns.moveToFolder !== undefined && isSameFolder(columns.moveToFolder, columns.folder)) {
    report('moveToFolder', 'moveToFolder is the folder that is polled; it must be another one.');
  }
  if (columns.hostType === 'POP3') {
    for (const name of imapOnly) {
      if (!has(name)) continue;
      report(name, `${name} is given while hostType is POP3; it must be left out, since only IMAP has it.`);
    }
    if (columns.unmatchedMails === 'markRead') {
      report(
        'unmatchedMails',
        'unmatchedMails is markRead while hostType is POP3; it must be left out, since POP3 has no read mark.',
      );
    }
  }
}

const imapOnly = ['fromFilter', 'toFilter', 'subjectFilter', 'moveToFolder'] as const;

/** INBOX is the same folder in any case (RFC 3501, section 5.1). */
function isSameFolder(one: string, other: string): boolean {
  return one === other || (one.toUpperCase() === 'INBOX' && other.toUpperCase() === 'INBOX');
}

function reportUnknown(entity: Readonly<Record<string, unknown>>, { report }: Findings): void {
  for (const name of Object.keys(entity)) {
    if (isConfigColumn(name) || keys.some((key) => key === name)) continue;
    const shown = name.slice(0, maxQuoteLength);
    const why = stateColumns.some((column) => column === name)
      ? 'is written by the app and can not be set'
      : 'is not a column of a connection';
    report(shown, `${JSON.stringify(shown)} ${why}; leave it out.`);
  }
}

/** Keeps due times within what a Date can hold; 68 years are as good as never. */
const maxIntervalSeconds = 2_147_483_647;

function configOf(
  columns: Columns,
  protocol: ConnectionConfig['protocol'],
): Omit<ConnectionConfig, 'customer' | 'connection' | 'protocol' | 'host' | 'username' | 'auth'> {
  const { useSsl, cron, timeZone, pollingIntervalSeconds = 60, moveToFolder, queueName } = columns;
  const caCertificate = toPem(columns.caCertificate ?? '');
  return {
    enabled: columns.enabled,
    port: columns.port ?? defaultPort(protocol, useSsl),
    security: securityOf(useSsl, columns.startTls),
    ...(caCertificate === undefined ? {} : { caCertificate }),
    rules: {
      sendBody: columns.sendMessageBody,
      sendAttachments: columns.sendAttachments,
      inlineAttachments: columns.inlineAttachments,
      bodyFormat: columns.bodyFormat,
      ...attachmentFilter(columns),
      unpackWinmail: columns.unpackWinmail,
    },
    ...mailFilters(columns),
    unmatchedMails: columns.unmatchedMails,
    ...(moveToFolder === undefined ? {} : { moveToFolder }),
    deleteMails: protocol === 'pop3' || columns.deleteMessages,
    folder: columns.folder,
    schedule:
      cron === undefined
        ? { kind: 'interval', intervalSeconds: Math.min(pollingIntervalSeconds, maxIntervalSeconds) }
        : { kind: 'cron', cron, timeZone },
    useProcessLock: columns.useProcessLock,
    ...(queueName === undefined ? {} : { queueName }),
    sessions: columns.sessions,
  };
}

function mailFilters({ fromFilter, toFilter, subjectFilter }: Columns): Pick<ConnectionConfig, 'filters'> {
  const texts = [fromFilter, toFilter, subjectFilter];
  if (texts.every((text) => text === undefined)) return {};
  const [from, to, subject] = texts.map((text) => (text === undefined ? undefined : parsePatterns(text)));
  const fingerprint = createHash('sha256').update(JSON.stringify(texts)).digest('base64url').slice(0, 22);
  return {
    filters: {
      ...(from === undefined ? {} : { from: from.takesWhole }),
      ...(to === undefined ? {} : { to: to.takesWhole }),
      ...(subject === undefined ? {} : { subject: subject.takesPart }),
      fingerprint,
    },
  };
}

function attachmentFilter({
  attachmentFilter: text,
}: Columns): Pick<ConnectionConfig['rules'], 'attachmentFilter'> {
  const patterns = text === undefined ? undefined : parsePatterns(text);
  return patterns === undefined ? {} : { attachmentFilter: (fileName) => patterns.takesWhole([fileName]) };
}
