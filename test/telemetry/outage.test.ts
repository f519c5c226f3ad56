import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import tls from 'node:tls';
import v8 from 'node:v8';
import { runInNewContext } from 'node:vm';
import { IdentityFailure } from '../../shared/storage/storageFailure.ts';
import type { Log } from '../../shared/telemetry/log.ts';
import type { ConnectionLabels, Telemetry } from '../../shared/telemetry/telemetry.ts';
import { until } from '../reliability/mails.ts';
import { testCertificate } from '../testbed/certificates.ts';
import type { Envelope, Ingestion } from './ingestion.ts';
import { failure, keepUnsentApart, quiet, startTelemetry } from './support.ts';

keepUnsentApart();

/** So many failed polls, each with a connection of the given name and six steps. */
function poll(telemetry: Telemetry, count: number, connection: string): void {
  const labels: ConnectionLabels = { customer: 'acme', connection, protocol: 'imap' };
  for (let index = 0; index < count; index += 1) {
    const trace = telemetry.follow(quiet, undefined).startPoll(labels, `run ${index}`);
    for (const step of ['connect', 'list', 'fetch', 'parse', 'push', 'settle'] as const) {
      trace.startStep(step).end();
    }
    trace.end({ mails: 0, messages: 0, bytes: 0, durationMs: 5, failure });
  }
}

async function arrival(ingestion: Ingestion, connection: string): Promise<void> {
  const isIts = ({ data }: Envelope) => data.baseData.properties.connection === connection;
  const has = () => ingestion.ofType('RequestData').some(isIts);
  await until(`a poll of ${connection} arrives`, has, 60_000);
}

v8.setFlagsFromString('--expose-gc');
const collect: () => void = runInNewContext('gc');

/** Mebibytes of the heap, and of what lies beside it, that are in use. */
async function usedMiB(ingestion: Ingestion): Promise<number> {
  for (let round = 0; round < 3; round += 1) {
    ingestion.forget();
    collect();
    await wait(20);
  }
  const { heapUsed, external } = process.memoryUsage();
  return (heapUsed + external) / 1_048_576;
}

test('an endpoint that was silent for a while costs neither what comes after it nor memory', async (context) => {
  const { ingestion, telemetry } = await startTelemetry(context, 'answering', { requestMs: 200 });
  poll(telemetry, 2_000, 'before');
  poll(telemetry, 1, 'before-last');
  await arrival(ingestion, 'before-last');
  const before = await usedMiB(ingestion);

  ingestion.mode = 'silent';
  const asked = ingestion.authorizations.length;
  poll(telemetry, 6_000, 'during');
  await until('requests are given up for others', () => ingestion.authorizations.length > asked + 4);
  const during = await usedMiB(ingestion);
  ingestion.mode = 'answering';
  poll(telemetry, 1, 'after');
  await arrival(ingestion, 'after');
  const afterwards = await usedMiB(ingestion);
  console.log(
    `MiB in use: ${before.toFixed(1)} before, ${during.toFixed(1)} during, ${afterwards.toFixed(1)} after`,
  );
  assert.ok(during > before + 10, 'the outage was felt');
  assert.ok(afterwards < before + 8, `${before} MiB before, ${afterwards} MiB after`);
});

test('spans of polls that went well take no room from those of failed ones', async (context) => {
  const { ingestion, telemetry } = await startTelemetry(context, 'silent', { requestMs: 200 });
  const labels: ConnectionLabels = { customer: 'acme', connection: 'fine', protocol: 'imap' };
  for (let index = 0; index < 300; index += 1) {
    const trace = telemetry.follow(quiet, undefined).startPoll(labels, `fine ${index}`);
    for (let step = 0; step < 50; step += 1) trace.startStep('push').end();
    trace.end({ mails: 1, messages: 50, bytes: 50, durationMs: 5 });
  }
  poll(telemetry, 1, 'failed');
  ingestion.mode = 'answering';
  await arrival(ingestion, 'failed');
});

test('an endpoint that asks for ten minutes of rest holds up nothing that comes after it', async (context) => {
  const { ingestion, telemetry } = await startTelemetry(context, 429);
  const errors: string[] = [];
  const log: Log = { ...quiet, error: (sentence) => errors.push(sentence) };
  poll(telemetry, 100, 'throttled');
  await until('it was asked', () => ingestion.authorizations.length > 0);
  ingestion.mode = 'answering';
  poll(telemetry, 100, 'after');
  await until('what comes after it', () => ingestion.ofType('RequestData').length > 0);
  telemetry.follow(log, undefined);
  assert.deepEqual(errors, [], 'the setting is not to blame');
});

async function sentenceAfter(telemetry: Telemetry): Promise<readonly string[]> {
  const errors: string[] = [];
  const log: Log = { ...quiet, error: (sentence) => errors.push(sentence) };
  await until('something is said', () => {
    telemetry.follow(log, undefined);
    return errors.length > 0;
  });
  for (let again = 0; again < 5; again += 1) {
    poll(telemetry, 100, 'again');
    await wait(50);
    telemetry.follow(log, undefined);
  }
  return errors;
}

for (const [status, advice] of [
  [
    401,
    'If the resource takes no telemetry without an identity, set APPLICATIONINSIGHTS_AUTHENTICATION_STRING to Authorization=AAD.',
  ],
  [402, "The resource's daily cap is reached: raise it, or send less."],
  [400, 'Copy APPLICATIONINSIGHTS_CONNECTION_STRING anew from the resource.'],
] as const) {
  test(`ingestion that refuses with ${status} is said once in the log`, async (context) => {
    const { telemetry } = await startTelemetry(context, status);
    poll(telemetry, 100, 'refused');
    assert.deepEqual(await sentenceAfter(telemetry), [
      `Application Insights refused telemetry (HTTP ${status}). ${advice}`,
    ]);
  });
}

test('with an identity telemetry carries its token', async (context) => {
  const { caCertificate, certificate, key } = await testCertificate();
  tls.setDefaultCACertificates([...tls.getCACertificates(), caCertificate]);
  context.after(() => tls.setDefaultCACertificates(tls.getCACertificates('bundled')));
  const asked: unknown[] = [];
  const credential = {
    async getToken(scopes: string | string[]) {
      asked.push(scopes);
      return { token: 'insights-token', expiresOnTimestamp: Date.now() + 3_600_000 };
    },
  };
  const server = { key, cert: certificate };
  const { ingestion, telemetry } = await startTelemetry(context, 'answering', { credential }, server);
  poll(telemetry, 1, 'trusted');
  await telemetry.shutdown(5_000);
  assert.deepEqual(new Set(ingestion.authorizations), new Set(['Bearer insights-token']));
  assert.equal(ingestion.ofType('RequestData').length, 1);
  assert.deepEqual(asked.flat()[0], 'https://monitor.azure.com/.default');
});

test('an identity without a token is said once in the log, and costs nothing else', async (context) => {
  const { certificate, key } = await testCertificate();
  const credential = {
    getToken: () => Promise.reject(new IdentityFailure('No token for the managed identity x: it is away.')),
  };
  const server = { key, cert: certificate };
  const { telemetry } = await startTelemetry(context, 'answering', { credential }, server);
  poll(telemetry, 100, 'nobody');
  assert.deepEqual(await sentenceAfter(telemetry), [
    'Telemetry is not sent: No token for the managed identity x: it is away. Application Insights asks for one, as APPLICATIONINSIGHTS_AUTHENTICATION_STRING says.',
  ]);
});
