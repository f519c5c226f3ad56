import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsePatterns } from '../../shared/connection/patterns.ts';
import { createHeaderFilter } from '../../shared/mail/headerFilter.ts';

type Values = Record<'from' | 'to' | 'subject', readonly string[]>;

function valuesOf(header: string): Values {
  const seen: Values = { from: [], to: [], subject: [] };
  const note = (name: keyof Values) => (values: readonly string[]) => {
    seen[name] = values;
    return true;
  };
  const rules = { from: note('from'), to: note('to'), subject: note('subject') };
  const filter = createHeaderFilter({ ...rules, fingerprint: 'f' });
  assert.equal(filter.takes(Buffer.from(header)), true);
  assert.equal(filter.fingerprint, 'f');
  return seen;
}

test('addresses come bare, from every field that names a recipient, groups and folds included', () => {
  const seen = valuesOf(
    [
      'From: "Orders, Inc." <Orders@Example.com>',
      'To: Ann <ann@example.com>,\r\n bob@example.com',
      'Cc: Team: carol@example.com, Dan <dan@example.com>;',
      'Delivered-To: eve@example.com',
      'X-Original-To: frank@example.com',
      'Bcc: no@example.com',
      'Reply-To: no@example.com',
      '',
    ].join('\r\n'),
  );
  assert.deepEqual(seen.from, ['Orders@Example.com']);
  assert.deepEqual(seen.to, [
    ...['ann@example.com', 'bob@example.com', 'carol@example.com', 'dan@example.com'],
    ...['eve@example.com', 'frank@example.com'],
  ]);
});

test('the subject is decoded, and empty where there is none', () => {
  assert.deepEqual(
    valuesOf('Subject: =?utf-8?B?QmVzdGVsbHVuZyBHcsO2w59l?=\r\n =?utf-8?Q?_17?=\r\n').subject,
    ['Bestellung Größe 17'],
  );
  assert.deepEqual(valuesOf('Subject: Größe\r\n').subject, ['Größe']);
  assert.deepEqual(valuesOf('From: a@example.com\r\n').subject, ['']);
});

test('every rule that there is must take the mail', () => {
  const yes = () => true;
  const no = () => false;
  const takes = (rules: object) =>
    createHeaderFilter({ ...rules, fingerprint: '' }).takes(Buffer.from('To: a@b\r\n'));
  assert.equal(takes({}), true);
  assert.equal(takes({ from: yes, to: yes, subject: yes }), true);
  for (const rule of ['from', 'to', 'subject'])
    assert.equal(takes({ from: yes, to: yes, subject: yes, [rule]: no }), false);
});

test('a header of any bytes and any length is decided in time', () => {
  const startedAt = performance.now();
  for (const header of [
    '',
    '\0\xff',
    'To: '.repeat(50_000),
    `To: ${'<"('.repeat(100_000)}`,
    `To: ${'a@b, '.repeat(200_000)}`,
  ]) {
    valuesOf(header);
  }
  assert.ok(performance.now() - startedAt < 5_000);
});

test('what no person reads to its end costs little, whatever the patterns', () => {
  const { takesWhole, takesPart } = parsePatterns('*z,'.repeat(1365)) ?? assert.fail();
  for (const [name, value, rules] of [
    ['Subject', 'x'.repeat(250_000), { subject: takesPart }],
    ['To', 'a@b, '.repeat(52_000), { to: takesWhole }],
  ] as const) {
    const filter = createHeaderFilter({ ...rules, fingerprint: '' });
    const startedAt = process.cpuUsage();
    assert.equal(filter.takes(Buffer.from(`${name}: ${value}\r\n`)), false);
    assert.ok(process.cpuUsage(startedAt).user < 2_000_000, name);
  }
});

test('a long list of addresses is looked at to its end', () => {
  const patterns = Array.from({ length: 40 }, (_, index) => `orders${index}@shop.example`).join(',');
  const { takesWhole } = parsePatterns(patterns) ?? assert.fail();
  const others = Array.from({ length: 10_000 }, (_, index) => `person${index}@b.example`).join(', ');
  const filter = createHeaderFilter({ to: takesWhole, fingerprint: '' });
  assert.equal(filter.takes(Buffer.from(`To: ${others}, orders39@shop.example\r\n`)), true);
});
