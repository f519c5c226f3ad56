import assert from 'node:assert/strict';
import type { Transform, TransformCallback } from 'node:stream';
import { test } from 'node:test';
import fc from 'fast-check';
import { ImapFlow } from 'imapflow';
import type { FetchData } from '../../../shared/mailbox/imap/fetchResponse.ts';
import { type FetchSink, FetchTap } from '../../../shared/mailbox/imap/fetchTap.ts';
import { newBuffers } from '../../../shared/mailbox/mailBuffers.ts';
import { cut } from '../../mail/support.ts';
import { CountedMemory } from '../memory.ts';

const mails = ['Subject: one\r\n\r\n1\r\n', '', '* 9 FETCH (UID 9 BODY[] {3}\r\nabc)\r\nA1 OK\r\n'];

/** A server's output of every kind, between and around rows. */
const output = [
  '* OK [ALERT] rows are near {4}\r\n(ok)\r\n',
  '* 3 EXISTS\r\n',
  row(1, mails[0]),
  '* 1 FETCH (FLAGS (\\Seen))\r\n',
  '* LIST () "/" {5}\r\nINBOX\r\n',
  // A folder's name that looks like a row.
  '* LIST () "/" {28}\r\n* 9 FETCH (UID 9 FLAGS ())\r\n\r\n',
  row(2, mails[1]),
  row(3, mails[2]),
  'A1 OK done\r\n',
].join('');

function row(uid: number, mail = ''): string {
  return `* ${uid} FETCH (UID ${uid} FLAGS () BODY[] {${mail.length}}\r\n${mail} INTERNALDATE "x")\r\n`;
}

/** Has memory for everything. */
const aSink: Pick<FetchSink, 'holdLiteral' | 'giveBack' | 'fail'> = {
  holdLiteral: async () => new CountedMemory().hold(),
  giveBack() {},
  fail: (error) => assert.fail(String(error)),
};

/** A client without a server, with its parser, and a tap on that; `handedBytes` gets what the tap passes on. */
function tapped(handedBytes: number[] = []) {
  const client = new ImapFlow({ host: '127.0.0.1', port: 1, secure: false, logger: false });
  const parser = Reflect.get(client, 'streamer') as Transform;
  const transform = parser._transform;
  Object.assign(parser, {
    _transform: (chunk: Buffer, encoding: BufferEncoding, next: TransformCallback) => {
      handedBytes.push(chunk.length);
      transform.call(parser, chunk, encoding, next);
    },
  });
  const tap = new FetchTap(client, newBuffers);
  tap.largestResponseBytes = 8 * 1024 * 1024;
  return { client, parser, tap };
}

