import assert from 'node:assert/strict';
import { hash, randomUUID } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { MailPayloads } from '../../shared/destination/claimCheck.ts';
import { fixedMemory, MailContents } from '../../shared/destination/contentStore.ts';
import { readBody } from '../../shared/destination/destination.ts';
import { openTemporaryFolder } from '../../shared/destination/spillFolder.ts';
import type { Content, Part } from '../../shared/mail/mail.ts';
import { buildMessages, type PartMessage } from '../../shared/message/message.ts';
import { startAzurite } from '../testbed/azurite.ts';
import { blobNames, bytesOf, failureOf, freshContainer, mail, payloadOf } from './support.ts';

const azurite = await startAzurite();
const folder = await mkdtemp(join(tmpdir(), 'content-store-'));
after(async () => {
  await azurite.stop();
  await rm(folder, { recursive: true });
});

async function bed({
  maxInlineBytes = 100,
  memory = fixedMemory(1_000_000),
  spillFolder = join(folder, randomUUID()),
  at = azurite,
} = {}) {
  const container = await freshContainer(at);
  const owner = { customer: 'acme', connection: 'inbox', interchangeId: randomUUID() };
  const payloads = new MailPayloads(container, owner);
  const store = new MailContents({ maxInlineBytes, payloads, spillFolder, memory });
  /** The content's bytes, those of an upload once it is made visible. */
  const read = async (content: Content): Promise<Buffer> => {
    if (content.kind === 'bytes') return content.bytes;
    if (content.kind === 'file') return readFileSync(content.path);
    const { claimCheck } = (await store.toClaimCheck(partOf(content))).content;
    return await payloadOf(container, claimCheck);
  };
  const assertHolds = async (content: Content, bytes: Buffer): Promise<void> => {
    assert.ok((await read(content)).equals(bytes));
    assert.equal(content.sizeBytes, bytes.length);
    assert.equal(content.sha256, hash('sha256', bytes, 'hex'));
  };
  /** Content that comes in pieces. */
  const write = async (bytes: Buffer, pieceBytes: number): Promise<Content> => {
    const writer = store.begin();
    for (let from = 0; from < bytes.length; from += pieceBytes) {
      await writer.write(bytes.subarray(from, from + pieceBytes));
    }
    return await writer.end();
  };
  return { store, spillFolder, container, assertHolds, write };
}

const kindsOf = (contents: readonly Content[]) => contents.map(({ kind }) => kind);

function partOf(content: Content): PartMessage {
  const part: Part = { kind: 'attachment', contentType: 'image/png', fileName: 'a.png', content };
  const [message] = buildMessages(mail, { envelope: {}, parts: [part] }, 'none');
  assert.ok(message);
  return message;
}

test('what may fit a message stays in memory, one byte more goes to a blob, and neither makes a folder', async () => {
  const { store, spillFolder, assertHolds } = await bed();
  for (const [size, kind] of [
    [0, 'bytes'],
    [99, 'bytes'],
    [100, 'bytes'],
    [101, 'blob'],
  ] as const) {
    const bytes = bytesOf(size);
    const put = await store.put(bytes);
    assert.equal(put.kind, kind, `${size} bytes`);
    await assertHolds(put, bytes);
  }
  assert.equal(existsSync(spillFolder), false);
  await store.dispose();
});

test('however it is cut into pieces, content comes out whole with its size and hash', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.uint8Array({ maxLength: 80 }), { maxLength: 8 }),
      fc.integer({ min: 0, max: 200 }),
      fc.integer({ min: 0, max: 200 }),
      async (pieces, maxInlineBytes, holdBytes) => {
        const { store, assertHolds } = await bed({ maxInlineBytes, memory: fixedMemory(holdBytes) });
        const writer = store.begin();
        for (const piece of pieces) await writer.write(Buffer.from(piece));
        const content = await writer.end();
        const whole = Buffer.concat(pieces);
        await assertHolds(content, whole);
        assert.equal(content.kind === 'blob', whole.length > maxInlineBytes);
        await store.dispose();
      },
    ),
    { numRuns: 40 },
  );
});

