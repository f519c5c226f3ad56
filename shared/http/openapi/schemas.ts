import * as z from 'zod';
import {
  type ConfigColumn,
  configColumnNames,
  configColumns,
  isSecretColumn,
  keyPattern,
} from '../../connection/columns.ts';
import { historyHours } from '../../connection/history.ts';
import { configSchema } from '../../connection/schema.ts';
import { maxLastErrorLength, runStatuses } from '../../connection/state.ts';
import { secretFlags } from '../representation.ts';
import { testStepNames } from '../testOutcome.ts';

type Schema = Readonly<Record<string, unknown>>;

/** An object with just these members; those whose names end in `?` may be absent. */
function object(members: Readonly<Record<string, Schema>>): Schema {
  const required = Object.keys(members).filter((name) => !name.endsWith('?'));
  return {
    type: 'object',
    ...(required.length > 0 ? { required } : {}),
    properties: Object.fromEntries(
      Object.entries(members).map(([name, schema]) => [name.replace(/\?$/, ''), schema]),
    ),
    additionalProperties: false,
  };
}

export const reference = (name: string): Schema => ({ $ref: `#/components/schemas/${name}` });
export const words = (possible: readonly string[]): Schema => ({ type: 'string', enum: possible });
export const text: Schema = { type: 'string' };
export const time: Schema = { type: 'string', format: 'date-time' };
export const keySchema: Schema = { type: 'string', pattern: keyPattern.source };
const uuid: Schema = { type: 'string', format: 'uuid', description: 'That of its messages.' };
const count: Schema = { type: 'integer', minimum: 0 };
const list = (items: Schema): Schema => ({ type: 'array', items });
const hourly: Schema = { ...list(count), maxItems: historyHours };
const flags = Object.fromEntries(
  secretFlags.map((flag) => [
    flag,
    { type: 'boolean', readOnly: true, description: `Whether ${flag.replace(/Set$/, '')} is stored.` },
  ]),
);
const state: Schema = {
  ...object({
    'nextRunAt?': { ...time, description: 'Missing or past: due now.' },
    'lastRunStartedAt?': time,
    'lastRunEndedAt?': time,
    'heartbeatAt?': { ...time, description: 'Older than two minutes while running: the run has died.' },
    'lastStatus?': words(runStatuses),
    'lastError?': { ...text, maxLength: maxLastErrorLength, description: 'Empty after an ok.' },
    'consecutiveFailures?': count,
    'lastMailCount?': count,
    'lastMessageCount?': count,
    'lastMailAt?': { ...time, description: 'When the last mail was delivered.' },
    'skippedSince?': {
      ...text,
      description: 'Since when the lease was found taken; empty once it was not.',
    },
    'runId?': text,
    'scheduleAnchor?': time,
    'history?': {
      ...object({
        since: { ...time, description: 'The first hour.' },
        mails: hourly,
        failures: { ...hourly, description: 'Runs that failed.' },
      }),
      description: 'The last day by the hour; quiet hours at either end are left out.',
    },
  }),
  readOnly: true,
  description: 'What the app has written: what the runs did, and when the next is due.',
};

/** What a request gives: the very schema that polls go by. */
function inputSchema(): Schema {
  const { properties = {}, required } = z.toJSONSchema(configSchema, { io: 'input' });
  const columns = Object.entries(properties).map(([name, property]) => {
    const schema = typeof property === 'object' ? property : {};
    if (!isSecretColumn(name)) return [name, schema];
    const description = `${schema.description ?? ''} Left out or empty: the stored one is kept; null: it is removed.`;
    return [name, { ...schema, type: ['string', 'null'], minLength: 0, description, writeOnly: true }];
  });
  return {
    type: 'object',
    description:
      'The config of a connection. Bools and whole numbers may be strings too; an empty column counts as left out. What the API answers may come back: its read-only members change nothing.',
    required,
    properties: {
      customer: { ...keySchema, readOnly: true },
      connection: { ...keySchema, readOnly: true },
      ...Object.fromEntries(columns),
      ...flags,
      state: { ...state, additionalProperties: true },
    },
    additionalProperties: false,
  };
}

/** The columns as they stand in the table, where an editor may have left anything. */
const storedColumns = Object.fromEntries(
  configColumnNames
    .filter((name) => !isSecretColumn(name))
    .map((name) => {
      const { type, description }: ConfigColumn = configColumns[name];
      return [`${name}?`, { type: type === 'string' ? type : [type, 'string'], description }];
    }),
);

