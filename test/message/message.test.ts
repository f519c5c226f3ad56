import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Content, Part, SplitMail } from '../../shared/mail/mail.ts';
import { identifyMail } from '../../shared/message/identity.ts';
import {
  buildMessages,
  interchangeIdOf,
  type MailOrigin,
  type MessageHead,
  type SessionMode,
  withClaimCheck,
} from '../../shared/message/message.ts';
import { mail } from '../destination/support.ts';

const bytes = Buffer.from('Hello');
const content: Content = { kind: 'bytes', bytes, sizeBytes: 5, sha256: hash('sha256', bytes, 'hex') };
const body: Part = { kind: 'body', contentType: 'text/plain; charset=utf-8', fileName: 'body.txt', content };
const attachment: Part = { kind: 'attachment', contentType: 'application/pdf', fileName: 'a.pdf', content };
const split: SplitMail = {
  envelope: {
    messageId: '<1@example.com>',
    subject: 'Order',
    from: 'a@example.com',
    to: 'b@example.com',
    date: '2026-01-02T03:04:05.000Z',
  },
  parts: [body, attachment],
};

/** What the first message says of a mail like `split`. */
function headOf(of: Partial<SplitMail>, sessions: SessionMode = 'none', from = mail): MessageHead {
  const [first] = buildMessages(from, { ...split, ...of }, sessions);
  assert.ok(first);
  return first.head;
}

/** The message id of one part of a mail. */
function messageIdOf(of: MailOrigin, partNumber = 1, part: Part = body): string {
  const parts = Array.from({ length: partNumber }, () => part);
  return buildMessages(of, { ...split, parts }, 'none').at(-1)?.head.messageId ?? '';
}

test('every part says who sent it, from where, and which part of how many it is', () => {
  const [first, second] = buildMessages(mail, split, 'none');
  assert.ok(first && second);
  assert.deepEqual(first, {
    partNumber: 1,
    content,
    head: {
      messageId: messageIdOf(mail),
      correlationId: interchangeIdOf(mail),
      subject: 'body',
      contentType: 'text/plain; charset=utf-8',
      applicationProperties: {
        customer: 'acme',
        connection: 'inbox',
        interchangeId: interchangeIdOf(mail),
        inboundAdapter: 'Email',
        inboundEndpoint: 'imaps://mail.example.com:993/INBOX',
        inboundFileName: 'body.txt',
        partKind: 'body',
        partNumber: 1,
        partCount: 2,
        size: 5,
        sha256: content.sha256,
        emailMessageId: '<1@example.com>',
        emailSubject: 'Order',
        emailFrom: 'a@example.com',
        emailTo: 'b@example.com',
        emailDate: '2026-01-02T03:04:05.000Z',
      },
    },
  });
  assert.equal(second.head.subject, 'attachment');
  assert.equal(second.head.correlationId, first.head.correlationId);
  assert.equal(second.head.applicationProperties.partNumber, 2);
});

test('what the mail has not is absent, not empty', () => {
  const names = Object.keys(headOf({ envelope: { subject: '' } }).applicationProperties);
  assert.deepEqual(
    names.filter((name) => name.startsWith('email') || name === 'claimCheck'),
    [],
  );
});

test('the ids hang on the mailbox, the mail’s number there, its own fields, and the connection, and on no endpoint', () => {
  const origin = (mailboxId: string, key: string, fingerprint: string, connection = 'inbox') => ({
    ...mail,
    connection,
    identity: identifyMail(mailboxId, key, fingerprint),
  });
  const mails = [
    origin('box', '1', 'fields'),
    origin('other box', '1', 'fields'),
    origin('box', '2', 'fields'),
    origin('box', '1', 'other fields'),
    origin('box', '1', 'fields', 'other'),
  ];
  assert.equal(new Set(mails.map((each) => messageIdOf(each))).size, mails.length);
  assert.equal(new Set(mails.map(interchangeIdOf)).size, mails.length);
  const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
  for (const each of mails) {
    assert.match(interchangeIdOf(each), uuid);
    assert.equal(messageIdOf({ ...each, endpoint: 'another' }), messageIdOf(each));
  }
});