test('many small parts of one mail do not stay in memory together, and their files go with dispose', async () => {
  const { store, spillFolder, assertHolds } = await bed({ memory: fixedMemory(250) });
  const contents: Content[] = [];
  for (let n = 0; n < 6; n += 1) contents.push(await store.put(bytesOf(100, n)));
  assert.deepEqual(kindsOf(contents), ['bytes', 'bytes', 'file', 'file', 'file', 'file']);
  for (const [n, content] of contents.entries()) {
    await assertHolds(content, bytesOf(100, n));
    assert.ok((await readBody(await store.read(content))).equals(bytesOf(100, n)));
  }
  assert.equal(readdirSync(spillFolder).length, 4);
  assert.deepEqual(openFiles(spillFolder), []);
  assert.equal(statSync(spillFolder).mode & 0o077, 0);
  await store.dispose();
  assert.equal(existsSync(spillFolder), false);
});

test('content that outgrows its file moves on to a blob and leaves no file', async () => {
  const limits = { maxInlineBytes: 1_000, memory: fixedMemory(100) };
  const { store, spillFolder, assertHolds, write } = await bed(limits);
  const bytes = bytesOf(3_000);
  const content = await write(bytes, 60);
  assert.equal(content.kind, 'blob');
  await assertHolds(content, bytes);
  assert.deepEqual(readdirSync(spillFolder), []);
  await store.dispose();
});

for (const [kind, maxInlineBytes] of [
  ['blob', 100],
  ['file', 1_000],
] as const) {
  test(`memory that is free once a part goes to a ${kind} may be used by the next part`, async () => {
    const { store, write } = await bed({ memory: fixedMemory(100), maxInlineBytes });
    assert.equal((await write(bytesOf(180), 90)).kind, kind);
    assert.equal((await store.put(bytesOf(100))).kind, 'bytes');
    await store.dispose();
  });
}

test('a mail that is disposed of holds no memory: it may be taken apart anew with all of it', async () => {
  const memory = fixedMemory(100);
  const { store, write } = await bed({ memory });
  await store.put(Buffer.alloc(30));
  await write(Buffer.alloc(20), 10);
  const unfinished = store.begin();
  await unfinished.write(Buffer.alloc(10));
  assert.equal(memory.tryGrow(41), false);
  await store.dispose();
  await unfinished.abort();
  assert.equal(memory.tryGrow(100), true);
  assert.equal(memory.tryGrow(1), false);
});

test('aborted content leaves nothing: no blob, no file, no memory taken', async () => {
  const { store, spillFolder, container } = await bed({ memory: fixedMemory(50) });
  for (const size of [40, 80, 120]) {
    const writer = store.begin();
    await writer.write(bytesOf(size));
    await writer.abort();
  }
  assert.deepEqual(await blobNames(container), []);
  assert.deepEqual(readdirSync(spillFolder), []);
  assert.equal((await store.put(bytesOf(50))).kind, 'bytes');
  await store.dispose();
});

test('an upload is seen once its part’s message is made, and one that is not goes with dispose', async () => {
  const { store, container } = await bed();
  const [sent, unsent] = [await store.put(bytesOf(200, 1)), await store.put(bytesOf(200, 2))];
  assert.deepEqual(await blobNames(container), []);
  await store.toClaimCheck(partOf(sent));
  await store.toClaimCheck(partOf(sent));
  await store.dispose();
  assert.equal((await blobNames(container)).length, 1);
  assert.ok(unsent.kind === 'blob');
  assert.equal((await store.read(unsent)).length, 0, 'its message carries no bytes');
});

test('content that proved too large for a message moves to a blob from memory and from its file', async () => {
  const { store, container } = await bed({ memory: fixedMemory(100) });
  const contents = [await store.put(bytesOf(100, 1)), await store.put(bytesOf(100, 2))];
  assert.deepEqual(kindsOf(contents), ['bytes', 'file']);
  for (const [n, content] of contents.entries()) {
    const part = { ...partOf(content), partNumber: n + 1 };
    const moved = await store.toClaimCheck(part);
    assert.match(moved.content.claimCheck, new RegExp(`/part-${n + 1}$`));
    assert.equal(moved.head.applicationProperties.claimCheck, moved.content.claimCheck);
    assert.ok((await payloadOf(container, moved.content.claimCheck)).equals(bytesOf(100, n + 1)));
    assert.deepEqual(await store.toClaimCheck(moved), moved);
    const name = moved.content.claimCheck.slice(container.containerName.length + 1);
    const { contentType, contentDisposition } = await container.getBlobClient(name).getProperties();
    assert.deepEqual([contentType, contentDisposition], ['image/png', "attachment; filename*=UTF-8''a.png"]);
  }
  await store.dispose();
});

