import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { configColumnNames, secretColumns } from '../../shared/connection/columns.ts';
import { summarizeErrors } from '../../shared/connection/config.ts';
import { decodeConnection } from '../../shared/connection/decode.ts';
import { readState, stateColumns, writeState } from '../../shared/connection/state.ts';

const columnName = fc.constantFrom(
  'PartitionKey',
  'RowKey',
  ...configColumnNames,
  ...stateColumns,
  '__proto__',
);
const plausible = fc.constantFrom(
  'true',
  false,
  'imap',
  'POP3',
  'oauth2',
  'refreshToken',
  'clientCredentials',
  '0 6 * * *',
  'mail.example.com',
  'SETTING',
  '993',
  60,
  -1,
);
const value = fc.oneof(
  plausible,
  fc.string({ unit: 'binary' }),
  fc.anything({ withBigInt: true, withDate: true }),
);
const entity = fc.dictionary(fc.oneof({ weight: 9, arbitrary: columnName }, fc.string()), value);

const sources = (value: string | undefined) => ({
  settingsPrefix: 'SETTING',
  readSetting: () => value,
  vaultPrefix: 'mailbox-',
});

test('any junk in an entity is decoded or refused with sentences, and throws nothing', () => {
  fc.assert(
    fc.property(entity, fc.boolean(), fc.option(fc.string(), { nil: undefined }), (junk, strict, setting) => {
      const decoded = decodeConnection(junk, sources(setting), { strict });
      if (decoded.ok) return;
      assert.ok(decoded.errors.length > 0);
      assert.equal(new Set(decoded.errors.map(({ column }) => column)).size, decoded.errors.length);
      for (const { message } of decoded.errors) assert.match(message, /^[^\r\n\0]{10,1000}\.$/);
      assert.ok(summarizeErrors(decoded.errors).length <= 1024);
    }),
    { numRuns: 500 },
  );
});

test('no secret is in any sentence, whatever else is wrong', () => {
  const marker = 'Xq7-secret-marker';
  const around = fc.oneof(
    fc.constant(''),
    fc.string(),
    fc.constantFrom('\r\n', '@Microsoft.KeyVault(', '\0'),
  );
  fc.assert(
    fc.property(entity, around, fc.subarray([...secretColumns]), (junk, noise, columns) => {
      const secret = `${noise}${marker}`;
      const poisoned = { ...junk, ...Object.fromEntries(columns.map((name) => [name, secret])) };
      const decoded = decodeConnection(poisoned, sources(secret));
      if (!decoded.ok) assert.ok(!JSON.stringify(decoded.errors).includes(marker));
    }),
    { numRuns: 500 },
  );
});

test('errors are summed up in 1,024 characters, and what is left out is counted', () => {
  const error = (column: string, length: number) => ({ column, message: 'x'.repeat(length) });
  assert.equal(summarizeErrors([]), '');
  assert.equal(summarizeErrors([error('a', 3), error('b', 2)]), 'xxx xx');
  assert.equal(summarizeErrors([error('a', 2000)]).length, 1024);
  const many = summarizeErrors(Array.from({ length: 10 }, (_, index) => error(String(index), 300)));
  assert.ok(many.length <= 1024);
  assert.match(many, / \(7 more\)$/);
});

test('state columns are read back as they were written, and junk in them is absent', () => {
  const at = new Date('2026-01-01T12:00:00.123Z');
  const change = {
    nextRunAt: at,
    heartbeatAt: at,
    lastStatus: 'failed',
    lastError: '',
    consecutiveFailures: 2,
    runId: 'r',
  } as const;
  const columns = writeState(change);
  assert.equal(columns.nextRunAt, '2026-01-01T12:00:00.123Z');
  assert.deepEqual(Object.keys(columns).sort(), Object.keys(change).sort());
  const state = readState(columns);
  for (const [name, written] of Object.entries(change)) {
    assert.deepEqual(state[name as keyof typeof change], written, name);
  }
  assert.equal(writeState({ lastError: 'e'.repeat(2000) }).lastError, 'e'.repeat(1024));
  assert.equal(writeState({ lastError: `${'e'.repeat(1023)}😀` }).lastError, `${'e'.repeat(1023)}\uFFFD`);
  assert.equal(readState({ lastError: 'e'.repeat(2000) }).lastError, 'e'.repeat(1024));
  fc.assert(fc.property(entity, (junk) => Object.keys(readState(junk)).length === stateColumns.length));
  const junk = readState({
    nextRunAt: 'x',
    lastStatus: 'dancing',
    lastMailCount: -1,
    // One more could not be written: to the service it is no Int32.
    consecutiveFailures: 2_147_483_647,
    runId: 5,
    lastError: null,
  });
  assert.ok(Object.values(junk).every((item) => item === undefined));
});
