import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Part, SplitMail } from '../../shared/mail/mail.ts';
import { compareWithSecondReader } from '../../shared/mail/secondReader.ts';
import { mixed, part, sourceOf } from './support.ts';

const pdf = (name: string) =>
  part(
    `application/pdf; name=${name}`,
    'aGVsbG8=',
    `Content-Disposition: attachment; filename=${name}\r\nContent-Transfer-Encoding: base64\r\n`,
  );
const twoAttachments = mixed(part('text/plain', 'Hello'), pdf('a.pdf'), pdf('b.pdf'));

function partOf(kind: Part['kind']): Part {
  const content = { kind: 'bytes', bytes: Buffer.alloc(0), sizeBytes: 0, sha256: '' } as const;
  return { kind, contentType: 'application/pdf', fileName: 'x', content };
}

function split(kinds: readonly Part['kind'][], rest: Partial<SplitMail> = {}): SplitMail {
  return { envelope: {}, parts: kinds.map(partOf), warning: 'Something was damaged.', ...rest };
}

test('a damaged mail in which mailparser finds more attachments says so', async () => {
  assert.equal(
    await compareWithSecondReader(sourceOf(twoAttachments), split(['body', 'attachment'])),
    'Another reader, mailparser, finds 2 attachments in it where 1 were found here.',
  );
});

test('as many, or left out by a rule, is nothing to say', async () => {
  const source = sourceOf(twoAttachments);
  assert.equal(await compareWithSecondReader(source, split(['attachment', 'attachment'])), undefined);
  const omissions = [{ order: 2, reason: 'attachmentFilter' }] as const;
  assert.equal(await compareWithSecondReader(source, split(['attachment'], { omissions })), undefined);
});

test('a mail without damage, one that went raw and a large one are not read twice', async () => {
  const unread = { sizeBytes: 10, open: () => Promise.reject(new Error('It was read.')) };
  const { warning: _, ...undamaged } = split(['body']);
  assert.equal(await compareWithSecondReader(unread, undamaged), undefined);
  assert.equal(await compareWithSecondReader(unread, split(['raw'])), undefined);
  assert.equal(
    await compareWithSecondReader({ ...unread, sizeBytes: 2_000_000 }, split(['body'])),
    undefined,
  );
});

test('before a mail that is not small is read twice it is told; what fails then is no fault of the mail', async () => {
  const told: string[] = [];
  const compare = (name: string, mail: string) =>
    compareWithSecondReader(sourceOf(mail), split(['body']), async () => void told.push(name));
  await compare('small', 'Subject: x\r\n\r\nx');
  await compare('larger', `Subject: x\r\n\r\n${'a line of text\r\n'.repeat(10_000)}`);
  assert.deepEqual(told, ['larger']);
  const failure = new Error('The table is away.');
  const source = { ...sourceOf(''), sizeBytes: 200_000 };
  await assert.rejects(
    compareWithSecondReader(source, split(['body']), () => Promise.reject(failure)),
    failure,
  );
});

test('what mailparser can’t read tells nothing', async () => {
  const failing = { sizeBytes: 10, open: () => Promise.reject(new Error('It is gone.')) };
  assert.equal(await compareWithSecondReader(failing, split(['body'])), undefined);
  const nested = `Content-Type: multipart/mixed; boundary=b\r\n\r\n${'--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n'.repeat(3_000)}`;
  assert.equal(await compareWithSecondReader(sourceOf(nested), split(['body'])), undefined);
});