/** The files below `path` that this process has open. */
function openFiles(path: string): string[] {
  return readdirSync('/proc/self/fd').flatMap((descriptor) => {
    try {
      const file = readlinkSync(`/proc/self/fd/${descriptor}`);
      return file.startsWith(path) ? [file] : [];
    } catch {
      // That of the folder that was just listed.
      return [];
    }
  });
}

test('an upload that fails says so, and leaves no file open where it was on its way from one', async () => {
  const gone = await startAzurite();
  const { store, spillFolder } = await bed({ at: gone, maxInlineBytes: 600_000, memory: fixedMemory(0) });
  await gone.stop();
  const writer = store.begin();
  await writer.write(bytesOf(600_000));
  assert.equal(openFiles(spillFolder).length, 1);
  await assert.rejects(async () => await writer.write(bytesOf(1)));
  assert.equal((await failureOf(store.put(bytesOf(600_001)))).reason, 'storage');
  await writer.abort();
  assert.deepEqual(openFiles(spillFolder), []);
  await store.dispose();
});

/** A folder that can't be made, since a file stands in its way. */
async function blockedFolder(): Promise<string> {
  const file = join(folder, randomUUID());
  await writeFile(file, '');
  return join(file, 'mail');
}

test('where no temporary file can be made, the part goes by claim check whole', async () => {
  const spillFolder = await blockedFolder();
  const limits = { memory: fixedMemory(150), maxInlineBytes: 1_000 };
  const { store, assertHolds, write } = await bed({ ...limits, spillFolder });
  const all = [bytesOf(100, 1), bytesOf(100, 2), bytesOf(500, 3)];
  const contents: Content[] = [];
  for (const bytes of all) contents.push(await (bytes.length > 100 ? write(bytes, 40) : store.put(bytes)));
  assert.deepEqual(kindsOf(contents), ['bytes', 'blob', 'blob']);
  for (const [n, content] of contents.entries()) await assertHolds(content, all[n] ?? Buffer.alloc(0));
  await store.dispose();
});

/** From the nth piece on a file takes only half of each, and no more: the disk is full. */
async function fillDisk(t: TestContext, fromPiece: number): Promise<void> {
  const probe = await open(join(folder, randomUUID()), 'w');
  const prototype = Object.getPrototypeOf(probe);
  await probe.close();
  const { appendFile } = prototype;
  let pieces = 0;
  t.mock.method(prototype, 'appendFile', async function (this: unknown, piece: Buffer) {
    pieces += 1;
    if (pieces < fromPiece) return await appendFile.call(this, piece);
    await appendFile.call(this, piece.subarray(0, piece.length / 2));
    throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
  });
}

for (const fromPiece of [1, 2, 5]) {
  test(`a disk that is full at the ${fromPiece}. piece: the part goes by claim check whole, and leaves no file`, async (t) => {
    const limits = { memory: fixedMemory(60), maxInlineBytes: 1_000 };
    const { store, assertHolds, spillFolder, write } = await bed(limits);
    await fillDisk(t, fromPiece);
    const bytes = bytesOf(600);
    const content = await write(bytes, 40);
    assert.equal(content.kind, 'blob');
    await assertHolds(content, bytes);
    assert.deepEqual(readdirSync(spillFolder), []);
    await store.dispose();
  });
}

test('folders of processes that run no more are removed, others stay', async () => {
  const parent = await mkdtemp(join(folder, 'parent-'));
  const ours = await openTemporaryFolder(parent);
  assert.equal(existsSync(ours), false);
  const { store } = await bed({ memory: fixedMemory(0), spillFolder: join(ours, 'mail') });
  await store.put(bytesOf(10));
  // In a container the next process often has the id of the one that crashed.
  const dead = ['process-999999999-x', `process-${process.pid}-x`].map((name) => join(parent, name));
  for (const path of dead) {
    const other = await bed({ memory: fixedMemory(0), spillFolder: join(path, 'mail') });
    await other.store.put(bytesOf(10));
    assert.equal(existsSync(path), true);
  }
  await writeFile(join(parent, 'notes'), '');
  await openTemporaryFolder(parent);
  assert.deepEqual(readdirSync(parent).sort(), ['notes', ours.slice(parent.length + 1)]);
  await store.dispose();
});
