import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { ServiceBusClient } from '@azure/service-bus';
import { listenLocally, listenOn } from '../testbed/child.ts';
import { type Dovecot, startDovecot } from '../testbed/dovecot.ts';
import { serveHttp } from '../testbed/host/httpServer.ts';
import { programs, requirePrograms } from '../testbed/programs.ts';
import { listMaildir, seedMaildir } from '../testbed/seed.ts';
import { readArguments } from './arguments.ts';
import { faxMails, orderMails } from './demoMails.ts';
import { type DemoProcess, makeWorkFolder, startDemo } from './demoProcess.ts';
import { columnsOf } from './mailboxes.ts';
import { startMailDrop } from './smtp.ts';
import { fit, openTerminal, printable } from './terminal.ts';

const password = 'S3cret of mine';
const users = ['imap', 'pop3', 'refused', 'kept'];
let folder: string;
/** One for all demos, so that Node's compile cache in it is made once. */
let workFolder: string;
let dovecot: Dovecot;
before(async () => {
  requirePrograms([programs.dovecot]);
  folder = mkdtempSync(join(tmpdir(), 'demo-connections-'));
  workFolder = makeWorkFolder();
  dovecot = await startDovecot({ users: users.map((user) => ({ user, password })) });
});
after(async () => {
  await dovecot.stop();
  for (const each of [folder, workFolder]) rmSync(each, { recursive: true, force: true });
});

/** connection, kind, file name, type, size and subject of each row, as the table shows them. */
const expectedRows = [
  ['orders-imap', 'body', 'body.txt', 'text/plain; charset=utf-8', '51 B', 'Purchase order 4711'],
  ['orders-imap', 'body', 'body.html', 'text/html; charset=utf-8', '39 B', 'Größenänderung für'],
  ['orders-imap', 'body', 'body.txt', 'text/plain; charset=utf-8', '14 B', 'Lieferschein und Preise'],
  ['orders-imap', 'attachment', 'Lieferschein 0815.pdf', 'application/pdf', '46.9 KiB', 'Lieferschein und'],
  ['orders-imap', 'attachment', 'Preise für Köln.csv', 'text/csv', '14 B', 'Lieferschein und Preise'],
  ['orders-imap', 'body', 'body.txt', 'text/plain; charset=utf-8', '44 B', 'Счет готов'],
  ['orders-imap', 'body', 'body.txt', 'text/plain; charset=utf-8', '23 B', 'Fwd: complaint'],
  ['orders-imap', 'attachment', 'attachment-2.eml', 'message/rfc822', '', 'Fwd: complaint'],
  ['orders-imap', 'body', 'body.txt', 'text/plain; charset=utf-8', '0 B', '(no text)'],
  ['orders-imap', 'body', 'body.txt', 'text/plain; charset=utf-8', '34 B', 'Drawing of the new hall'],
  ['orders-imap', 'attachment', 'hall.tif', 'image/tiff', '1.4 MiB*', 'Drawing of the new hall'],
  ['faxes-pop3', 'attachment', 'fax-0001.tif', 'image/tiff', '29.3 KiB', 'Fax from +49 421 555 0100'],
  ['faxes-pop3', 'body', 'body.txt', 'text/plain; charset=utf-8', '30 B', 'Zamówienie nr 7 📦'],
  ['faxes-pop3', 'body', 'body.txt', 'text/plain; charset=utf-8', '21 B', 'A name that tries'],
  ['faxes-pop3', 'attachment', 'passwd', 'application/octet-stream', '6 B', 'A name that tries'],
  ['faxes-pop3', 'body', 'body.html', 'text/html; charset=utf-8', '', 'Newsletter with a logo'],
  ['faxes-pop3', 'raw', 'mail.eml', 'message/rfc822', '', 'A mail that is broken'],
] as const;

test('the demo shows every part of every mail, settles them, sends nothing again, ends with 0 and leaves nothing', async () => {
  // Settings that the shell has for something else have no say.
  const demo = startDemo(workFolder, [], { JOURNAL: 'none of the three', RETRY_MAX_AGE_HOURS: 'never' });
  await endsWith(0, demo);
  assertRows(demo.output(), expectedRows);
  assert.match(demo.output(), /IMAP orders: 7 of 7 mails still there, 7 marked read, 0 unread/);
  assert.match(demo.output(), /POP3 faxes: 5 of 5 mails deleted, 0 left/);
  assert.match(
    demo.output(),
    /Second tick[\s\S]*orders-imap: ok, 0 mails, 0 messages[\s\S]*faxes-pop3: ok, 0 mails, 0 messages/,
  );
  assert.match(demo.output(), /12 mails of 12 picked up, 17 messages received/);
  assert.match(demo.output(), /Size and SHA-256 of every message are what it says/);
  assert.doesNotMatch(demo.output(), /\x1b|password/i);
  assert.deepEqual(
    demo
      .output()
      .split('\n')
      .filter((line) => [...line].length > 120),
    [],
  );
});

