import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { SplitRules } from '../../shared/mail/mail.ts';
import { rawMail, splitMail } from '../../shared/mail/splitMail.ts';
import { uuencode } from './encode.ts';
import { memoryStore } from './memoryStore.ts';
import { defaultRules, head, mixed, part, seen, sourceOf, split, splitInPieces } from './support.ts';

const text = part('text/plain', 'text');
const file = (name: string) =>
  part('application/octet-stream', name, `Content-Disposition: attachment; filename="${name}"\r\n`);
const nameless = (type: string) => part(type, 'x');
const onlyPdf = { attachmentFilter: (name: string) => name.endsWith('.pdf') };

async function sent(mail: string, rules: Partial<SplitRules>) {
  const result = await split(mail, rules);
  return {
    names: seen(result).map(({ fileName }) => fileName),
    leftOut: result.leftOut,
    reasons: result.omissions?.map(({ reason }) => reason),
  };
}

describe('the attachment filter', () => {
  test('sends what it takes, numbered without gaps', async () => {
    const mail = mixed(
      text,
      file('a.txt'),
      file('b.pdf'),
      nameless('image/png'),
      nameless('application/pdf'),
    );
    assert.deepEqual(await sent(mail, onlyPdf), {
      names: ['body.txt', 'b.pdf', 'attachment-3.pdf'],
      leftOut: undefined,
      reasons: ['attachmentFilter', 'attachmentFilter'],
    });
  });

  test('asks by the name that an attachment goes under', async () => {
    const asked: string[] = [];
    await split(mixed(text, file('C:\\x\\a.txt'), nameless('image/png')), {
      attachmentFilter: (name) => asked.push(name) > 0,
    });
    assert.deepEqual([...new Set(asked)], ['a.txt', 'attachment-3.png']);
  });

  test('knows uuencoded data by the name that it says of itself, where its header says none', async () => {
    const uuencoded = (name: string, fields = '') =>
      part(
        'application/octet-stream',
        uuencode(Buffer.from('a file')).replace(/^begin 644 .*/, `begin 644 ${name}`),
        `${fields}Content-Transfer-Encoding: x-uuencode\r\n`,
      );
    const named = 'Content-Disposition: attachment; filename="c.pdf"\r\n';
    const mail = mixed(
      text,
      ...[uuencoded('../ä b.pdf '), uuencoded('a.txt'), uuencoded('x.txt', named), uuencoded('..')],
    );
    const names = ['body.txt', 'ä b.pdf', 'a.txt', 'c.pdf', 'attachment-5.bin'];
    assert.deepEqual((await sent(mail, {})).names, names);
    assert.deepEqual((await sent(mail, onlyPdf)).names, ['body.txt', 'ä b.pdf', 'c.pdf']);
    const large = uuencoded('large.pdf').replace(
      'end\r\n',
      `${`M${'A'.repeat(60)}\r\n`.repeat(540_000)}end\r\n`,
    );
    assert.deepEqual((await sent(mixed(text, large), onlyPdf)).names, ['body.txt', 'large.pdf']);
  });

  test('stores nothing of what it leaves out, and leaves no writer open', async () => {
    let begun = 0;
    let put = 0;
    const memory = memoryStore();
    const store = {
      put: (bytes: Buffer) => memory.put(bytes).finally(() => put++),
      begin: () => {
        begun++;
        const writer = memory.begin();
        return { ...writer, abort: async () => void begun-- };
      },
    };
    const mail = mixed(
      text,
      file(`${'x'.repeat(100)}.bin`),
      nameless(`image/png\r\nX: ${'y'.repeat(200_000)}`),
    );
    const bytes = Buffer.from(mail);
    const pieces = [bytes.subarray(0, 100_000), bytes.subarray(100_000)];
    await splitInPieces(pieces, onlyPdf, store);
    assert.deepEqual([begun, put], [0, 1]);
  });
});

describe('a mail of which nothing is sent says by which rule', () => {
  const shown = mixed(part('text/html', '<img src="cid:p">'), part('image/png', 'x', 'Content-ID: <p>\r\n'));
  const kinds: [string, string, Partial<SplitRules>, string | undefined][] = [
    ['a text', mixed(text), { sendBody: false }, 'sendMessageBody'],
    ['nothing at all', `${head}\r\n`, { sendBody: false }, 'sendMessageBody'],
    ['an attachment', mixed(file('a')), { sendAttachments: false }, 'sendAttachments'],
    ['an attachment and a text', mixed(text, file('a')), { sendBody: false, ...onlyPdf }, 'attachmentFilter'],
    ['a shown picture', shown, { sendBody: false }, 'inlineAttachments'],
    ['neither wanted', mixed(text), { sendBody: false, sendAttachments: false }, 'sendMessageBody'],
    ['something that is sent', mixed(text), {}, undefined],
  ];
  for (const [name, mail, rules, reason] of kinds)
    test(name, async () => {
      const result = await sent(mail, rules);
      assert.equal(result.leftOut, reason);
      assert.equal(result.names.length === 0, reason !== undefined);
    });

  test('and one whose text is in an encoding that nobody knows goes raw, if attachments are not sent', async () => {
    const encoded = `${head}Content-Type: text/plain\r\nContent-Transfer-Encoding: UTF-8\r\n\r\nlost\r\n`;
    assert.deepEqual((await sent(encoded, { sendAttachments: false })).names, ['mail.eml']);
    assert.deepEqual((await sent(encoded, {})).names, ['attachment-1.bin']);
    const named = encoded.replace('text/plain', 'application/pdf; name=a.pdf');
    assert.equal((await sent(named, { sendAttachments: false })).leftOut, 'sendAttachments');
  });

  test('and one that parses to nothing goes raw whatever the rules', async () => {
    const nothing = `${head}Content-Type: multipart/mixed; boundary=b\r\n\r\nlost\r\n`;
    for (const rules of [
      { sendBody: false },
      { sendAttachments: false },
      { attachmentFilter: () => false },
      {},
    ])
      assert.deepEqual((await sent(nothing, rules)).names, ['mail.eml']);
  });
});

describe('before what may take much memory', () => {
  const risky = `${head}\r\n${'long line of text\r\n'.repeat(100_000)}`;

  test('the caller is told once, and can stop it', async () => {
    let told = 0;
    const split = (mail: string, beforeRisk: () => Promise<void>) =>
      splitMail(sourceOf(mail), defaultRules, memoryStore(), { beforeRisk });
    await split(`${head}\r\nshort\r\n`, async () => void told++);
    assert.equal(told, 0);
    await split(risky, async () => void told++);
    assert.equal(told, 1);
    await split(mixed(part('application/ms-tnef', 'no TNEF')), async () => void told++);
    assert.equal(told, 2);
    const storageFailure = new Error('storage is away');
    await assert.rejects(
      split(risky, () => Promise.reject(storageFailure)),
      (error) => error === storageFailure,
    );
  });

  test('a mail can be sent raw instead, untouched', async () => {
    const mail = await rawMail(sourceOf(risky), 'It was too much twice.', memoryStore());
    assert.deepEqual(
      seen(mail).map(({ kind, bytes }) => [kind, bytes.equals(Buffer.from(risky))]),
      [['raw', true]],
    );
    assert.equal(mail.warning, 'It was too much twice.');
    assert.equal(mail.envelope.subject, 'x');
  });
});
