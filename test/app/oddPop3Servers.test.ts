import assert from 'node:assert/strict';
import { after, before, type TestContext, test } from 'node:test';
import {
  fullCapabilities,
  multiLine,
  type Script,
  type ScriptedServer,
  startScriptedServer,
} from '../mailbox/pop3/scriptedServer.ts';
import { type ReliabilityBed, startReliabilityBed } from '../reliability/bed.ts';
import { bodiesOf } from './arrived.ts';
import { queueName, serverColumns } from './testbed.ts';

let bed: ReliabilityBed;
before(async () => {
  bed = await startReliabilityBed({ users: ['nobody'] });
});
after(() => bed.stop());

const names = ['one', 'two', 'three'];
const mails = names.map((name) => Buffer.from(`Subject: ${name}\r\n\r\n${name}\r\n`));
const arrived = (name: string) => bodiesOf(bed.broker.queue(queueName).messages, name);

/** Starts a server with the three mails and a connection of this name to it. */
async function addServer(t: TestContext, name: string, script: Script = {}): Promise<ScriptedServer> {
  const server = await startScriptedServer({ mails, ...script });
  t.after(() => server.stop());
  await bed.addConnection(name, serverColumns('POP3', server.port));
  return server;
}

async function pollFails(name: string, sentence: RegExp): Promise<void> {
  const { lastStatus, lastError } = await bed.poll(name);
  assert.equal(lastStatus, 'failed', name);
  assert.match(String(lastError), sentence);
}

test('"EXPIRE 0": a session in which a mail was retrieved and not delivered is left without QUIT', async (t) => {
  // Neither sent nor stored.
  const answer = (line: string) => {
    if (!line.startsWith('RETR') || !bed.broker.faults.quotaExceeded) return undefined;
    void bed.storage.blob.refuse(true);
    bed.storage.blob.dropAll('rst');
    return undefined;
  };
  const server = await addServer(t, 'expire', { capa: [...fullCapabilities, 'EXPIRE 0'], answer });
  bed.broker.faults.quotaExceeded = true;
  await pollFails('expire', /./);
  assert.ok(server.commands.some((line) => line.startsWith('RETR')));
  assert.ok(!server.commands.includes('QUIT'));

  await bed.restore();
  // The run could not give its lease back, which lapses by itself.
  await bed.breakLease('expire');
  const { lastStatus, lastError, lastMailCount } = await bed.poll('expire');
  assert.deepEqual([lastStatus, lastError, lastMailCount], ['ok', '', names.length]);
  assert.deepEqual(arrived('expire').toSorted(), names.toSorted());
  assert.ok(server.commands.includes('QUIT'));
  assert.equal(server.deleted(), 3);
});

test('what a server says that refuses QUIT is told: it keeps what was deleted', async (t) => {
  await addServer(t, 'full', { answer: { QUIT: '-ERR [SYS/TEMP] disk is full\r\n' } });
  await pollFails(
    'full',
    /did not confirm the end of the session \("\[SYS\/TEMP\] disk is full"\), so 3 delivered mails may still lie there;/,
  );
});

test('the connection test retrieves nothing, with UIDL and without: it counts', async (t) => {
  for (const [name, uidls] of [
    ['tested', undefined],
    ['tested-without-uidl', false],
  ] as const) {
    const script = uidls === undefined ? {} : { uidls, capa: ['EXPIRE 0', 'USER'] };
    const server = await addServer(t, name, script);
    const answer = await bed.host.invokeHttp(`POST /api/connections/acme/${name}/test`);
    assert.match(answer.text(), /\b3\b/);
    assert.ok(server.commands.includes('QUIT'));
    assert.ok(!server.commands.some((line) => /^(RETR|TOP|DELE)/.test(line)), server.commands.join());
  }
});

