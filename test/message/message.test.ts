import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { buildMessages, interchangeIdOf, messageIdOf, withContent } from '../../shared/delivery/message.ts';
import type { Content, Part, SplitMail } from '../../shared/mail/mail.ts';
import { mail } from './support.ts';

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

function only(parts: readonly Part[], sessions: 'none' | 'connection' | 'mail' = 'none') {
  const [first] = buildMessages(mail, { ...split, parts }, sessions);
  assert.ok(first);
  return first.head;
}

test('every part says who sent it, from where, and which part of how many it is', () => {
  const [first, second] = buildMessages(mail, split, 'none');
  assert.ok(first && second);
  assert.deepEqual(first, {
    partNumber: 1,
    content,
    head: {
      messageId: messageIdOf(mail, 1),
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
  const [message] = buildMessages(mail, { envelope: { subject: '' }, parts: [body] }, 'none');
  const names = Object.keys(message?.head.applicationProperties ?? {});
  assert.deepEqual(
    names.filter((name) => name.startsWith('email') || name === 'claimCheck'),
    [],
  );
});

test('the ids are the same on every repeat and differ for every mail and part', () => {
  const hex = /^[0-9a-f]{64}$/;
  const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
  fc.assert(
    fc.property(
      fc.string(),
      fc.string(),
      fc.string(),
      fc.nat(),
      (customer, connection, mailKey, partNumber) => {
        const identity = { customer, connection, mailKey, endpoint: 'x' };
        assert.match(messageIdOf(identity, partNumber), hex);
        assert.match(interchangeIdOf(identity), uuid);
        assert.equal(
          messageIdOf(identity, partNumber),
          messageIdOf({ ...identity, endpoint: 'y' }, partNumber),
        );
        assert.notEqual(messageIdOf(identity, partNumber), messageIdOf(identity, partNumber + 1));
        assert.notEqual(interchangeIdOf(identity), interchangeIdOf({ ...identity, mailKey: `${mailKey}x` }));
      },
    ),
  );
});

test('names that run into each other give different ids', () => {
  const idOf = (customer: string, connection: string, mailKey: string) =>
    messageIdOf({ customer, connection, mailKey, endpoint: '' }, 1);
  const ids = [
    idOf('a', 'bc', 'd'),
    idOf('ab', 'c', 'd'),
    idOf('a', 'b', 'cd'),
    idOf('a","b', 'c', 'd'),
    idOf('a', 'b","c', 'd'),
  ];
  assert.equal(new Set(ids).size, ids.length);
});

test('ids are pinned: a new release must not send again what an old one has sent', () => {
  assert.equal(messageIdOf(mail, 1), 'eef554701f31eb05ee5eaa569dfd46ba91e4dbfb8e0705372582f3d7a153cae6');
  assert.equal(interchangeIdOf(mail), 'f47709f1-b6fb-8f91-b362-bce5b6712669');
});

test('a session is none, the connection, or the mail, and never over 128 characters', () => {
  assert.equal(only([body]).sessionId, undefined);
  assert.equal('sessionId' in only([body]), false);
  assert.equal(only([body], 'connection').sessionId, 'acme/inbox');
  assert.equal(only([body], 'mail').sessionId, interchangeIdOf(mail));
  const longest = { ...mail, customer: 'c'.repeat(63), connection: 'd'.repeat(63) };
  const [message] = buildMessages(longest, split, 'connection');
  assert.ok((message?.head.sessionId?.length ?? 999) <= 128);
});

test('strings are cut at 1,024 characters, never inside a surrogate pair', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', minLength: 1, maxLength: 1_500, size: 'max' }), (subject) => {
      const [message] = buildMessages(mail, { envelope: { subject }, parts: [body] }, 'none');
      const sent = message?.head.applicationProperties.emailSubject;
      assert.ok(typeof sent === 'string' && sent.length <= 1_024 && sent.isWellFormed());
      assert.ok(sent.length >= Math.min(subject.length, 1_023));
      assert.ok(subject.toWellFormed().startsWith(sent));
    }),
    { numRuns: 25 },
  );
  const atTheEdge = `${'x'.repeat(1_023)}😀`;
  const [message] = buildMessages(mail, { envelope: { subject: atTheEdge }, parts: [body] }, 'none');
  assert.equal(message?.head.applicationProperties.emailSubject, 'x'.repeat(1_023));
});

test('a lone surrogate, which no UTF-8 can carry, is replaced', () => {
  const [message] = buildMessages(mail, { envelope: { subject: 'a\ud83d' }, parts: [body] }, 'none');
  assert.equal(message?.head.applicationProperties.emailSubject, 'a\ufffd');
});

test('a content type that is not printable ASCII becomes so, since AMQP carries it as a symbol', () => {
  assert.equal(
    only([{ ...body, contentType: 'text/plain; x=é\r\nX: y' }]).contentType,
    'text/plain; x=???X: y',
  );
});

test('content in a blob gives a claim check, content elsewhere none', () => {
  const blob: Content = {
    kind: 'blob',
    claimCheck: 'email-payloads/a/b/c',
    sizeBytes: 5,
    sha256: content.sha256,
  };
  const [message] = buildMessages(mail, { ...split, parts: [{ ...body, content: blob }] }, 'none');
  assert.ok(message);
  assert.equal(message.head.applicationProperties.claimCheck, 'email-payloads/a/b/c');
  assert.equal(message.head.applicationProperties.size, 5);
  const back = withContent(message, content);
  assert.equal('claimCheck' in back.head.applicationProperties, false);
  assert.equal(withContent(back, blob).head.applicationProperties.claimCheck, 'email-payloads/a/b/c');
});
