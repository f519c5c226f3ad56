import assert from 'node:assert/strict';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { streamPieces } from '../../../shared/mailbox/imap/pieceStream.ts';

const mail = Buffer.from('0123456789');

/** Streams `mail` in pieces of 4, as a server that says it has `sizeBytes`; `cap` makes it stingy. */
function stream(sizeBytes: number, cap = 4, fail?: (offset: number) => boolean) {
  const asked: number[] = [];
  const piece = async (offset: number): Promise<Buffer> => {
    asked.push(offset);
    if (fail?.(offset) === true) throw new Error('lost');
    return mail.subarray(offset, offset + Math.min(4, cap));
  };
  return { asked, stream: streamPieces(mail.subarray(0, Math.min(4, cap)), sizeBytes, 4, piece) };
}

test('pieces join to the mail; a right size saves the last look', async () => {
  const { stream: pieces, asked } = stream(10);
  assert.deepEqual(await buffer(pieces), mail);
  assert.deepEqual(asked, [4, 8]);
});

test('a size that errs, either way, loses nothing', async () => {
  for (const sizeBytes of [0, 3, 8, 9, 11, 12, 500]) {
    assert.deepEqual(await buffer(stream(sizeBytes).stream), mail, `size ${sizeBytes}`);
  }
});

test('a server that gives less than was asked for is asked again', async () => {
  assert.deepEqual(await buffer(stream(10, 3).stream), mail);
});

test('a piece that can not be fetched is an error and never an end', async () => {
  for (const lostAt of [4, 8]) {
    const { stream: pieces } = stream(10, 4, (offset) => offset === lostAt);
    await assert.rejects(buffer(pieces), /lost/);
  }
});

test('no more than one piece is fetched ahead of the consumer', async () => {
  const { stream: pieces, asked } = stream(10);
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(asked, []);
  const iterator = pieces[Symbol.asyncIterator]();
  await iterator.next();
  await new Promise((resolve) => setImmediate(resolve));
  assert.ok(asked.length <= 2, `${asked}`);
  pieces.destroy();
});
