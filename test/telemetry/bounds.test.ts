import assert from 'node:assert/strict';
import { test } from 'node:test';
import { localEndpoint } from '../../shared/telemetry/azureExporters.ts';
import { boundedWarnings } from '../../shared/telemetry/log.ts';
import { createTraceSampler } from '../../shared/telemetry/traceSampler.ts';

test('only an endpoint on this machine is spoken to in plain http', () => {
  const of = (endpoint: string) => localEndpoint(`InstrumentationKey=x;IngestionEndpoint=${endpoint}`);
  for (const local of ['http://127.0.0.1:5000/', 'http://localhost:5000', 'http://[::1]:5000/']) {
    assert.equal(of(local).allowInsecureConnection, true, local);
  }
  for (const other of [
    'https://127.0.0.1:5000/',
    'http://example.com/',
    'http://127.0.0.1.example.com/',
    'http://localhost@example.com/',
    'http://',
  ]) {
    assert.deepEqual(of(other), {}, other);
  }
  assert.deepEqual(localEndpoint('InstrumentationKey=x'), {});
});

test('the first warnings are logged, and that the rest is left out', () => {
  const lines: string[] = [];
  const log = { info() {}, error() {}, warn: (sentence: string) => lines.push(sentence) };
  const warn = boundedWarnings(log, 3, 'Further ones are left out.');
  for (let mail = 1; mail <= 100; mail += 1) warn(`Mail ${mail}`);
  assert.deepEqual(lines, ['Mail 1', 'Mail 2', 'Mail 3', 'Further ones are left out.']);
});

test('the sampler keeps all that failed, and so many others a minute, those with mail apart', () => {
  let nowMs = 0;
  const keeps = createTraceSampler({ busy: 3, idle: 1 }, () => nowMs);
  const kept = (kind: 'failed' | 'busy' | 'idle') =>
    Array.from({ length: 10 }, () => keeps(kind)).filter(Boolean).length;
  assert.deepEqual([kept('idle'), kept('busy'), kept('failed')], [1, 3, 10]);
  assert.deepEqual([kept('idle'), kept('busy'), kept('failed')], [0, 0, 10]);
  nowMs = 60_000;
  assert.deepEqual([kept('idle'), kept('busy'), kept('failed')], [1, 3, 10]);
});