test('--watch runs by the schedule, tells how to drop a mail in, and ends with 0 on Ctrl-C', async () => {
  const demo = startDemo(workFolder, ['--watch'], { POLL_SCHEDULE: '* * * * * *' });
  await demo.says('A mail that is broken');
  await demo.says('hall.tif');
  assert.match(demo.output(), /IMAP +or as a file: cp mail\.eml \/.*\/mail\/orders\/new\//);
  assert.match(demo.output(), /Mail program 127\.0\.0\.1, IMAP \d+ \(TLS \d+\), POP3 \d+ \(TLS \d+\)/);
  demo.child.kill('SIGINT');
  await endsWith(0, demo);
  assert.match(demo.output(), /17 messages received\. Everything stopped\./);
});

test('--watch --no-consumer leaves the messages to another, and says how to connect', async () => {
  const demo = startDemo(workFolder, ['--watch', '--no-consumer'], { POLL_SCHEDULE: '* * * * * *' });
  await demo.says('export QUEUE_NAME=');
  const setting = (name: string) => new RegExp(`^export ${name}='(.*)'$`, 'm').exec(demo.output())?.[1] ?? '';
  assert.match(setting('PayloadStorageConnection'), /BlobEndpoint=http:\/\/127\.0\.0\.1:\d+/);
  const client = new ServiceBusClient(setting('ServiceBusConnection'));
  const receiver = client.createReceiver(setting('QUEUE_NAME'));
  const received = [];
  while (received.length < 17) received.push(...(await receiver.receiveMessages(17)));
  assert.ok(
    received.some(({ applicationProperties }) => applicationProperties?.emailSubject === '(no text)'),
  );
  await client.close();
  demo.child.kill('SIGINT');
  await endsWith(0, demo);
  assert.doesNotMatch(demo.output(), /messages received/);
});

test('--watch takes mail by SMTP, polls when a key is pressed, serves the page and the API, and --out writes files', async () => {
  const out = join(folder, 'out');
  const never = '0 0 0 29 2 *';
  const demo = startDemo(workFolder, ['--watch', '--out', out], { POLL_SCHEDULE: never });
  await demo.says('Keys ');
  const [, url = '', key = ''] = /APP=(\S+) KEY=(\S+)/.exec(demo.output()) ?? [];
  const [, smtp = ''] = /^SMTP +(127\.0\.0\.1:\d+)/m.exec(demo.output()) ?? [];

  const mail = ['Subject: By SMTP', '', '..a line that begins with a dot', '.', ''].join('\r\n');
  // A consumer that guesses would take its text for something else.
  const json = ['Subject: A text in JSON', '', '"quoted"', '.', ''].join('\r\n');
  for (const each of [mail, json]) {
    assert.match(await sendMail(smtp, 'orders@anywhere.example', each), /^250 .*in the mailbox/m);
  }
  assert.match(await sendMail(smtp, 'nobody@anywhere.example', mail), /^550 .*orders, faxes, spare/m);
  assert.doesNotMatch(demo.output(), /By SMTP/);
  demo.press('p');
  for (const subject of ['By SMTP', 'A text in JSON', 'hall.tif']) await demo.says(subject);

  assert.equal((await fetch(`${url}/api/ui`)).status, 200);
  assert.equal((await fetch(`${url}/api/connections`)).status, 401);
  const headers = { 'x-functions-key': key };
  const listed = await (await fetch(`${url}/api/connections`, { headers })).text();
  assert.match(listed, /"connection":"orders-imap"/);

  const messageWith = (words: string) => {
    const name = readdirSync(out).find((each) => each.endsWith('.json') && textOf(each).includes(words));
    assert.ok(name);
    return { text: textOf(name.replace(/\.json$/, '')), properties: JSON.parse(textOf(name)) };
  };
  const textOf = (name: string) => readFileSync(join(out, name), 'utf8');
  const { text, properties } = messageWith('By SMTP');
  assert.equal(text, '.a line that begins with a dot\n');
  assert.equal(messageWith('A text in JSON').text, '"quoted"\n');
  const { subject, applicationProperties } = properties;
  assert.equal(subject, 'body');
  assert.equal(applicationProperties.connection, 'orders-imap');
  assert.ok(readdirSync(out).some((name) => name.endsWith('-orders-imap-Lieferschein 0815.pdf')));

  demo.child.kill('SIGINT');
  await endsWith(0, demo);
});

test('interrupted while it works, the demo takes all it started with it', async () => {
  const demo = startDemo(workFolder, []);
  await demo.says('Mail server');
  demo.child.kill('SIGTERM');
  await endsWith(130, demo);
});

test('--connection polls an IMAP mailbox of one’s own and marks its mails read', async () => {
  const mails = orderMails();
  await seedMaildir(dovecot.maildir('imap'), mails);
  const demo = startDemo(workFolder, ['--connection', connectionFile('imap', 'IMAP', { note: 'mine' })]);
  await endsWith(0, demo);
  const rows = expectedRows.filter(([connection]) => connection === 'orders-imap');
  assertRows(
    demo.output(),
    rows.map(([, ...cells]) => ['mailbox', ...cells]),
  );
  assert.match(demo.output(), /7 mails marked read, 11 messages received/);
  assert.match(demo.output(), /Not a column, and ignored: note\./);
  assert.deepEqual(
    (await listMaildir(dovecot.maildir('imap'))).map(({ seen }) => seen),
    mails.map(() => true),
  );
});

test('--connection takes the password from the environment, and deletes over POP3 only with --yes', async () => {
  const maildir = dovecot.maildir('pop3');
  await seedMaildir(maildir, faxMails());
  const file = connectionFile('pop3', 'POP3', { password: undefined, passwordSetting: 'MAILBOX_PASSWORD' });
  const env = { MAILBOX_PASSWORD: password };

  const refused = startDemo(workFolder, ['--connection', file], env);
  await endsWith(2, refused);
  assert.match(refused.output(), /would delete every mail it sends \(POP3 knows no read mark\).*add --yes/);
  assert.equal((await listMaildir(maildir)).length, 5);

  const demo = startDemo(workFolder, ['--connection', file, '--yes'], env);
  await endsWith(0, demo);
  assert.match(demo.output(), /5 mails deleted, 6 messages received/);
  assert.deepEqual(await listMaildir(maildir), []);
});

test('--connection with a refused login ends with 1 and the sentence that the table would show', async () => {
  const wrong = `${password}, but wrong`;
  const demo = startDemo(workFolder, [
    '--connection',
    connectionFile('refused', 'IMAP', { password: wrong }),
  ]);
  await endsWith(1, demo);
  assert.match(
    demo.output(),
    /IMAP login to 127\.0\.0\.1:\d+ as refused was refused.*Check username and password/,
  );
});

for (const { name, content, says } of [
  {
    name: 'no JSON',
    content: `{\n  "password": "${password}",\n  "note": "Grüße" "host": "x"}`,
    says: /is not JSON: line 3, column 19\./,
  },
  { name: 'a byte order mark', content: '\ufeff{}', says: /is not JSON: line 1, column 1\./ },
  { name: 'no object', content: '[]', says: /must hold one JSON object/ },
  {
    name: 'a setting that is not there',
    content: JSON.stringify({
      host: 'x',
      hostType: 'IMAP',
      username: 'a',
      passwordSetting: 'MAILBOX_NOT_SET',
    }),
    says: /the app setting MAILBOX_NOT_SET, which does not exist[\s\S]*environment variables of your shell/,
  },
  {
    name: 'wrong columns',
    content: JSON.stringify({ host: 'https://x', hostType: 'SMTP', username: 'a', password, prot: 993 }),
    says: /host is "https:\/\/x"; it must be[\s\S]*hostType is "SMTP"; it must be IMAP or POP3[\s\S]*Not a column: prot\./,
  },
]) {
  test(`a connection file with ${name} is refused in a sentence without the password, and nothing is started`, async () => {
    const file = join(folder, `${name}.json`);
    writeFileSync(file, content);
    const demo = startDemo(workFolder, ['--connection', file]);
    await endsWith(2, demo);
    assert.match(demo.output(), says);
  });
}

test('what the demo does not know is answered with what it knows', () => {
  assert.deepEqual(readArguments([]), { kind: 'show', outFolder: undefined });
  const watch = { kind: 'watch', consumes: true, outFolder: undefined };
  assert.deepEqual(readArguments(['--watch', '--out', 'a']), { ...watch, outFolder: 'a' });
  assert.deepEqual(readArguments(['--watch', '--no-consumer']), { ...watch, consumes: false });
  assert.deepEqual(readArguments(['--connection=a=b.json', '--yes']), {
    kind: 'own-mailbox',
    file: 'a=b.json',
    mayDelete: true,
    outFolder: undefined,
  });
  assert.deepEqual(readArguments(['--watch', '-h']), { kind: 'help' });
  for (const [args, sentence] of [
    [['--wach'], /does not know "--wach"[\s\S]*--watch/],
    [['--connection'], /needs the name of a JSON file/],
    [['--connection', 'a.json', '--watch'], /leave it out/],
    [['--yes'], /goes with --connection/],
    [['--no-consumer'], /goes with --watch/],
    [['--watch', '--no-consumer', '--out', 'a'], /without --out/],
    [['--out', '--watch'], /needs the name of a folder/],
  ] as const) {
    assert.throws(() => readArguments(args), sentence);
  }
});

test('an option that npm took for its own, without the second --, is refused with what to write', () => {
  const took = { npm_config_watch: 'true' };
  assert.throws(() => readArguments([], took), /Write: npm run demo -- --watch/);
  assert.equal(readArguments(['--watch'], took).kind, 'watch');
});

test('where the usual port is taken, another one is listened on', async () => {
  const taken = createServer();
  const port = await listenLocally(taken);
  const drop = await listenOn(port, (free) => startMailDrop(free, [], async () => undefined));
  const http = await listenOn(port, (free) => serveHttp({ port: free }, () => Promise.reject(new Error())));
  try {
    assert.notEqual(drop.port, port);
    assert.notEqual(new URL(http.url).port, String(port));
  } finally {
    await Promise.all([drop.stop(), http.stop()]);
    taken.close();
  }
});

test('colours are for terminals only, and not for those who set NO_COLOR', () => {
  const stream = (isTTY: boolean) => Object.assign(Object.create(process.stdout), { isTTY, columns: 200 });
  assert.equal(openTerminal(stream(false), {}).paint('a', 'bold'), 'a');
  assert.equal(openTerminal(stream(true), { NO_COLOR: '1' }).paint('a', 'bold'), 'a');
  assert.equal(openTerminal(stream(true), {}).paint('a', 'bold'), '\x1b[1ma\x1b[22m');
  assert.equal(openTerminal(stream(true), {}).width, 120);
});

test('a mail’s texts can neither steer the terminal nor break the table', () => {
  assert.equal(printable('a\x1b[2J\r\nb\u202ec\u200b\x00\x9b1m'), 'a[2J bc1m');
  assert.equal(fit('日本語', 5), '日本…');
  assert.equal(fit('日本語', 8), '日本語  ');
  assert.equal(fit('Zoë', 5, 'right'), '  Zoë');
});

function connectionFile(user: string, hostType: 'IMAP' | 'POP3', more: Record<string, unknown> = {}): string {
  const columns = { connection: 'mailbox', ...columnsOf(dovecot, hostType, user, password), ...more };
  const file = join(folder, `${user}.json`);
  writeFileSync(file, JSON.stringify(columns));
  return file;
}

/** Speaks SMTP (RFC 5321) as a program would that adds nothing; gives all that the server answered. */
async function sendMail(address: string, to: string, mail: string): Promise<string> {
  const [host = '', port = ''] = address.split(':');
  const socket = connect(Number(port), host);
  let answers = '';
  const dialogue = [
    'EHLO test',
    'MAIL FROM:<me@example.com>',
    `RCPT TO:<${to}>`,
    'DATA',
    mail.trimEnd(),
    'QUIT',
  ];
  for await (const piece of socket.setEncoding('utf8')) {
    answers += piece;
    if (!/^\d{3} .*\r\n$/m.test(String(piece))) continue;
    if (/^5\d\d /m.test(String(piece))) dialogue.splice(0, dialogue.length, 'QUIT');
    const line = dialogue.shift();
    if (line !== undefined) socket.write(`${line}\r\n`);
  }
  return answers;
}

/** Each row is in the output exactly once, in any order, and no other row is. */
function assertRows(output: string, expected: readonly (readonly string[])[]): void {
  const rows = output.split('\n').filter((line) => /^\d\d:\d\d:\d\d .* (body|attachment|raw) /.test(line));
  for (const cells of expected) {
    const at = rows.findIndex((row) => holdsInOrder(row, cells));
    assert.notEqual(at, -1, `No row for ${cells.join(', ')} in\n${output}`);
    rows.splice(at, 1);
  }
  assert.deepEqual(rows, []);
}

function holdsInOrder(row: string, cells: readonly string[]): boolean {
  let from = 0;
  for (const cell of cells) {
    const at = row.indexOf(cell, from);
    if (at === -1) return false;
    from = at + cell.length;
  }
  return true;
}

/** The demo ends with this code, has said no password, and leaves neither a process nor a file. */
async function endsWith(code: number, demo: DemoProcess): Promise<void> {
  assert.equal(await demo.ended, code, demo.output());
  assert.ok(!demo.output().includes(password));
  assert.deepEqual(demo.survivors(), []);
  assert.deepEqual(demo.leftFiles(), []);
}
