import { runStatuses } from '../../connection/state.ts';
import { runLineStatuses } from '../journal.ts';
import { keySchema, reference, text, time, words } from './schemas.ts';

type Node = Readonly<Record<string, unknown>>;

const json = (schema: Node): Node => ({ 'application/json': { schema } });
const answer = (description: string, schema: string, headers?: Node): Node => ({
  description,
  content: json(reference(schema)),
  ...(headers === undefined ? {} : { headers }),
});
const problem = (description: string, headers?: Node): Node => answer(description, 'Problem', headers);

const header = (description: string): Node => ({ description, schema: text });
const etag = { ETag: header('The version of the config. State and secrets are not in it.') };
const retryAfter = { 'Retry-After': header('Seconds to wait.') };
const allow = { Allow: header('The methods that are possible.') };

/** What every call may answer. */
const always = {
  400: problem('A query parameter that there is none of, or a wrong value of one.'),
  401: { description: 'The function key is missing or wrong. Answered by the platform, with an empty body.' },
  405: problem('This method is not possible here.', allow),
  500: problem('A wrong app setting, or a defect; the log has it too.'),
  503: problem(
    'The storage account could not be reached, or others keep changing the same thing.',
    retryAfter,
  ),
};
const noConnection = problem('There is no such connection.');
const noUndelivered = problem('There is none of this id.');
const badBody = {
  400: {
    description: 'Wrong columns, each with its sentence; or a body that is not a JSON object.',
    content: json({ oneOf: [reference('WrongColumns'), reference('Problem')] }),
  },
  411: problem('The body was sent in chunks, which the Functions host does not hand over.'),
  413: problem('The body has more than 64 KiB.'),
  415: problem('The body is not application/json.'),
};
const conflict = { 412: problem('If-Match or If-None-Match does not hold.', etag) };

const parameterIn =
  (place: string, more: Node = {}) =>
  (name: string, schema: Node, description: string): Node => ({
    name,
    in: place,
    ...more,
    description,
    schema,
  });
const inQuery = parameterIn('query');
const inHeader = parameterIn('header');
const inPath = parameterIn('path', { required: true });
const connectionKeys = [
  inPath('customer', keySchema, 'The PartitionKey.'),
  inPath('connection', keySchema, 'The RowKey.'),
];
const undeliveredId = inPath('id', text, 'The id that the list gives.');
const limit = (usual: number): Node =>
  inQuery('limit', { type: 'integer', minimum: 1, maximum: 1000, default: usual }, 'The most to answer.');
const after = inQuery('after', text, 'Only those after this: `next` of the page before.');
const customer = inQuery('customer', text, 'Only this customer’s.');
const only = [customer, inQuery('connection', text, 'Only this connection’s, by its name.')];
const window = [
  ...only,
  inQuery('from', time, 'Or a day. Default: two days before `to`.'),
  inQuery('to', time, 'Or a day, to its end. Default: now.'),
];
const ifMatch = inHeader('If-Match', text, 'The ETag that was read: else 412.');
const ifNoneMatch = inHeader('If-None-Match', text, '`*`: only where there is none yet, else 412.');
const input = (required: boolean): Node => ({ required, content: json(reference('ConnectionInput')) });

/** The calls of a tag; each may answer `always` too. */
const callsOf =
  (tag: string) =>
  (operationId: string, summary: string, { responses, ...more }: Node & { readonly responses: Node }) => ({
    ...{ tags: [tag], operationId, summary, ...more },
    responses: { ...always, ...responses },
  });
const connections = callsOf('connections');
const undelivered = callsOf('undelivered');
const journal = callsOf('journal');

