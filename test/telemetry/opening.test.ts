import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lazyTelemetry } from '../../shared/app/telemetry.ts';
import { buildMessages } from '../../shared/message/message.ts';
import { readSettings } from '../../shared/settings/settings.ts';
import { noTelemetry } from '../../shared/telemetry/telemetry.ts';
import { contentOf, mail } from '../destination/support.ts';

function settingsWith(connectionString: string | undefined) {
  const read = readSettings({
    AzureWebJobsStorage: 'UseDevelopmentStorage=true',
    ServiceBusConnection: 'Endpoint=sb://localhost;SharedAccessKeyName=a;SharedAccessKey=b',
    APPLICATIONINSIGHTS_CONNECTION_STRING: connectionString,
  });
  assert.ok(read.ok);
  return read.settings;
}

const noCredential = async () => assert.fail('no identity is used here');

test('without its setting there is no telemetry, and none that would have to be stopped', async () => {
  const telemetry = lazyTelemetry({});
  const log = { info() {}, warn: () => assert.fail(), error: () => assert.fail() };
  assert.equal(await telemetry.open(settingsWith(undefined), noCredential, log), noTelemetry);
  await telemetry.shutdown(1_000);
});

test('a connection string that the exporter refuses costs telemetry, a line of log, and nothing else', async () => {
  const lines: string[] = [];
  const log = { info() {}, warn: (sentence: string) => lines.push(sentence), error() {} };
  const telemetry = lazyTelemetry({});
  const settings = settingsWith('InstrumentationKey=not-a-key');
  assert.equal(await telemetry.open(settings, noCredential, log), noTelemetry);
  assert.equal(await telemetry.open(settings, noCredential, log), noTelemetry);
  assert.equal(lines.length, 1);
  assert.match(lines[0] ?? '', /^Telemetry is off: app setting APPLICATIONINSIGHTS_CONNECTION_STRING/);
  assert.doesNotMatch(lines[0] ?? '', /not-a-key/);
});

test('the trace is in the message by both names, and changes neither its id nor what else it says', () => {
  const content = contentOf(Buffer.from('Hello'));
  const part = { kind: 'body', contentType: 'text/plain', fileName: 'body.txt', content } as const;
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
  const [traced] = buildMessages(mail, { envelope: {}, parts: [part] }, 'none', traceparent);
  const [plain] = buildMessages(mail, { envelope: {}, parts: [part] }, 'none');
  assert.ok(traced && plain);
  const { 'Diagnostic-Id': id, traceparent: sent, ...properties } = traced.head.applicationProperties;
  assert.deepEqual([id, sent], [traceparent, traceparent]);
  assert.deepEqual({ ...traced.head, applicationProperties: properties }, plain.head);
});
