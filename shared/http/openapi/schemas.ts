import * as z from 'zod';
import {
  type ConfigColumn,
  type ConfigColumnName,
  configColumnNames,
  configColumns,
  isSecretColumn,
  keyPattern,
} from '../../connection/columns.ts';
import { historyHours } from '../../connection/history.ts';
import { configSchema } from '../../connection/schema.ts';
import { maxLastErrorLength, runStatuses } from '../../connection/state.ts';
import { secretFlags } from '../representation.ts';
import { testStepNames } from '../testSteps.ts';

type Schema = Readonly<Record<string, unknown>>;

export const keySchema: Schema = { type: 'string', pattern: keyPattern.source };
export const reference = (name: string): Schema => ({ $ref: `#/components/schemas/${name}` });

const time: Schema = { type: 'string', format: 'date-time' };
const count: Schema = { type: 'integer', minimum: 0 };
const hourly: Schema = { type: 'array', items: count, maxItems: historyHours };
const flags = Object.fromEntries(
  secretFlags.map((flag) => [
    flag,
    { type: 'boolean', readOnly: true, description: `Whether ${flag.replace(/Set$/, '')} is stored.` },
  ]),
);
const state: Schema = {
  type: 'object',
  readOnly: true,
  description: 'What the app has written: what the runs did, and when the next is due.',
  properties: {
    nextRunAt: { ...time, description: 'Missing or past: due now.' },
    lastRunStartedAt: time,
    lastRunEndedAt: time,
    heartbeatAt: { ...time, description: 'Older than two minutes while running: the run has died.' },
    lastStatus: { type: 'string', enum: [...runStatuses] },
    lastError: { type: 'string', maxLength: maxLastErrorLength, description: 'Empty after an ok.' },
    consecutiveFailures: count,
    lastMailCount: count,
    lastMessageCount: count,
    lastMailAt: { ...time, description: 'When the last mail was delivered.' },
    skippedSince: {
      type: 'string',
      description: 'Since when the lease was found taken; empty once it was not.',
    },
    runId: { type: 'string' },
    scheduleAnchor: time,
    history: {
      type: 'object',
      description: 'The last day by the hour; quiet hours at either end are left out.',
      required: ['since', 'mails', 'failures'],
      properties: {
        since: { ...time, description: 'The first hour.' },
        mails: hourly,
        failures: { ...hourly, description: 'Runs that failed.' },
      },
      additionalProperties: false,
    },
  },
  additionalProperties: false,
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

/** A column as it stands in the table, where an editor may have left anything. */
function storedColumn(name: ConfigColumnName): Schema {
  const { type, description }: ConfigColumn = configColumns[name];
  return { type: type === 'string' ? type : [type, 'string'], description };
}

const shownColumns = configColumnNames.filter((name) => !isSecretColumn(name));

const steps: Schema = {
  type: 'array',
  description: 'Up to the one that failed.',
  items: {
    type: 'object',
    required: ['step', 'result', 'text'],
    properties: {
      step: { type: 'string', enum: [...testStepNames] },
      result: { type: 'string', enum: ['ok', 'warning', 'failed'] },
      text: { type: 'string' },
    },
    additionalProperties: false,
  },
};
const folders: Schema = {
  type: 'array',
  description:
    'With steps, over IMAP: the folders to choose from, at most 500, as far as the server gives them.',
  items: { type: 'string' },
};
const previewItem: Schema = {
  type: 'object',
  required: ['parts', 'isCut'],
  properties: {
    subject: { type: 'string' },
    from: { type: 'string' },
    date: { type: 'string' },
    parts: {
      type: 'array',
      items: {
        type: 'object',
        required: ['partKind', 'fileName', 'contentType'],
        properties: {
          partKind: { type: 'string' },
          fileName: { type: 'string' },
          contentType: { type: 'string' },
        },
        additionalProperties: false,
      },
    },
    isCut: {
      type: 'boolean',
      description: 'There may be more parts than its begin tells; over POP3 its header, which tells none.',
    },
    isTaken: { type: 'boolean', description: 'Whether the filters take it; absent without filters.' },
  },
  additionalProperties: false,
};
const next: Schema = { type: 'string', description: 'There may be more: ask with after set to this.' };
const orderProperties: Readonly<Record<string, Schema>> = {
  customer: { type: 'string' },
  connection: { type: 'string' },
  runRequestedAt: time,
};
const undeliveredRequired = [
  'id',
  'interchangeId',
  'customer',
  'connection',
  'queueName',
  'status',
  'storedAt',
  'tries',
  'lastError',
  'partsLeft',
  'partCount',
];
const undeliveredProperties: Readonly<Record<string, Schema>> = {
  id: { type: 'string', description: 'Of the record; the newest sorts first.' },
  interchangeId: { type: 'string', format: 'uuid', description: 'That of its messages.' },
  customer: { type: 'string' },
  connection: { type: 'string' },
  queueName: { type: 'string' },
  status: {
    type: 'string',
    enum: ['waiting', 'abandoned'],
    description: 'Abandoned: too old to be tried again, until someone asks for it.',
  },
  storedAt: time,
  nextTryAt: { ...time, description: 'Absent when abandoned.' },
  lastTryAt: time,
  tries: count,
  lastError: { type: 'string', maxLength: 1024 },
  partsLeft: count,
  partCount: count,
  emailSubject: { type: 'string' },
  emailMessageId: { type: 'string' },
  emailFrom: { type: 'string' },
  emailDate: { type: 'string' },
};

function journalPage(member: string, item: string): Schema {
  return {
    type: 'object',
    required: [member, 'journal'],
    properties: {
      [member]: { type: 'array', items: reference(item) },
      next,
      incomplete: {
        type: 'string',
        description: 'Says that the window was too much for one answer: go on with next, or ask for less.',
      },
      journal: {
        type: 'string',
        enum: ['full', 'ids', 'off'],
        description: 'What the app setting JOURNAL says now.',
      },
    },
    additionalProperties: false,
  };
}

export const schemas: Readonly<Record<string, Schema>> = {
  ConnectionInput: inputSchema(),
  Connection: {
    type: 'object',
    description:
      'A connection as it is stored. Columns that are not set are absent; one that a table editor has given another type is a string.',
    required: ['customer', 'connection', ...secretFlags, 'state'],
    properties: {
      customer: { type: 'string' },
      connection: { type: 'string' },
      ...Object.fromEntries(shownColumns.map((name) => [name, storedColumn(name)])),
      ...flags,
      state,
    },
    additionalProperties: false,
  },
  Connections: {
    type: 'object',
    required: ['connections', 'asOf'],
    properties: {
      connections: { type: 'array', items: reference('Connection') },
      asOf: { ...time, description: 'When the answer was begun: `since` for what has changed from then on.' },
      next,
    },
    additionalProperties: false,
  },
  TestOutcome: {
    oneOf: [
      {
        type: 'object',
        required: ['ok', 'mails'],
        properties: {
          ok: { const: true },
          mails: { ...count, description: 'What a poll would take; with filters, what it would look at.' },
          steps,
          folders,
          preview: {
            type: 'array',
            description:
              'With steps: the first three mails, with filters ten; over IMAP by their first 256 KiB, over POP3 by their headers, where TOP may be asked.',
            items: previewItem,
          },
        },
        additionalProperties: false,
      },
      {
        type: 'object',
        required: ['ok', 'error'],
        properties: { ok: { const: false }, error: { type: 'string' }, steps, folders },
        additionalProperties: false,
      },
    ],
  },
  PollOrder: {
    type: 'object',
    required: ['customer', 'connection', 'runRequestedAt'],
    properties: orderProperties,
    additionalProperties: false,
  },
  PollOutcome: {
    type: 'object',
    required: ['customer', 'connection', 'runRequestedAt', 'state'],
    properties: { ...orderProperties, state },
    additionalProperties: false,
  },
  Undelivered: {
    type: 'object',
    required: undeliveredRequired,
    properties: undeliveredProperties,
    additionalProperties: false,
  },
  UndeliveredMail: {
    type: 'object',
    required: [...undeliveredRequired, 'parts'],
    properties: { ...undeliveredProperties, parts: { type: 'array', items: reference('Part') } },
    additionalProperties: false,
  },
  UndeliveredList: {
    type: 'object',
    required: ['undelivered'],
    properties: { undelivered: { type: 'array', items: reference('Undelivered') }, next },
    additionalProperties: false,
  },
  Part: {
    type: 'object',
    description: 'One part of a mail, as its message says.',
    required: ['partNumber', 'messageId', 'partKind', 'contentType', 'size', 'sha256'],
    properties: {
      partNumber: { type: 'integer', minimum: 1 },
      messageId: { type: 'string' },
      partKind: { type: 'string', enum: ['body', 'attachment', 'raw'] },
      inboundFileName: { type: 'string', description: 'Absent in a journal of ids.' },
      contentType: { type: 'string' },
      size: count,
      sha256: { type: 'string' },
      claimCheck: { type: 'string', description: '`container/blob`, where the message has no body.' },
    },
    additionalProperties: false,
  },
  Mail: {
    type: 'object',
    required: [
      'at',
      'runId',
      'customer',
      'connection',
      'interchangeId',
      'outcome',
      'sizeBytes',
      'queueName',
      'parts',
    ],
    properties: {
      at: { ...time, description: 'When it left the unread ones.' },
      runId: { type: 'string' },
      customer: { type: 'string' },
      connection: { type: 'string' },
      interchangeId: { type: 'string', format: 'uuid', description: 'That of its messages.' },
      outcome: {
        type: 'string',
        enum: ['delivered', 'undelivered', 'left-out', 'given-up'],
        description: 'The latest that is known.',
      },
      reason: { type: 'string', description: 'Why it was left out.' },
      emailMessageId: { type: 'string', description: 'In a journal of ids the SHA-256 of it.' },
      emailSubject: { type: 'string' },
      emailFrom: { type: 'string' },
      emailTo: { type: 'string' },
      emailDate: { type: 'string' },
      receivedAt: time,
      sizeBytes: count,
      queueName: { type: 'string' },
      parts: { type: 'array', items: reference('Part') },
      warning: { type: 'string' },
    },
    additionalProperties: false,
  },
  Mails: journalPage('mails', 'Mail'),
  Run: {
    type: 'object',
    required: ['at', 'runId', 'customer', 'connection', 'status', 'mails', 'messages', 'bytes', 'durationMs'],
    properties: {
      at: { ...time, description: 'When it ended.' },
      runId: { type: 'string' },
      customer: { type: 'string' },
      connection: { type: 'string' },
      status: { type: 'string' },
      mails: count,
      messages: count,
      bytes: count,
      durationMs: count,
      error: { type: 'string' },
    },
    additionalProperties: false,
  },
  Runs: journalPage('runs', 'Run'),
  ResendOrder: {
    type: 'object',
    required: ['id'],
    properties: { id: { type: 'string' } },
    additionalProperties: false,
  },
  Problem: {
    type: 'object',
    required: ['error'],
    properties: { error: { type: 'string', description: 'One sentence: what is wrong, and what to do.' } },
    additionalProperties: false,
  },
  WrongColumns: {
    type: 'object',
    required: ['errors'],
    properties: {
      errors: {
        type: 'array',
        minItems: 1,
        items: {
          type: 'object',
          required: ['column', 'message'],
          properties: { column: { type: 'string' }, message: { type: 'string' } },
          additionalProperties: false,
        },
      },
    },
    additionalProperties: false,
  },
};