const steps: Schema = {
  ...list(object({ step: words(testStepNames), result: words(['ok', 'warning', 'failed']), text })),
  description: 'Up to the one that failed.',
};
const folders: Schema = {
  ...list(text),
  description:
    'With steps, over IMAP: the folders to choose from, at most 500, as far as the server gives them.',
};
const preview: Schema = {
  ...list(
    object({
      'subject?': text,
      'from?': text,
      'date?': text,
      parts: list(object({ partKind: text, fileName: text, contentType: text })),
      isCut: {
        type: 'boolean',
        description: 'There may be more parts than its begin tells; over POP3 its header, which tells none.',
      },
      'isTaken?': { type: 'boolean', description: 'Whether the filters take it; absent without filters.' },
    }),
  ),
  description:
    'With steps: the first three mails, with filters ten; over IMAP by their first 256 KiB, over POP3 by their headers, where TOP may be asked.',
};
const next: Schema = { ...text, description: 'There may be more: ask with after set to this.' };
const ownerMembers = { customer: text, connection: text };
const orderMembers = { ...ownerMembers, runRequestedAt: time };
const undeliveredMembers = {
  id: { ...text, description: 'Of the record; the newest sorts first.' },
  interchangeId: uuid,
  ...ownerMembers,
  queueName: text,
  status: {
    ...words(['waiting', 'abandoned']),
    description: 'Abandoned: too old to be tried again, until someone asks for it.',
  },
  storedAt: time,
  'nextTryAt?': { ...time, description: 'Absent when abandoned.' },
  'lastTryAt?': time,
  tries: count,
  lastError: { ...text, maxLength: 1024 },
  partsLeft: count,
  partCount: count,
  'emailSubject?': text,
  'emailMessageId?': text,
  'emailFrom?': text,
  'emailDate?': text,
};

const journalMembers = {
  'next?': next,
  'incomplete?': {
    ...text,
    description: 'Says that the window was too much for one answer: go on with next, or ask for less.',
  },
  journal: { ...words(['full', 'ids', 'off']), description: 'What the app setting JOURNAL says now.' },
};

export const schemas: Readonly<Record<string, Schema>> = {
  ConnectionInput: inputSchema(),
  Connection: {
    ...object({ ...ownerMembers, ...storedColumns, ...flags, state }),
    description:
      'A connection as it is stored. Columns that are not set are absent; one that a table editor has given another type is a string.',
  },
  Connections: object({
    connections: list(reference('Connection')),
    asOf: { ...time, description: 'When the answer was begun: `since` for what has changed from then on.' },
    'next?': next,
  }),
  TestOutcome: {
    oneOf: [
      object({
        ok: { const: true },
        mails: { ...count, description: 'What a poll would take; with filters, what it would look at.' },
        'steps?': steps,
        'folders?': folders,
        'preview?': preview,
      }),
      object({ ok: { const: false }, error: text, 'steps?': steps, 'folders?': folders }),
    ],
  },
  PollOrder: object(orderMembers),
  PollOutcome: object({ ...orderMembers, state }),
  Undelivered: object(undeliveredMembers),
  UndeliveredMail: object({ ...undeliveredMembers, parts: list(reference('Part')) }),
  UndeliveredList: object({ undelivered: list(reference('Undelivered')), 'next?': next }),
  Part: {
    ...object({
      partNumber: { type: 'integer', minimum: 1 },
      messageId: text,
      partKind: words(['body', 'attachment', 'raw']),
      'inboundFileName?': { ...text, description: 'Absent in a journal of ids.' },
      contentType: text,
      size: count,
      sha256: text,
      'claimCheck?': { ...text, description: '`container/blob`, where the message has no body.' },
    }),
    description: 'One part of a mail, as its message says.',
  },
  Mail: object({
    at: { ...time, description: 'When it left the unread ones.' },
    runId: text,
    ...ownerMembers,
    interchangeId: uuid,
    outcome: {
      ...words(['delivered', 'undelivered', 'left-out', 'given-up']),
      description: 'The latest that is known.',
    },
    'reason?': { ...text, description: 'Why it was left out.' },
    'emailMessageId?': { ...text, description: 'In a journal of ids the SHA-256 of it.' },
    'emailSubject?': text,
    'emailFrom?': text,
    'emailTo?': text,
    'emailDate?': text,
    'receivedAt?': time,
    sizeBytes: count,
    queueName: text,
    parts: list(reference('Part')),
    'warning?': text,
  }),
  Mails: object({ mails: list(reference('Mail')), ...journalMembers }),
  Run: object({
    at: { ...time, description: 'When it ended.' },
    runId: text,
    ...ownerMembers,
    status: text,
    mails: count,
    messages: count,
    bytes: count,
    durationMs: count,
    'error?': text,
  }),
  Runs: object({ runs: list(reference('Run')), ...journalMembers }),
  ResendOrder: object({ id: text }),
  Problem: object({ error: { ...text, description: 'One sentence: what is wrong, and what to do.' } }),
  WrongColumns: object({
    errors: { ...list(object({ column: text, message: text })), minItems: 1 },
  }),
};
