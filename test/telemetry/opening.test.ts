import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lazyTelemetry } from '../../shared/app/telemetry.ts';
import { readSettings } from '../../shared/settings/settings.ts';
import { noTelemetry } from '../../shared/telemetry/telemetry.ts';

function settingsWith(connectionString: string | undefined, authentication?: string) {
  const read = readSettings({
    AzureWebJobsStorage: 'UseDevelopmentStorage=true',
    ServiceBusConnection: 'Endpoint=sb://localhost;SharedAccessKeyName=a;SharedAccessKey=b',
    APPLICATIONINSIGHTS_CONNECTION_STRING: connectionString,
    APPLICATIONINSIGHTS_AUTHENTICATION_STRING: authentication,
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

test('telemetry whose libraries can not be read once is opened by the next call', async () => {
  const lines: string[] = [];
  const log = { info() {}, warn: (sentence: string) => lines.push(sentence), error() {} };
  const settings = settingsWith(
    'InstrumentationKey=0af76519-16cd-43dd-8448-eb211c80319c;IngestionEndpoint=http://localhost:1',
    'Authorization=AAD',
  );
  const telemetry = lazyTelemetry({});
  const unread = () => Promise.reject(Object.assign(new Error('i/o error, read'), { code: 'EIO' }));
  const token = { token: 'x', expiresOnTimestamp: Number.POSITIVE_INFINITY };
  assert.equal(await telemetry.open(settings, unread, log), noTelemetry);
  const opened = await telemetry.open(settings, async () => ({ getToken: async () => token }), log);
  assert.notEqual(opened, noTelemetry);
  assert.equal(await telemetry.open(settings, unread, log), opened);
  await telemetry.shutdown(1_000);
  assert.deepEqual(lines, ['Unexpected Error (EIO) while opening telemetry; the next call tries again.']);
});
