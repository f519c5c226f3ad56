import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { after, test } from 'node:test';
import { BlobClient, BlockBlobClient, type ContainerClient, RestError } from '@azure/storage-blob';
import { type ContentMemory, MailPayloads, PayloadConflict } from '../../shared/destination/claimCheck.ts';
import { startAzurite } from '../testbed/azurite.ts';
import {
  blobNames,
  bytesOf,
  contentOf,
  failureOf,
  freshContainer,
  messageOf,
  payloadOf,
  until,
} from './support.ts';

const azurite = await startAzurite();
after(() => azurite.stop());

const owner = { customer: 'acme', connection: 'in.box', interchangeId: '0f-1' };
const folder = 'acme/in.box/0f-1';
const roomy: ContentMemory = { tryGrow: () => true, shrink: () => undefined };
const tight: ContentMemory = { tryGrow: () => false, shrink: () => undefined };

const labelOf = (bytes: Buffer, fileName = 'part.bin', contentType = 'application/octet-stream') => ({
  head: messageOf(bytes, { contentType, applicationProperties: { inboundFileName: fileName } }),
  content: contentOf(bytes),
});

async function* piecesOf(bytes: Buffer, pieceBytes = 700_001): AsyncGenerator<Buffer> {
  for (let from = 0; from < bytes.length; from += pieceBytes) yield bytes.subarray(from, from + pieceBytes);
}

/** A part that is found too large while its mail is read. */
async function uploadLarge(payloads: MailPayloads, bytes: Buffer, memory = roomy): Promise<string> {
  const upload = payloads.beginUpload(memory);
  for await (const piece of piecesOf(bytes)) await upload.write(piece);
  await upload.end();
  await upload.commit(labelOf(bytes));
  return upload.claimCheck;
}

const uploadPart = (payloads: MailPayloads, bytes: Buffer, name = 'part-1') =>
  payloads.upload(name, labelOf(bytes), () => piecesOf(bytes));

async function blockSizesOf(container: ContainerClient, name: string): Promise<number[]> {
  const { committedBlocks = [] } = await container.getBlockBlobClient(name).getBlockList('committed');
  return committedBlocks.map(({ size }) => size);
}

for (const [what, memory] of [
  ['with room in memory', roomy],
  ['without', tight],
] as const) {
  test(`a payload comes back byte for byte, ${what}; the container is made when first needed`, async () => {
    const container = await freshContainer(azurite);
    const payloads = new MailPayloads(container, owner);
    for (const [index, size] of [0, 1, 256 * 1_024, 2 * 1_024 * 1_024, 7_000_001].entries()) {
      const bytes = bytesOf(size, index);
      const claimCheck = await uploadLarge(payloads, bytes, memory);
      assert.equal(claimCheck, `${container.containerName}/${folder}/large-${index + 1}`);
      assert.ok((await payloadOf(container, claimCheck)).equals(bytes), `${size} bytes`);
    }
  });
}

test('a piece as large as several blocks is cut up, in small blocks where memory is refused', async () => {
  const container = await freshContainer(azurite);
  const bytes = bytesOf(5_000_000);
  const asked: number[] = [];
  const givenBack: number[] = [];
  const memory = {
    shrink: (sizeBytes: number) => void givenBack.push(sizeBytes),
    tryGrow(sizeBytes: number) {
      asked.push(sizeBytes);
      return asked.length === 1;
    },
  };
  const payloads = new MailPayloads(container, owner);
  for (let n = 0; n < 2; n += 1) {
    const upload = payloads.beginUpload(memory);
    await upload.write(bytes);
    await upload.end();
    assert.deepEqual(givenBack, asked.slice(0, 1), 'what was granted is given back when all is sent');
    await upload.commit(labelOf(bytes));
    assert.ok((await payloadOf(container, upload.claimCheck)).equals(bytes));
  }
  const [large, small] = await Promise.all(
    [1, 2].map((n) => blockSizesOf(container, `${folder}/large-${n}`)),
  );
  assert.ok(large && small);
  assert.ok(Math.max(...small) <= 256 * 1_024, `${Math.max(...small)}`);
  assert.ok(Math.max(...large) > 1_000_000, `${Math.max(...large)}`);
  assert.ok((asked[0] ?? 0) >= 2 * Math.max(...large), 'what it holds is asked for');
});

