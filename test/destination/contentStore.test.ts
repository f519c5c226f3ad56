import assert from 'node:assert/strict';
import { hash, randomUUID } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { createContentStore } from '../../shared/delivery/contentStore.ts';
import { Failure } from '../../shared/failure/failure.ts';
import type { Content } from '../../shared/mail/mail.ts';
import { bytesOf, failureOf, memoryPayloads } from './support.ts';

let folder: string;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'content-store-'));
});

after(async () => {
  await rm(folder, { recursive: true });
});

function storeWith(options: { maxInlineBytes?: number; holdBytes?: number } = {}) {
  const memory = memoryPayloads();
  const spillFolder = join(folder, randomUUID());
  const store = createContentStore({
    maxInlineBytes: options.maxInlineBytes ?? 100,
    payloads: memory.payloads,
    spillFolder,
    ...(options.holdBytes === undefined ? {} : { holdBytes: options.holdBytes }),
  });
  const read = (content: Content): Buffer => {
    if (content.kind === 'bytes') return content.bytes;
    if (content.kind === 'file') return readFileSync(content.path);
    const blob = memory.blobs.get(content.claimCheck);
    assert.ok(blob);
    return blob;
  };
  const assertHolds = (content: Content, bytes: Buffer): void => {
    assert.ok(read(content).equals(bytes));
    assert.equal(content.sizeBytes, bytes.length);
    assert.equal(content.sha256, hash('sha256', bytes, 'hex'));
  };
  return { store, spillFolder, assertHolds, ...memory };
}

test('what may fit a message stays in memory, one byte more goes to a blob', async () => {
  for (const [size, kind] of [
    [0, 'bytes'],
    [99, 'bytes'],
    [100, 'bytes'],
    [101, 'blob'],
  ] as const) {
    const { store, assertHolds } = storeWith();
    const bytes = bytesOf(size);
    const put = await store.put(bytes);
    assert.equal(put.kind, kind, `${size} bytes`);
    assertHolds(put, bytes);
  }
});

test('however it is cut into pieces, content comes out whole with its size and hash', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.uint8Array({ maxLength: 80 }), { maxLength: 8 }),
      fc.integer({ min: 0, max: 200 }),
      fc.integer({ min: 0, max: 200 }),
      async (pieces, maxInlineBytes, holdBytes) => {
        const { store, assertHolds } = storeWith({ maxInlineBytes, holdBytes });
        const writer = store.begin();
        for (const piece of pieces) await writer.write(Buffer.from(piece));
        const content = await writer.end();
        const whole = Buffer.concat(pieces);
        assertHolds(content, whole);
        assert.equal(content.kind === 'blob', whole.length > maxInlineBytes);
        await store.dispose();
      },
    ),
    { numRuns: 150 },
  );
});

test('many small parts of one mail do not stay in memory together, and their files go with dispose', async () => {
  const { store, spillFolder, assertHolds } = storeWith({ maxInlineBytes: 100, holdBytes: 250 });
  const contents: Content[] = [];
  for (let n = 0; n < 6; n += 1) contents.push(await store.put(bytesOf(100, n)));
  assert.deepEqual(
    contents.map(({ kind }) => kind),
    ['bytes', 'bytes', 'file', 'file', 'file', 'file'],
  );
  contents.forEach((content, n) => {
    assertHolds(content, bytesOf(100, n));
  });
  assert.equal(readdirSync(spillFolder).length, 4);
  assert.equal(statSync(spillFolder).mode & 0o077, 0);
  await store.dispose();
  assert.equal(existsSync(spillFolder), false);
});

test('a mail that needs no file makes no folder', async () => {
  const { store, spillFolder } = storeWith();
  await store.put(bytesOf(100));
  assert.equal(existsSync(spillFolder), false);
  await store.dispose();
});

test('content that outgrows its file moves on to a blob and leaves no file', async () => {
  const { store, spillFolder, assertHolds, state } = storeWith({ maxInlineBytes: 1_000, holdBytes: 100 });
  const writer = store.begin();
  const bytes = bytesOf(3_000);
  for (let from = 0; from < bytes.length; from += 60) await writer.write(bytes.subarray(from, from + 60));
  const content = await writer.end();
  assert.equal(content.kind, 'blob');
  assertHolds(content, bytes);
  assert.deepEqual(readdirSync(spillFolder), []);
  assert.equal(state.begun, 1);
  await store.dispose();
});

test('memory that an upload frees may be used by the next part', async () => {
  const { store } = storeWith({ maxInlineBytes: 100, holdBytes: 100 });
  const writer = store.begin();
  await writer.write(bytesOf(90));
  await writer.write(bytesOf(90));
  assert.equal((await writer.end()).kind, 'blob');
  assert.equal((await store.put(bytesOf(100))).kind, 'bytes');
});

test('aborted content leaves nothing: no blob, no file, no memory taken', async () => {
  const { store, spillFolder, blobs, state } = storeWith({ maxInlineBytes: 100, holdBytes: 50 });
  for (const size of [40, 80, 120]) {
    const writer = store.begin();
    await writer.write(bytesOf(size));
    await writer.abort();
  }
  assert.equal(blobs.size, 0);
  assert.equal(state.aborted, 1);
  assert.deepEqual(readdirSync(spillFolder), []);
  assert.equal((await store.put(bytesOf(50))).kind, 'bytes');
  await store.dispose();
});

test('content that proved too large for a message moves to a blob from memory and from its file', async () => {
  const { store, assertHolds } = storeWith({ maxInlineBytes: 100, holdBytes: 100 });
  const inMemory = await store.put(bytesOf(100, 1));
  const inFile = await store.put(bytesOf(100, 2));
  assert.deepEqual([inMemory.kind, inFile.kind], ['bytes', 'file']);
  for (const [n, content] of [inMemory, inFile].entries()) {
    const moved = await store.toClaimCheck(content);
    assert.equal(moved.kind, 'blob');
    assertHolds(moved, bytesOf(100, n + 1));
    assert.equal(await store.toClaimCheck(moved), moved);
  }
  await store.dispose();
});

test('an upload that fails says so, and commits nothing', async () => {
  const { store, blobs, state } = storeWith();
  state.failWith = new Failure('storage', 'Storage is away.');
  assert.equal((await failureOf(store.put(bytesOf(101)))).message, 'Storage is away.');
  const failing = await failureOf(
    store.toClaimCheck({ kind: 'bytes', bytes: bytesOf(1), sizeBytes: 1, sha256: '' }),
  );
  assert.equal(failing.reason, 'storage');
  assert.equal(blobs.size, 0);
  assert.equal(state.aborted, 2);
});

test('a temporary folder that can not be written to is named', async () => {
  const { payloads } = memoryPayloads();
  const file = join(folder, 'a-file');
  await writeFile(file, '');
  const store = createContentStore({
    maxInlineBytes: 100,
    payloads,
    spillFolder: join(file, 'mail'),
    holdBytes: 0,
  });
  const failure = await failureOf(store.put(bytesOf(10)));
  assert.equal(failure.reason, 'storage');
  assert.equal(
    failure.message,
    `The temporary file ${join(file, 'mail')} could not be written (ENOTDIR). Check the disk space of the app's temporary folder.`,
  );
  await store.dispose();
});