for (const uidls of [undefined, false] as const) {
  const without = uidls === false ? ' without UIDL' : '';
  test(`a listed size that is wrong keeps no neighbour from arriving in the same run${without}`, async (t) => {
    const largeBytes = 5_000_000;
    const large = Buffer.from(`Subject: large\r\n\r\n${'x'.repeat(largeBytes)}\r\n`);
    const given = mails.map((mail, index) => (index === 1 ? large : mail));
    for (const size of ['0', '1', '999999999']) {
      const answer = { LIST: multiLine(['1 21', `2 ${size}`, '3 25']) };
      const name = `size-${size}${without.replaceAll(' ', '-')}`;
      const script = uidls === false ? { uidls, capa: ['USER', 'PIPELINING'] } : {};
      const server = await addServer(t, name, { mails: given, answer, ...script });
      const { lastStatus, lastError, lastMailCount } = await bed.poll(name);
      assert.deepEqual([lastStatus, lastError, lastMailCount, server.deleted()], ['ok', '', 3, 3], name);
      const sizes = bed.broker
        .queue(queueName)
        .messages.map(({ applicationProperties }) => applicationProperties ?? {})
        .filter(({ connection }) => connection === name)
        .map((properties) => Number(properties.size));
      // The large one goes by claim check: as it is where it is listed with more than a mail may have.
      assert.deepEqual(
        arrived(name)
          .filter((text) => text !== '')
          .toSorted(),
        ['one', 'three'],
        name,
      );
      assert.ok(Math.max(...sizes) >= largeBytes, `${sizes}`);
    }
  });
}

test('LIST may ignore its argument: what DELE refused is said at once, and the other mails are deleted', async (t) => {
  const answer = { 'DELE 2': '-ERR 17\r\n', LIST: multiLine(['1 21', '2 21', '3 25']) };
  const server = await addServer(t, 'list', { answer });
  await pollFails('list', /^POP3 server 127\.0\.0\.1:\d+ refused DELE 2: 17\./);
  assert.deepEqual(arrived('list').toSorted(), names.toSorted());
  assert.equal(server.deleted(), 2);
});

test('a mail whose dots are not doubled is not sent cut short, and keeps no other from its queue', async (t) => {
  const answer = { 'RETR 2': '+OK\r\nSubject: two\r\n\r\ntwo\r\n.\r\nand more\r\n.\r\n' };
  const server = await addServer(t, 'dots', { answer });
  for (let run = 0; run < 3; run += 1) await pollFails('dots', /went on behind the end of an answer/);
  await pollFails('dots', /^Mail 2 could not be fetched in 3 runs in a row and was left on the server/);
  assert.deepEqual(arrived('dots').toSorted(), ['one', 'three']);
  const deletes = server.commands.filter((line) => line.startsWith('DELE'));
  assert.deepEqual([...new Set(deletes)], ['DELE 1', 'DELE 3']);
});

test('a server that ends each session at its third mail is drained all the same, and nothing goes twice', async (t) => {
  let box = ['1', '2', '3', '4', '5'];
  let retrieved = 0;
  let deleted: string[] = [];
  const answer = (line: string) => {
    const [command, number] = line.split(' ');
    const name = box[Number(number) - 1] ?? '';
    const lines = (of: (name: string) => string) =>
      multiLine(box.map((each, index) => `${index + 1} ${of(each)}`));
    if (command === 'USER') [retrieved, deleted] = [0, []];
    if (command === 'LIST') return lines(() => '17');
    if (command === 'UIDL') return lines((each) => `uid-${each}`);
    if (command === 'RETR') {
      retrieved += 1;
      return retrieved > 2 ? 'fin' : multiLine([`Subject: ${name}`, '', name]);
    }
    if (command === 'DELE') deleted.push(name);
    if (command === 'QUIT') box = box.filter((each) => !deleted.includes(each));
    return undefined;
  };
  await addServer(t, 'short', { mails: box.map((name) => Buffer.from(name)), answer });
  await pollFails('short', /was lost/);
  await pollFails('short', /was lost/);
  const { lastStatus, lastError } = await bed.poll('short');
  assert.deepEqual([lastStatus, lastError, box], ['ok', '', []]);
  assert.deepEqual(arrived('short').toSorted(), ['1', '2', '3', '4', '5']);
});

test('a delivered mail that the server refuses to delete keeps no later one from its queue', async (t) => {
  let count = 1;
  const numbers = (of: (number: number) => string) =>
    multiLine(Array.from({ length: count }, (_, index) => `${index + 1} ${of(index + 1)}`));
  const answer = (line: string) => {
    if (line === 'LIST') return numbers(() => '21');
    if (line === 'UIDL') return numbers((number) => `uid-${number}`);
    return line === 'DELE 1' ? '-ERR 17\r\n' : undefined;
  };
  await addServer(t, 'stays', { answer });
  await pollFails('stays', /refused DELE 1: 17\./);
  count = 2;
  await pollFails('stays', /refused DELE 1: 17\./);
  assert.deepEqual(arrived('stays').toSorted(), ['one', 'two']);
});