/** The OpenAPI paths, written by hand; the tests hold the answers to them. */
export const paths = {
  '/api/connections': {
    get: connections(
      'listConnections',
      'All connections, or those of a customer, in the order of their keys',
      {
        parameters: [
          customer,
          inQuery('status', words(runStatuses), 'Only those whose lastStatus it is.'),
          inQuery(
            'since',
            time,
            'Only those that were changed since then: `asOf` of an answer before. Those that were removed are not told.',
          ),
          after,
          limit(1000),
        ],
        responses: { 200: answer('A page of connections.', 'Connections') },
      },
    ),
  },
  '/api/connections/{customer}/{connection}': {
    parameters: connectionKeys,
    get: connections('readConnection', 'One connection', {
      responses: { 200: answer('The connection.', 'Connection', etag), 404: noConnection },
    }),
    put: connections('putConnection', 'Makes a connection or replaces its config; its state stays', {
      parameters: [ifMatch, ifNoneMatch],
      requestBody: input(true),
      responses: {
        200: answer('Replaced.', 'Connection', etag),
        201: answer('Made.', 'Connection', etag),
        ...conflict,
        ...badBody,
      },
    }),
    delete: connections('deleteConnection', 'Removes a connection; a run under way ends first', {
      parameters: [ifMatch],
      responses: { 204: { description: 'Removed.' }, 404: noConnection, ...conflict },
    }),
  },
  '/api/connections/{customer}/{connection}/test': {
    parameters: connectionKeys,
    post: connections('testConnection', 'Connects, logs in, counts, and touches nothing', {
      description:
        'Tests the stored connection, or the columns of the body, saved or not. A stored secret, an app setting and the app’s identity are used only where the saved connection points.',
      parameters: [
        inQuery(
          'steps',
          words(['true', 'false']),
          'true: with what came of each step, the queue among them, and over IMAP the first mails as they would be sent.',
        ),
      ],
      requestBody: input(false),
      responses: {
        200: answer('What came of it.', 'TestOutcome'),
        404: noConnection,
        429: problem('Too many tests are running.', retryAfter),
        ...badBody,
      },
    }),
  },
  '/api/connections/{customer}/{connection}/poll': {
    parameters: connectionKeys,
    post: connections('orderPoll', 'Polls now, whatever the schedule', {
      parameters: [
        inQuery(
          'wait',
          { type: 'integer', minimum: 0, maximum: 60, default: 0 },
          'Seconds to wait for the end of a run that starts no earlier.',
        ),
      ],
      responses: {
        200: answer('With `wait`: the state after that run.', 'PollOutcome'),
        202: answer('Ordered; with `wait`, it has not ended in that time.', 'PollOrder'),
        404: noConnection,
        409: problem('The connection is disabled.'),
      },
    }),
  },
  '/api/undelivered': {
    get: undelivered(
      'listUndelivered',
      'The mails that wait to be sent or are no longer tried, newest first',
      {
        parameters: [...only, after, limit(100)],
        responses: { 200: answer('A page of records.', 'UndeliveredList') },
      },
    ),
  },
  '/api/undelivered/{id}': {
    parameters: [undeliveredId],
    get: undelivered('readUndelivered', 'One undelivered mail, with the parts that are left of it', {
      responses: { 200: answer('The record.', 'UndeliveredMail'), 404: noUndelivered },
    }),
    delete: undelivered('giveUpUndelivered', 'Gives it up for good: removes the record and what it holds', {
      responses: { 204: { description: 'Given up.' }, 404: noUndelivered },
    }),
  },
  '/api/undelivered/{id}/resend': {
    parameters: [undeliveredId],
    post: undelivered('resendUndelivered', 'Sends it at the next tick of the retry, also an abandoned one', {
      responses: { 202: answer('Due now.', 'ResendOrder'), 404: noUndelivered },
    }),
  },
  '/api/mails': {
    get: journal('listMails', 'The mails that left the unread ones in a window of time, newest first', {
      parameters: [
        ...window,
        inQuery(
          'q',
          { ...text, maxLength: 256 },
          'Looked for in Message-ID, subject, addresses and file names, in any case.',
        ),
        after,
        limit(100),
      ],
      responses: { 200: answer('A page of mails.', 'Mails') },
    }),
  },
  '/api/runs': {
    get: journal('listRuns', 'The runs that moved mail or failed in a window of time, newest first', {
      parameters: [
        ...window,
        inQuery('status', words(runLineStatuses), 'Only those that ended so.'),
        after,
        limit(100),
      ],
      responses: { 200: answer('A page of runs.', 'Runs') },
    }),
  },
  '/api/openapi.json': {
    get: {
      tags: ['description'],
      operationId: 'readDescription',
      summary: 'This document',
      responses: {
        200: {
          description: 'An OpenAPI 3.1 document.',
          content: json({ type: 'object', required: ['openapi', 'paths'] }),
        },
        400: always[400],
        401: always[401],
        500: always[500],
      },
    },
  },
};
