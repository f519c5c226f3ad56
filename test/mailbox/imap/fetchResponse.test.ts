import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { nilBody, parseFetchResponse } from '../../../shared/mailbox/imap/fetchResponse.ts';

const mail = Buffer.from('Subject: one\r\n\r\n)(\r\n');

test('items come in any order, case and form', () => {
  const whole = { uid: 7, flags: new Set(['\\seen', '$junk']), body: mail };
  for (const text of [
    '* 1 FETCH (UID 7 FLAGS (\\Seen $Junk) BODY[] {18}\r\n)\r\n',
    '* 12 FETCH (BODY[] {18}\r\n UID 7 FLAGS (\\Seen $Junk))\r\n',
    '* 1 fetch ( flags ( \\Seen  $Junk ) body[]<0> ~{18}\n uid 7 )\n',
    '* 1 FETCH (MODSEQ (99) FLAGS (\\Seen $Junk) X-GM-LABELS ("a (b" {3}\r\n x) UID 7 BODY[] {18}\r\n)\r\n',
  ]) {
    const literals = text.includes('{3}') ? [Buffer.from('abc'), mail] : [mail];
    const { sequence, ...rest } = parseFetchResponse(text, literals) ?? {};
    assert.deepEqual(rest, whole, text);
    assert.equal(sequence, text.startsWith('* 12') ? 12 : 1);
  }
  assert.deepEqual(
    parseFetchResponse('* 1 FETCH (RFC822.SIZE 512 INTERNALDATE " 1-Jan-2026 10:00:00 +0000" UID 3)\r\n', []),
    { sequence: 1, uid: 3, sizeBytes: 512, internalDate: ' 1-Jan-2026 10:00:00 +0000' },
  );
});

test('a body may be NIL, empty or a quoted string', () => {
  assert.equal(parseFetchResponse('* 1 FETCH (UID 1 BODY[] NIL)\r\n', [])?.body, nilBody);
  const empty = parseFetchResponse('* 1 FETCH (UID 1 BODY[] "")\r\n', [])?.body;
  assert.ok(empty?.length === 0 && empty !== nilBody);
  const quoted = parseFetchResponse('* 1 FETCH (UID 1 BODY[] "a\\"b\\\\ \xe4")\r\n', [])?.body;
  assert.deepEqual(quoted, Buffer.from('a"b\\ \xe4', 'latin1'));
});

test('another section, or a structure, is no body; header fields are told apart', () => {
  for (const [items, item] of [
    ['BODY[HEADER.FIELDS (SUBJECT)] {18}\r\n', { header: mail }],
    ['BODY ("TEXT" ("A" NIL)) BODY[] {18}\r\n', { body: mail }],
  ] as const) {
    const row = parseFetchResponse(`* 1 FETCH (UID 1 ${items})\r\n`, [mail]);
    assert.deepEqual(row, { sequence: 1, uid: 1, ...item });
  }
  // A literal within the brackets would count as what they name.
  const named = '* 1 FETCH (UID 1 BODY[HEADER.FIELDS ({4}\r\n)] {18}\r\n)\r\n';
  assert.equal(parseFetchResponse(named, [Buffer.from('From'), mail]), undefined);
});

test('what is no whole FETCH response is none', () => {
  for (const text of [
    '* 1 EXISTS\r\n',
    '* 1 FETCH (UID 1\r\n',
    '* 1 FETCH (UID 1 FLAGS (\\Seen\r\n',
    '* 1 FETCH (UID 1 BODY[] "open)\r\n',
    '* 1 FETCH (UID 1 BODY[] {18}\r\n)\r\n',
    '* 1 FETCH (UID)\r\n',
    '* FETCH (UID 1)\r\n',
  ]) {
    assert.equal(parseFetchResponse(text, []), undefined, text);
  }
});

test('a mail that is followed by the literal of another is none: its size was given too large', () => {
  const other = Buffer.from('Subject: other\r\n\r\n');
  for (const section of ['', 'HEADER.FIELDS (SUBJECT)']) {
    for (const rest of ['FLAGS () BODY[', ') BODY[', 'DY[']) {
      const text = `* 1 FETCH (UID 1 BODY[${section}] {40}\r\n${rest}${section}] {18}\r\n)\r\n`;
      assert.equal(parseFetchResponse(text, [mail, other]), undefined, text);
    }
  }
});

test('nothing that a server sends makes it throw or hang', () => {
  const word = fc.constantFrom(
    'UID',
    '7',
    'FLAGS',
    '(',
    ')',
    '"',
    '\\',
    '{3}\r\n',
    'BODY[]',
    'NIL',
    ' ',
    '[',
    '<0>',
  );
  fc.assert(
    fc.property(fc.array(word, { maxLength: 40 }), (words) => {
      parseFetchResponse(`* 1 FETCH (${words.join('')}`, [mail]);
    }),
  );
  const startedAt = performance.now();
  for (const part of ['(', '"\\', '" "', 'A[', '{9}\r\n', '( ) '])
    parseFetchResponse(`* 1 FETCH (FLAGS ${part.repeat(20_000)}`, []);
  assert.ok(performance.now() - startedAt < 2_000);
});
