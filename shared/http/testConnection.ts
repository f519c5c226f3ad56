import { type ConnectionConfig, summarizeErrors } from '../connection/config.ts';
import type { ConnectionEntity } from '../connection/connectionStore.ts';
import { Failure, toFailure } from '../failure/failure.ts';
import { withDeadline } from '../wait/deadline.ts';
import { type Answer, problem, wrongColumns } from './answer.ts';
import { type DecodeConnection, readConnectionBody } from './connectionBody.ts';
import { find, keyOf, missing } from './connections.ts';
import type { HttpDependencies } from './dependencies.ts';
import { refuseHeldSecrets } from './heldSecrets.ts';
import { readChoice } from './query.ts';
import { type ApiRequest, readJsonObject } from './request.ts';

/** Tests at a time in one process; each holds a connection to a mail server. */
const maxTests = 8;
let tests = 0;

/**
 * `POST …/test`: connects, logs in, counts the mails that a poll would take, and touches nothing. With a body
 * it tests those columns, saved or not. With `?steps=true` it says what came of each step, the queue among them.
 */
export async function testConnection(request: ApiRequest, dependencies: HttpDependencies): Promise<Answer> {
  const isStepped = readChoice(request, 'steps', ['true', 'false']);
  if (!isStepped.ok) return isStepped.answer;
  const tryIt = isStepped.value === 'true' ? tryInSteps : tryMailbox;
  const key = keyOf(request);
  const body = await readJsonObject(request);
  if (!body.ok) return body.answer;
  const [stored, { decodeConnection }] = await Promise.all([
    find(key, dependencies),
    import('../connection/decode.ts'),
  ]);

  if (body.value === undefined || Object.keys(body.value).length === 0) {
    if (stored === undefined) return missing(key);
    const saved = decodeStored(stored, decodeConnection, dependencies);
    return saved.ok ? await tryIt(saved.config, dependencies) : outcome(summarizeErrors(saved.errors));
  }
  const read = readConnectionBody(body.value, key, stored, decodeConnection, dependencies.secrets);
  if (!read.ok) return wrongColumns(read.errors);
  const refused = refuseHeldSecrets(read, stored);
  return refused.length > 0 ? wrongColumns(refused) : await tryIt(read.config, dependencies);
}

function decodeStored(
  { key, columns }: ConnectionEntity,
  decode: DecodeConnection,
  { secrets }: HttpDependencies,
): ReturnType<DecodeConnection> {
  return decode({ ...columns, PartitionKey: key.customer, RowKey: key.connection }, secrets);
}

async function tryMailbox(config: ConnectionConfig, dependencies: HttpDependencies): Promise<Answer> {
  return await runTest(dependencies, async () => ({
    ok: true,
    mails: await countMails(config, dependencies),
  }));
}

async function tryInSteps(config: ConnectionConfig, dependencies: HttpDependencies): Promise<Answer> {
  const { testInSteps } = await import('./testSteps.ts');
  return await runTest(dependencies, () => testInSteps(config, dependencies));
}

/** No more than a few at a time, each in its time; what goes wrong is its outcome. */
async function runTest({ testTimeoutMs }: HttpDependencies, work: () => Promise<object>): Promise<Answer> {
  if (tests >= maxTests) {
    return problem(429, `${maxTests} tests are running already. Try again in a minute.`, {
      'Retry-After': '60',
    });
  }
  tests += 1;
  const testing = work().finally(() => {
    tests -= 1;
  });
  const sentence = `The test took longer than ${testTimeoutMs / 1_000} s. Try again, or see what the next poll says.`;
  try {
    // One that takes longer goes on to its own deadlines and closes its connection; nobody waits for it.
    const late = () => new Failure('timeout', sentence);
    return { status: 200, json: await withDeadline(testing, testTimeoutMs, late) };
  } catch (error) {
    return outcome(toFailure(error, 'testing the connection').message);
  }
}

async function countMails(config: ConnectionConfig, { openSession }: HttpDependencies): Promise<number> {
  const session = await openSession(config);
  try {
    return (await session.sample(0, 0)).count;
  } finally {
    await session.close();
  }
}

function outcome(error: string): Answer {
  return { status: 200, json: { ok: false, error } };
}