test('the blob says what it holds, to whoever opens it by hand', async () => {
  const container = await freshContainer(azurite);
  const bytes = bytesOf(10);
  const label = labelOf(bytes, 'Rechnung "5" – ä.pdf', 'application/pdf');
  await new MailPayloads(container, owner).upload('part-3', label, () => piecesOf(bytes));
  const blob = await container.getBlobClient(`${folder}/part-3`).getProperties();
  assert.equal(blob.contentType, 'application/pdf');
  assert.equal(
    blob.contentDisposition,
    "attachment; filename*=UTF-8''Rechnung%20%225%22%20%E2%80%93%20%C3%A4.pdf",
  );
  assert.equal(blob.metadata?.sha256, label.content.sha256);
});

test('nobody sees a payload before it is whole, and an aborted one leaves no blob and no memory held', async () => {
  const container = await freshContainer(azurite);
  let heldBytes = 0;
  const memory = {
    tryGrow(sizeBytes: number) {
      heldBytes += sizeBytes;
      return true;
    },
    shrink(sizeBytes: number) {
      heldBytes -= sizeBytes;
    },
  };
  const payloads = new MailPayloads(container, owner);
  const unfinished = payloads.beginUpload(memory);
  await unfinished.write(bytesOf(10));
  await unfinished.abort();
  const upload = payloads.beginUpload(memory);
  await upload.write(bytesOf(5_000_000));
  await upload.end();
  assert.deepEqual(await blobNames(container), []);
  await upload.abort();
  assert.deepEqual([await blobNames(container), heldBytes], [[], 0]);
});

for (const [what, again] of [
  ['read anew', uploadLarge],
  ['uploaded anew', uploadPart],
] as const) {
  test(`the same mail ${what} leaves one blob, which counts as new`, async () => {
    const container = await freshContainer(azurite);
    const bytes = bytesOf(600_000);
    const first = await again(new MailPayloads(container, owner), bytes);
    const name = first.slice(container.containerName.length + 1);
    const before = await container.getBlobClient(name).getProperties();
    // The service keeps whole seconds.
    const nextSecond = (before.lastModified?.getTime() ?? 0) + 1_000;
    await until('the next second', () => Date.now() >= nextSecond);
    assert.equal(await again(new MailPayloads(container, owner), bytes), first);
    assert.deepEqual(await blobNames(container), [name]);
    const renewed = await container.getBlobClient(name).getProperties();
    assert.ok((renewed.lastModified?.getTime() ?? 0) > (before.lastModified?.getTime() ?? 0));
    assert.equal(renewed.metadata?.sha256, hash('sha256', bytes, 'hex'));
    assert.equal(renewed.contentType, before.contentType);
    assert.ok((await payloadOf(container, first)).equals(bytes));
  });
}

test('other bytes under the name stay, and the part goes under its own SHA-256', async () => {
  const container = await freshContainer(azurite);
  const [one, two] = [bytesOf(100, 1), bytesOf(100, 2)];
  const first = await uploadPart(new MailPayloads(container, owner), one);
  const second = await uploadPart(new MailPayloads(container, owner), two);
  assert.equal(second, `${first}-${hash('sha256', two, 'hex')}`);
  assert.equal(await uploadPart(new MailPayloads(container, owner), two), second);
  assert.ok((await payloadOf(container, first)).equals(one));
  assert.ok((await payloadOf(container, second)).equals(two));
  assert.equal((await blobNames(container)).length, 2);
});

