import { type ConnectionConfig, summarizeErrors } from '../connection/config.ts';
import { decodeConnection } from '../connection/decode.ts';
import { Failure, toFailure } from '../failure/failure.ts';
import { withDeadline } from '../wait/deadline.ts';
import { type Answer, problem } from './answer.ts';
import { readConnectionBody } from './connectionBody.ts';
import { findExisting, keyOf } from './connections.ts';
import type { HttpDependencies } from './dependencies.ts';
import { refuseHeldSecrets } from './heldSecrets.ts';
import { readChoice } from './query.ts';
import { type ApiRequest, readJsonObject } from './request.ts';
import { testInSteps } from './testSteps.ts';

/** Tests at a time in one process; each holds a connection to a mail server. */
const maxTests = 8;
let tests = 0;

/**
 * `POST …/test`: connects, logs in, counts the mails that a poll would take, and touches nothing. With a body
 * it tests those columns, saved or not. With `?steps=true` it says what came of each step, the queue among them.
 */
export async function testConnection(request: ApiRequest, dependencies: HttpDependencies): Promise<Answer> {
  const isStepped = readChoice(request, 'steps', ['true', 'false']) === 'true';
  const key = keyOf(request);
  const body = await readJsonObject(request);
  const store = await dependencies.connections();
  if (body === undefined || Object.keys(body).length === 0) {
    const { columns } = await findExisting(key, store);
    const entity = { ...columns, PartitionKey: key.customer, RowKey: key.connection };
    const saved = decodeConnection(entity, dependencies.secrets);
    if (!saved.ok) return outcome(summarizeErrors(saved.errors));
    return await runTest(saved.config, isStepped, dependencies);
  }
  const stored = await store.read(key);
  const read = readConnectionBody(body, key, stored, dependencies.secrets);
  refuseHeldSecrets(read, stored);
  return await runTest(read.config, isStepped, dependencies);
}

/**
 * No more than a few at a time, each in its time; what goes wrong is its outcome. What takes longer goes on to its own
 * deadlines and closes its connection; nobody waits for it.
 */
async function runTest(
  config: ConnectionConfig,
  isStepped: boolean,
  dependencies: HttpDependencies,
): Promise<Answer> {
  if (tests >= maxTests) {
    const sentence = `${maxTests} tests are running already. Try again in a minute.`;
    return problem(429, sentence, { 'Retry-After': '60' });
  }
  tests += 1;
  const testing = (isStepped ? testInSteps : countMails)(config, dependencies).finally(() => {
    tests -= 1;
  });
  const { testTimeoutMs } = dependencies;
  const late = `The test took longer than ${testTimeoutMs / 1000} s. Try again, or see what the next poll says.`;
  try {
    const json = await withDeadline(testing, testTimeoutMs, () => new Failure('timeout', late));
    return { status: 200, json };
  } catch (error) {
    return outcome(toFailure(error, 'testing the connection').message);
  }
}

async function countMails(config: ConnectionConfig, { openSession }: HttpDependencies): Promise<object> {
  const session = await openSession(config);
  try {
    return { ok: true, mails: (await session.sample(0, 0)).count };
  } finally {
    await session.close();
  }
}

function outcome(error: string): Answer {
  return { status: 200, json: { ok: false, error } };
}
