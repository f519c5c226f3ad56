import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Failure } from '../../shared/failure/failure.ts';
import type { ContentStore, MailSource } from '../../shared/mail/mail.ts';
import { splitMail } from '../../shared/mail/splitMail.ts';
import { base64Lines } from './encode.ts';
import { memoryStore } from './memoryStore.ts';
import { defaultRules, lines, sourceOf, splitInPieces } from './support.ts';

const head = lines('From: a@example.com', 'Subject: hostile', 'Message-ID: <1@x>');

describe('what fails outside the mail', () => {
  const source = `${head}Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: image/png\r\n\r\n${'x'.repeat(500_000)}\r\n--b--\r\n`;
  const storageFailure = new Failure('storage', 'Storage is away.');

  function failingStore(failing?: 'put' | 'write' | 'end'): { store: ContentStore; aborted: () => number } {
    let aborted = 0;
    const memory = memoryStore();
    const fail = (when: string) => {
      if (when === failing) throw storageFailure;
    };
    const store: ContentStore = {
      put: async (bytes) => {
        fail('put');
        return memory.put(bytes);
      },
      begin: () => {
        const writer = memory.begin();
        return {
          write: async () => fail('write'),
          end: async () => {
            fail('end');
            return writer.end();
          },
          abort: async () => {
            aborted++;
          },
        };
      },
    };
    return { store, aborted: () => aborted };
  }

  for (const failing of ['write', 'end'] as const) {
    test(`a store that fails at ${failing} is the caller’s to handle, and its writers are aborted`, async () => {
      const { store, aborted } = failingStore(failing);
      const pieces = [Buffer.from(source.slice(0, 200_000)), Buffer.from(source.slice(200_000))];
      await assert.rejects(splitInPieces(pieces, {}, store), (error) => error === storageFailure);
      assert.equal(aborted(), 1);
    });
  }

  test('a store that fails to keep a small part, or the raw mail', async () => {
    for (const mail of [source, 'raw'])
      await assert.rejects(splitInPieces([Buffer.from(mail)], {}, failingStore('put').store), storageFailure);
  });

  test('a source that breaks off', async () => {
    const lost = new Failure('connection-lost', 'The server has gone.');
    const broken: MailSource = {
      sizeBytes: source.length,
      open: async () =>
        (async function* () {
          yield Buffer.from(source.slice(0, 200_000));
          yield Buffer.from(source.slice(200_000, 300_000));
          throw lost;
        })(),
    };
    const { store, aborted } = failingStore('put');
    await assert.rejects(splitMail(broken, defaultRules, store), (error) => error === lost);
    assert.equal(aborted(), 1);
  });

  test('writers of a mail that turns out unsplittable are aborted, and it goes raw', async () => {
    const { store, aborted } = failingStore();
    const more = 'x'.repeat(100_000);
    const bad = `${head}Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: image/png\r\n\r\n${more}`;
    const mail = await splitMail(
      { ...sourceOf(...[bad, more, more]), sizeBytes: 1 },
      { ...defaultRules, maxMailBytes: 250_000 },
      store,
    );
    assert.equal(mail.parts[0]?.kind, 'raw');
    assert.equal(aborted(), 1);
  });
});

test('a large mail passes through at the store’s pace, never held whole', async () => {
  const piece = Buffer.from(`${base64Lines(Buffer.alloc(57 * 1000, 7))}\r\n`);
  const count = 600;
  let inFlight = 0;
  let most = 0;
  let stored = 0;
  const source: MailSource = {
    sizeBytes: piece.length * count,
    open: async () =>
      (async function* () {
        yield Buffer.from(`${head}Content-Type: video/mp4\r\nContent-Transfer-Encoding: base64\r\n\r\n`);
        for (let n = 0; n < count; n++) {
          most = Math.max(most, ++inFlight);
          yield piece;
        }
      })(),
  };
  const store: ContentStore = {
    put: memoryStore().put,
    begin: () => ({
      write: async (bytes) => {
        await new Promise((resolve) => setImmediate(resolve));
        stored += bytes.length;
        inFlight = 0;
      },
      end: async () => ({ kind: 'blob', claimCheck: 'c/b', sizeBytes: stored, sha256: '' }),
      abort: async () => undefined,
    }),
  };
  const mail = await splitMail(source, defaultRules, store);
  assert.equal(mail.parts[0]?.content.sizeBytes, 57 * 1000 * count);
  assert.ok(most <= 3, `${most} pieces ahead of the store`);
});