test('a message id hangs on its part’s number, kind and content, so that it is never another part’s', () => {
  const other = Buffer.from('Hullo');
  const otherContent: Content = { ...content, bytes: other, sha256: hash('sha256', other, 'hex') };
  const parts: Part[] = [body, { ...body, kind: 'raw' }, { ...body, content: otherContent }];
  const ids = [1, 2].flatMap((number) => parts.map((part) => messageIdOf(mail, number, part)));
  assert.equal(new Set(ids).size, 6);
  const renamed = { ...body, fileName: 'other.txt', contentType: 'text/html; charset=utf-8' };
  assert.equal(messageIdOf(mail, 1, renamed), messageIdOf(mail, 1, body));
});

test('names that run into each other give different ids', () => {
  const idOf = (customer: string, connection: string) => messageIdOf({ ...mail, customer, connection });
  const ids = [idOf('a', 'bc'), idOf('ab', 'c'), idOf('a","b', 'c'), idOf('a', 'b","c')];
  assert.equal(new Set(ids).size, ids.length);
});

test('ids are pinned: a new release must not send again what an old one has sent', () => {
  assert.equal(messageIdOf(mail), 'd2f64926f28ea783316282dbf491b3a223ddd4156536f084b2792c2a15a31ae4');
  assert.equal(interchangeIdOf(mail), 'd766061f-37f6-8cf6-8817-067ff92d62e6');
});

test('a session is none, the connection, or the mail, and never over 128 characters', () => {
  assert.equal('sessionId' in headOf({}), false);
  assert.equal(headOf({}, 'connection').sessionId, 'acme/inbox');
  assert.equal(headOf({}, 'mail').sessionId, interchangeIdOf(mail));
  const longest = { ...mail, customer: 'c'.repeat(63), connection: 'd'.repeat(63) };
  assert.ok((headOf({}, 'connection', longest).sessionId?.length ?? 999) <= 128);
});

const subjectSent = (subject: string) => headOf({ envelope: { subject } }).applicationProperties.emailSubject;

test('strings are cut at 1,024 characters, never inside a surrogate pair', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', minLength: 1, maxLength: 1_500, size: 'max' }), (subject) => {
      const sent = subjectSent(subject);
      assert.ok(typeof sent === 'string' && sent.length <= 1_024 && sent.isWellFormed());
      assert.ok(sent.length >= Math.min(subject.length, 1_023));
      assert.ok(subject.toWellFormed().startsWith(sent));
    }),
    { numRuns: 25 },
  );
  assert.equal(subjectSent(`${'x'.repeat(1_023)}😀`), 'x'.repeat(1_023));
});

test('a lone surrogate, which no UTF-8 can carry, is replaced', () => {
  assert.equal(subjectSent('a\ud83d'), 'a\ufffd');
});

test('a content type that is not printable ASCII becomes so, since AMQP carries it as a symbol', () => {
  const parts = [{ ...body, contentType: 'text/plain; x=é\r\nX: y' }];
  assert.equal(headOf({ parts }).contentType, 'text/plain; x=???X: y');
});

test('content in a blob gives a claim check, content elsewhere none', () => {
  const blob: Content = { ...content, kind: 'blob', claimCheck: 'email-payloads/a/b/c' };
  const { claimCheck, size } = headOf({ parts: [{ ...body, content: blob }] }).applicationProperties;
  assert.deepEqual([claimCheck, size], ['email-payloads/a/b/c', 5]);
});

test('a message gets its claim check later, and keeps everything else', () => {
  const [message] = buildMessages(mail, split, 'mail');
  assert.ok(message);
  const checked = withClaimCheck(message, 'email-payloads/a/b/c');
  const { sizeBytes, sha256 } = content;
  assert.deepEqual(checked, {
    ...message,
    content: { kind: 'blob', claimCheck: 'email-payloads/a/b/c', sizeBytes, sha256 },
    head: {
      ...message.head,
      applicationProperties: { ...message.head.applicationProperties, claimCheck: 'email-payloads/a/b/c' },
    },
  });
  assert.equal('claimCheck' in message.head.applicationProperties, false);
});

test('with a trace each message says which, by both names that consumers look for, and all else as without', () => {
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
  const traced = buildMessages(mail, split, 'none').map(({ head, ...message }) => {
    const trace = { traceparent, 'Diagnostic-Id': traceparent };
    const applicationProperties = { ...head.applicationProperties, ...trace };
    return { ...message, head: { ...head, applicationProperties } };
  });
  assert.deepEqual(buildMessages(mail, split, 'none', traceparent), traced);
});