/** Has a tapped client read these pieces, the first `attached` of them with a sink; a full one has room a turn later. */
async function read(pieces: readonly Buffer[], { attached = pieces.length, isFull = false } = {}) {
  /** The pieces that imapflow was handed. */
  const handedBytes: number[] = [];
  const { client, parser, tap } = tapped(handedBytes);
  const rows: FetchData[] = [];
  /** What the sink was told of each row. */
  const sizesBytes: number[] = [];
  /** What imapflow read, each response without its literals. */
  const passed: string[] = [];
  /** Both, in the order in which they came out, as `uid` and mail or as text. */
  const all: string[] = [];
  parser.on('data', (item: { payload: Buffer; literals: readonly Buffer[]; next: () => void }) => {
    const text = item.payload.toString('latin1');
    passed.push(text);
    const uid = / FETCH \((?:UID (\d+))?/.exec(text);
    all.push(uid ? `${uid[1] ?? 0}: ${item.literals[0]}` : text);
    item.next();
  });
  const add = (one: FetchData, sizeBytes: number): void => {
    rows.push(one);
    sizesBytes.push(sizeBytes);
    all.push(`${one.uid}: ${one.body}`);
  };
  const detach = tap.attach({ ...aSink, add, isFull, whenRoom: setImmediate });
  for (const [index, piece] of pieces.entries()) {
    if (index >= attached) detach();
    await new Promise((written) => parser.write(piece, written));
  }
  const receivedBytes = client.stats().received;
  parser.destroy();
  return { rows, passed, all, sizesBytes, handedBytes, receivedBytes };
}

const everything = [
  '* OK [ALERT] rows are near {4}\r\n',
  '* 3 EXISTS',
  `1: ${mails[0]}`,
  '0: undefined',
  '* LIST () "/" {5}\r\n',
  '* LIST () "/" {28}\r\n',
  `2: ${mails[1]}`,
  `3: ${mails[2]}`,
  'A1 OK done',
];

test('all responses come out whole and in order, wherever the network cuts', async () => {
  const bytes = Buffer.from(output);
  const cuts = fc.array(fc.nat(), { maxLength: 30 });
  await fc.assert(
    fc.asyncProperty(cuts, fc.boolean(), async (places, isFull) => {
      const { all, receivedBytes } = await read(cut(bytes, places), { isFull });
      assert.deepEqual(all, everything);
      assert.equal(receivedBytes, bytes.length);
    }),
    { numRuns: 60 },
  );
});

test('rows go to the sink and all else to imapflow', async () => {
  const { all, rows, passed } = await read([...Buffer.from(output)].map((byte) => Buffer.from([byte])));
  assert.deepEqual(all, everything);
  assert.equal(rows.length, 4);
  assert.equal(passed.length, 5);
});

test('without a sink imapflow reads everything', async () => {
  const { rows, passed } = await read([Buffer.from(output)], { attached: 0 });
  assert.deepEqual(rows, []);
  assert.equal(passed.filter((text) => text.includes('FETCH')).length, 4);
});

const large = 'x'.repeat(9 * 1024 * 1024);
for (const [what, response, isPassed] of [
  ['what is too large is left to imapflow', row(4, large), true],
  ['what has no end of its literal is none', '* 4 FETCH (UID 4 BODY[] {3}\r\nabc FLAGS)\r\n', false],
  ['what has no end of its string is none', '* 4 FETCH (UID 4 BODY[] "no end)\r\n', false],
] as const) {
  test(`${what}, and its neighbours are read`, async () => {
    const responses = [row(1, 'one'), response, row(5, 'five')];
    const { rows, passed } = await read(responses.map((one) => Buffer.from(one)));
    assert.deepEqual(
      rows.map(({ uid }) => uid),
      [1, 5],
    );
    assert.equal(passed.length, isPassed ? 1 : 0);
  });
}

for (const [what, rest] of [
  ['literal', `BODY[] {${large.length}}\r\n`],
  ['literal mark', `BODY[] {${'9'.repeat(99)}}\r\n`],
  ['line', `BODY[${'y'.repeat(70_000)}]\r\n`],
  ['line without end', `BODY[${'y'.repeat(70_000)}`],
  ['list of literals', '{1}\r\nx '.repeat(100)],
] as const) {
  test(`too large a ${what} behind a literal ends the fetch`, async () => {
    const { promise, resolve } = Promise.withResolvers<unknown>();
    const { tap, parser } = tapped();
    const add = () => assert.fail('a row');
    tap.attach({ ...aSink, add, isFull: false, whenRoom: setImmediate, fail: resolve });
    parser.write(Buffer.from(`* 4 FETCH (UID 4 X {3}\r\nabc ${rest}`));
    assert.match(String(await promise), /too long/);
    parser.destroy();
  });
}

test('while the sink is full nothing more is read', async () => {
  let resume: (() => void) | undefined;
  const rows: FetchData[] = [];
  const { tap, parser } = tapped();
  tap.attach({
    ...aSink,
    add: (one) => void rows.push(one),
    isFull: true,
    whenRoom: (call) => {
      resume = call;
    },
  });
  let isRead = false;
  parser.write(Buffer.from(row(1, 'one')), () => {
    isRead = true;
  });
  await new Promise(setImmediate);
  assert.equal(rows.length, 1);
  assert.equal(isRead, false);
  resume?.();
  await new Promise(setImmediate);
  assert.equal(isRead, true);
  parser.destroy();
});

test('what waits in the sink counts with all that it took on the wire', async () => {
  const responses = [row(1, 'one'), `* 2 FETCH (UID 2 FLAGS (${'$a '.repeat(5_000)}))\r\n`];
  const { sizesBytes } = await read(responses.map((response) => Buffer.from(response)));
  assert.deepEqual(
    sizesBytes,
    responses.map(({ length }) => length),
  );
});

test('a line without end in single bytes is handed on in one go', async () => {
  const line = Buffer.from(`* 4 FETCH (UID 4 ${'x'.repeat(66_000)}`);
  const { handedBytes } = await read([...line].map((byte) => Buffer.from([byte])));
  assert.ok((handedBytes[0] ?? 0) > 60_000, `${handedBytes[0]} bytes first`);
});

test('a line that had begun as the command ended comes out whole', async () => {
  const pieces = ['A1 OK done\r\n* 4 EX', 'ISTS\r\n* OK next\r\n'].map((text) => Buffer.from(text));
  assert.deepEqual((await read(pieces, { attached: 1 })).passed, ['A1 OK done', '* 4 EXISTS', '* OK next']);
});
