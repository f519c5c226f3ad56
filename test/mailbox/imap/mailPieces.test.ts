import assert from 'node:assert/strict';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { joinPieces, mailPieces } from '../../../shared/mailbox/imap/mailPieces.ts';

const mail = Buffer.from('0123456789');

/** Streams `mail` in pieces of 4, as a server that says it has `sizeBytes`; `cap` makes it stingy. */
function stream(sizeBytes: number, cap = 4, fail?: (offset: number) => boolean) {
  const asked: number[] = [];
  const piece = async (offset: number): Promise<Buffer> => {
    asked.push(offset);
    if (fail?.(offset) === true) throw new Error('lost');
    return mail.subarray(offset, offset + Math.min(4, cap));
  };
  return { asked, stream: joinPieces(sizeBytes, 4, piece) };
}

test('pieces join to the mail; a right size saves the last look', async () => {
  const { stream: pieces, asked } = stream(10);
  assert.deepEqual(await buffer(pieces), mail);
  assert.deepEqual(asked, [0, 4, 8]);
});

test('a size that errs, either way, loses nothing', async () => {
  for (const sizeBytes of [0, 3, 8, 9, 11, 12, 500]) {
    assert.deepEqual(await buffer(stream(sizeBytes).stream), mail, `size ${sizeBytes}`);
  }
});

test('a server that gives less than was asked for is asked again', async () => {
  for (const sizeBytes of [1, 2, 4, 5, 8, 10, 11]) {
    assert.deepEqual(await buffer(stream(sizeBytes, 3).stream), mail, `size ${sizeBytes}`);
  }
});

test('nothing behind a whole piece, short of the size, is an error and no end', async () => {
  const upTo = (end: number) => async (offset: number) => mail.subarray(offset, Math.min(offset + 4, end));
  await assert.rejects(buffer(joinPieces(10, 4, upTo(4))), /sent 4 of the 10 bytes/);
  assert.deepEqual(await buffer(joinPieces(8, 4, upTo(8))), mail.subarray(0, 8));
  const stingy = async (offset: number) => mail.subarray(offset, Math.min(offset + 3, 6));
  await assert.rejects(buffer(joinPieces(10, 4, stingy)), /sent 6 of the 10 bytes/);
});

test('a piece that can not be fetched is an error and never an end', async () => {
  for (const lostAt of [0, 4, 8]) {
    const { stream: pieces } = stream(10, 4, (offset) => offset === lostAt);
    await assert.rejects(buffer(pieces), /lost/);
  }
});

test('no more than one piece is fetched ahead of the consumer', async () => {
  const { stream: pieces, asked } = stream(10);
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(asked, []);
  await pieces.next();
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(asked, [0, 4]);
});

test('the first piece serves to begin and to read, and is fetched once; opened again it is fetched anew', async () => {
  const asked: number[] = [];
  const pieces = mailPieces(async (offset) => {
    asked.push(offset);
    return mail;
  });
  assert.equal(await pieces.begin(), mail);
  assert.equal(await pieces.fetch(0), mail);
  assert.deepEqual(asked, [0]);
  await pieces.fetch(0);
  assert.deepEqual(asked, [0, 0]);
});

test('one piece is on the wire at a time, and none after the end', async () => {
  const { promise, resolve } = Promise.withResolvers<Buffer>();
  const asked: number[] = [];
  const pieces = mailPieces((offset) => {
    asked.push(offset);
    return promise;
  });
  const first = pieces.fetch(0);
  const second = pieces.fetch(4);
  await new Promise(setImmediate);
  assert.deepEqual(asked, [0]);
  let isOver = false;
  const ending = pieces.end().then(() => {
    isOver = true;
  });
  await assert.rejects(pieces.fetch(8), /read on after/);
  assert.equal(isOver, false);
  resolve(mail);
  await Promise.all([first, second, ending]);
  assert.deepEqual(asked, [0, 4]);
});

test('a piece that fails while the one before it is read fails its reader, and nothing else', async () => {
  const pieces = joinPieces(8, 4, async (offset) => {
    if (offset > 0) throw new Error('lost');
    return Buffer.alloc(4);
  });
  await pieces.next();
  // As long as it takes the process to find that nobody waits for it.
  await new Promise(setImmediate);
  await assert.rejects(pieces.next(), /lost/);
});
