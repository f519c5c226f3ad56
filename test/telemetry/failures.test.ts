import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Failure } from '../../shared/failure/failure.ts';
import { asLogged, loggingFailures } from '../../shared/telemetry/failures.ts';
import type { Log, LogFields } from '../../shared/telemetry/log.ts';

function watched(): { log: Log; errors: [string, LogFields | undefined][] } {
  const errors: [string, LogFields | undefined][] = [];
  return { errors, log: { info() {}, warn() {}, error: (...line) => errors.push([line[0], line[1]]) } };
}

test('a failure is logged as an error, once, and goes on to the caller', async () => {
  const { log, errors } = watched();
  const failure = new Failure('storage', 'Storage at x is away.');
  const inner = () => loggingFailures(log, 'reading', () => Promise.reject(failure));
  await assert.rejects(loggingFailures(log, 'polling', inner), failure);
  assert.deepEqual(errors, [['Storage at x is away.', { reason: 'storage' }]]);
});

test('what is no failure is named without its own text, and thrown as it is', async () => {
  const { log, errors } = watched();
  const error = new TypeError('the password is secret');
  await assert.rejects(
    loggingFailures(log, 'polling a mailbox', () => Promise.reject(error)),
    error,
  );
  assert.deepEqual(errors, [['Unexpected TypeError while polling a mailbox.', { reason: 'internal' }]]);
});

test('what stands in the log already is not logged again', async () => {
  const { log, errors } = watched();
  await assert.rejects(loggingFailures(log, 'polling', () => Promise.reject(asLogged(new Error('known')))));
  assert.deepEqual(errors, []);
});

test('what goes well goes through', async () => {
  const { log, errors } = watched();
  assert.equal(await loggingFailures(log, 'polling', async () => 7), 7);
  assert.deepEqual(errors, []);
});