test('a mail that is read finds a name taken: it begins anew, and passes that name over', async () => {
  const container = await freshContainer(azurite);
  const [one, two, three] = [bytesOf(100, 1), bytesOf(100, 2), bytesOf(100, 3)];
  await uploadLarge(new MailPayloads(container, owner), one);
  const payloads = new MailPayloads(container, owner);
  const conflict = await failureOf(uploadLarge(payloads, two));
  assert.ok(conflict instanceof PayloadConflict);
  assert.equal(conflict.reason, 'storage');
  payloads.passOver(conflict);
  payloads.start();
  assert.equal(
    await uploadLarge(payloads, two),
    `${container.containerName}/${folder}/large-1-${hash('sha256', two, 'hex')}`,
  );
  assert.equal(await uploadLarge(payloads, three), `${container.containerName}/${folder}/large-2`);
  assert.ok((await payloadOf(container, `${container.containerName}/${folder}/large-1`)).equals(one));
});

test('two writers of one name never mix their blocks: one is seen, whole, and the other uses it or conflicts', async () => {
  const container = await freshContainer(azurite);
  const bytes = [1, 2].map((seed) => bytesOf(3_000_000, seed));
  const uploads = bytes.map(() => new MailPayloads(container, owner).beginUpload(tight));
  for (let from = 0; from < 3_000_000; from += 100_000) {
    for (const [n, upload] of uploads.entries()) {
      await upload.write(bytes[n]?.subarray(from, from + 100_000) ?? Buffer.alloc(0));
    }
  }
  for (const upload of uploads) await upload.end();
  const outcomes = await Promise.allSettled(
    uploads.map((upload, n) => upload.commit(labelOf(bytes[n] ?? Buffer.alloc(0)))),
  );
  const winner = outcomes.findIndex(({ status }) => status === 'fulfilled');
  const [loser] = outcomes.filter(({ status }) => status === 'rejected');
  assert.ok(loser?.status === 'rejected' && loser.reason instanceof PayloadConflict, String(loser));
  const seen = await payloadOf(container, uploads[winner]?.claimCheck);
  assert.ok(bytes[winner]?.equals(seen));
});

test('two writers of the same bytes leave one blob that both point to', async () => {
  const container = await freshContainer(azurite);
  const bytes = bytesOf(1_000_000);
  const claimChecks = await Promise.all(
    [1, 2, 3].map(() => uploadPart(new MailPayloads(container, owner), bytes)),
  );
  assert.equal(new Set(claimChecks).size, 1);
  assert.equal((await blobNames(container)).length, 1);
  assert.ok((await payloadOf(container, claimChecks[0])).equals(bytes));
});

test('a blob that nobody may change any more (a retention policy, a legal hold) is used by a repeat, and other bytes pass it', async (t) => {
  const container = await freshContainer(azurite);
  const bytes = bytesOf(1_000_000);
  const first = await uploadPart(new MailPayloads(container, owner), bytes);
  // Azurite has no such policies.
  const guarded = new Set([container.getBlobClient(`${folder}/part-1`).url]);
  for (const [prototype, name] of [
    [BlobClient.prototype, 'setMetadata'],
    [BlockBlobClient.prototype, 'stageBlock'],
    [BlockBlobClient.prototype, 'commitBlockList'],
  ] as const) {
    const change: (...change: unknown[]) => Promise<unknown> = Reflect.get(prototype, name);
    const guard = async function (this: BlobClient, ...args: unknown[]) {
      if (!guarded.has(this.url)) return await change.apply(this, args);
      throw new RestError('It is immutable.', { code: 'BlobImmutableDueToPolicy', statusCode: 409 });
    };
    Reflect.set(prototype, name, guard);
    t.after(() => Reflect.set(prototype, name, change));
  }
  assert.equal(await uploadPart(new MailPayloads(container, owner), bytes), first);
  const others = bytesOf(1_000_000, 2);
  const second = await uploadPart(new MailPayloads(container, owner), others);
  assert.notEqual(second, first);
  assert.ok((await payloadOf(container, second)).equals(others));
});

test('storage that is away fails the upload with a sentence, and what the error holds stays out of it', async () => {
  const gone = await startAzurite();
  const container = await freshContainer(gone);
  await gone.stop();
  const upload = new MailPayloads(container, owner).beginUpload(roomy);
  await upload.write(bytesOf(10));
  const failure = await failureOf(upload.end());
  assert.equal(failure.reason, 'storage');
  assert.match(failure.message, /while storing a payload in email-payloads/);
  await upload.abort();
});
