import assert from 'node:assert/strict';
import { test } from 'node:test';
import { configColumnNames } from '../../shared/connection/columns.ts';
import { emptyDraft, leavePort, setFlag, setText, toBody, toDraft } from '../../shared/ui/page/form/draft.ts';
import { type Draft, fields, mainFields } from '../../shared/ui/page/form/fields.ts';

const plain = { customer: 'acme', connection: 'orders', state: {} };
const stored = { ...plain, host: 'mail.example.com', hostType: 'IMAP', username: 'anna', passwordSet: true };

const portOf = (draft: Draft) => draft.texts.port;

test('every config column has one field', () => {
  const columns = fields.map(({ column }) => column);
  assert.deepEqual([...columns].sort(), [...configColumnNames].sort());
});

test("the seed's fields come first, in its words and order", () => {
  assert.deepEqual(
    mainFields.map(({ label }) => label),
    [
      'Username',
      'Password',
      'Login',
      'Host',
      'Host Type',
      'Port',
      'Send Attachments',
      'Send Message Body',
      'Delete Messages',
      'Use SSL',
      'Polling Interval',
      'Use Process Lock',
    ],
  );
});

test('the port follows Host Type and Use SSL until one was typed, and again when it was emptied', () => {
  assert.equal(portOf(emptyDraft), '993');
  const pop3 = setText(emptyDraft, 'hostType', 'POP3');
  assert.equal(portOf(pop3), '995');
  assert.equal(portOf(setFlag(pop3, 'useSsl', false)), '110');
  assert.equal(portOf(setFlag(emptyDraft, 'useSsl', false)), '143');
  const typed = setText(emptyDraft, 'port', '1993');
  assert.equal(portOf(setText(setFlag(typed, 'useSsl', false), 'hostType', 'POP3')), '1993');
  const emptied = setText(setText(typed, 'port', ''), 'hostType', 'POP3');
  assert.equal(portOf(leavePort(emptied)), '995');
});

test('a stored port is kept when it is not the usual one', () => {
  assert.equal(portOf(setFlag(toDraft({ ...stored, port: 1993 }), 'useSsl', false)), '1993');
  assert.equal(portOf(setFlag(toDraft({ ...stored, port: 993 }), 'useSsl', false)), '143');
});

test('a new connection is stored with the main fields alone', () => {
  let draft = setText(emptyDraft, 'host', 'h.example');
  draft = setText(draft, 'username', 'anna');
  draft = setText(draft, 'password', 'pw');
  assert.deepEqual(toBody(draft, undefined), {
    username: 'anna',
    password: 'pw',
    host: 'h.example',
    hostType: 'IMAP',
    sendAttachments: true,
    sendMessageBody: true,
    deleteMessages: false,
    useSsl: true,
    pollingIntervalSeconds: '60',
    useProcessLock: false,
  });
});

test('a stored connection comes through the form unchanged, whatever its columns', () => {
  const connection = {
    ...stored,
    port: 1143,
    useSsl: false,
    startTls: true,
    enabled: false,
    sendAttachments: false,
    sendMessageBody: true,
    deleteMessages: true,
    useProcessLock: true,
    cron: '0 6 * * *',
    timeZone: 'Europe/Berlin',
    folder: 'INBOX/Orders',
    bodyFormat: 'eml',
    inlineAttachments: true,
    queueName: 'orders',
    sessions: 'mail',
    caCertificate: '-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----',
  };
  const { customer: _, connection: __, state: ___, passwordSet: ____, ...columns } = connection;
  assert.deepEqual(toBody(toDraft(connection), connection), { ...columns, port: '1143' });
});

test('a secret that was not typed is left out, and one that is of no use any more is dropped', () => {
  assert.equal('password' in toBody(toDraft(stored), stored), false);
  const oauth2 = setText(toDraft(stored), 'authType', 'oauth2');
  assert.equal(toBody(oauth2, stored).password, null);
  assert.equal(toBody(setText(toDraft(stored), 'passwordSetting', 'MAILBOX_PW'), stored).password, null);
});

test('with cron there is no interval, and POP3 sends neither folder nor Delete Messages', () => {
  const cron = toBody(setText(toDraft(stored), 'cron', '0 6 * * *'), stored);
  assert.equal('pollingIntervalSeconds' in cron, false);
  const imap = toDraft({ ...stored, folder: 'Old', deleteMessages: true });
  const pop3 = toBody(setText(imap, 'hostType', 'POP3'), stored);
  assert.equal('folder' in pop3 || 'deleteMessages' in pop3, false);
});

test('columns that do not go with the kind of login are not stored', () => {
  const oauth2 = {
    ...plain,
    host: 'h.example',
    hostType: 'IMAP',
    username: 'anna',
    authType: 'oauth2',
    oauth2Grant: 'refreshToken',
    oauth2TenantId: 'contoso.example',
    oauth2ClientId: 'id',
    oauth2RefreshTokenSet: true,
  };
  const kept = toBody(toDraft(oauth2), oauth2);
  assert.equal(kept.oauth2TenantId, 'contoso.example');
  assert.equal('oauth2RefreshToken' in kept, false);
  const byPassword = toBody(setText(toDraft(oauth2), 'authType', 'password'), oauth2);
  assert.deepEqual(
    Object.entries(byPassword).filter(([name]) => name.startsWith('oauth2')),
    [['oauth2RefreshToken', null]],
  );
});
