import assert from 'node:assert/strict';
import { after, before, type TestContext, test } from 'node:test';
import {
  fullCapabilities,
  multiLine,
  type Script,
  type ScriptedServer,
  startScriptedServer,
  stuff,
} from '../mailbox/pop3/scriptedServer.ts';
import { type ReliabilityBed, startReliabilityBed } from '../reliability/bed.ts';
import { bodiesOf } from './arrived.ts';
import { queueName } from './testbed.ts';

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
  await bed.connections.upsertEntity({
    ...{ partitionKey: 'acme', rowKey: name, hostType: 'POP3', host: '127.0.0.1', port: server.port },
    ...{ useSsl: false, username: 'anna', password: 'pass-7391-word' },
  });
  return server;
}

/** One run brings these bodies, in order, deletes their mails, and ends well. */
async function pollBrings(name: string, bodies: readonly string[] = names): Promise<void> {
  const { lastStatus, lastError, lastMailCount } = await bed.poll(name);
  assert.deepEqual([lastStatus, lastError, lastMailCount], ['ok', '', bodies.length], name);
  assert.deepEqual(arrived(name).toSorted(), bodies.toSorted(), name);
}

async function pollFails(name: string, sentence: RegExp): Promise<void> {
  const { lastStatus, lastError } = await bed.poll(name);
  assert.equal(lastStatus, 'failed', name);
  assert.match(String(lastError), sentence);
}

for (const expire of ['EXPIRE 0', 'EXPIRE0']) {
  test(`"${expire}": a session in which a mail was retrieved and not delivered is left without QUIT`, async (t) => {
    const name = expire.replace(' ', '-');
    const capa = [...fullCapabilities, expire];
    // Neither sent nor stored.
    const answer = (line: string) => {
      if (!line.startsWith('RETR') || !bed.broker.faults.quotaExceeded) return undefined;
      void bed.storage.blob.refuse(true);
      bed.storage.blob.dropAll('rst');
      return undefined;
    };
    const server = await addServer(t, name, { capa, answer });
    bed.broker.faults.quotaExceeded = true;
    await pollFails(name, /./);
    assert.ok(server.commands.some((line) => line.startsWith('RETR')));
    assert.ok(!server.commands.includes('QUIT'));

    await bed.restore();
    // The run could not give its lease back, which lapses by itself.
    await bed.breakLease(name);
    await pollBrings(name);
    assert.ok(server.commands.includes('QUIT'));
    assert.equal(server.deleted(), 3);
  });
}

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
      const answer = (line: string) =>
        line === 'LIST' ? multiLine(['1 21', `2 ${size}`, '3 25']) : undefined;
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

test('UTF8 is said where CAPA offers it, before the login, and nowhere else', async (t) => {
  for (const [name, reply] of [
    ['utf8', '+OK\r\n'],
    ['utf8-refused', '-ERR not now\r\n'],
  ] as const) {
    const { commands } = await addServer(t, name, {
      capa: [...fullCapabilities, 'UTF8 USER'],
      answer: (line) => (line === 'UTF8' ? reply : undefined),
    });
    await pollBrings(name);
    assert.deepEqual(commands.slice(0, 3), ['CAPA', 'UTF8', 'USER anna']);
  }
  const { commands } = await addServer(t, 'no-utf8');
  await pollBrings('no-utf8');
  assert.ok(!commands.includes('UTF8'));
});

test('UIDL may be refused for want of mails', async (t) => {
  const answer = (line: string) => (line === 'UIDL' ? '-ERR no messages\r\n' : undefined);
  await addServer(t, 'empty', { mails: [], answer });
  await pollBrings('empty', []);
});

test('LIST may ignore its argument: what DELE refused is said at once, and the other mails are deleted', async (t) => {
  const answer = (line: string) => {
    if (line === 'DELE 2') return '-ERR 17\r\n';
    return line.startsWith('LIST') ? multiLine(['1 21', '2 21', '3 25']) : undefined;
  };
  const server = await addServer(t, 'list', { answer });
  await pollFails('list', /^POP3 server 127\.0\.0\.1:\d+ refused DELE 2: 17\./);
  assert.deepEqual(arrived('list').toSorted(), names.toSorted());
  assert.equal(server.deleted(), 2);
});

test('a server may hang up on CAPA', async (t) => {
  for (const how of ['fin', 'rst'] as const) {
    const answer = (line: string) => (line === 'CAPA' ? how : undefined);
    const { commands } = await addServer(t, `capa-${how}`, { answer });
    await pollBrings(`capa-${how}`);
    assert.equal(commands.filter((line) => line === 'CAPA').length, 1);
  }
});

test('lines may end in LF alone', async (t) => {
  const bare = (text: string) => text.replaceAll('\r\n', '\n');
  const answer = (line: string): string => {
    const [command = '', argument = ''] = line.split(' ');
    if (command === 'CAPA') return bare(multiLine(fullCapabilities));
    if (command === 'LIST') return bare(multiLine(['1 19', '2 19', '3 23']));
    if (command === 'UIDL') return bare(multiLine(['1 u1', '2 u2', '3 u3']));
    if (command !== 'RETR') return '+OK\n';
    return `+OK\n${bare(`${mails[Number(argument) - 1]}`)}.\n`;
  };
  const { commands } = await addServer(t, 'lf', { greeting: '+OK hello\n', answer });
  await pollBrings('lf');
  assert.equal(commands.filter((line) => line.startsWith('DELE')).length, 3);
});

test('a blank may stand behind the dot that ends a reply', async (t) => {
  const blank = (text: string) => `${text.slice(0, -3)}. \r\n`;
  const answer = (line: string): string | undefined => {
    const [command = '', argument = ''] = line.split(' ');
    if (command === 'CAPA') return blank(multiLine(fullCapabilities));
    if (command === 'LIST') return blank(multiLine(['1 21', '2 21', '3 25']));
    if (command !== 'RETR') return undefined;
    return `+OK\r\n${stuff(mails[Number(argument) - 1] ?? Buffer.alloc(0))}. \r\n`;
  };
  const server = await addServer(t, 'blank', { answer });
  await pollBrings('blank');
  assert.equal(server.deleted(), 3);
});

test('another protocol on the port is named at once', async (t) => {
  for (const [name, greeting, sentence] of [
    [
      'imap',
      '* OK IMAP4rev1 ready\r\n',
      /answered "\* OK IMAP4rev1 ready", which is not POP3\. That is IMAP: set hostType to IMAP, or port to the right one\.$/,
    ],
    ['smtp', '220 mail.example.com ESMTP\r\n', /That is SMTP: check host and port\.$/],
  ] as const) {
    await addServer(t, name, { greeting });
    const startedAt = performance.now();
    await pollFails(name, sentence);
    assert.ok(performance.now() - startedAt < 10_000, 'no deadline was waited for');
  }
});

test('a refused login says what the server said, and "Check username and password" only where that is wrong', async (t) => {
  for (const [name, text, sentence] of [
    [
      'wrong',
      '[AUTH] Authentication failed.',
      /^POP3 login to 127\.0\.0\.1:\d+ as anna was refused: \[AUTH\] Authentication failed\. Check username and password\.$/,
    ],
    [
      'stls-first',
      'Run STLS first',
      /Set useSsl or startTls to true: the server takes a login only when it is encrypted\.$/,
    ],
    [
      'app-password',
      'Application-specific password required: https://example.com',
      /https:\/\/example\.com\.$/,
    ],
  ] as const) {
    await addServer(t, name, {
      answer: (line) => (line.startsWith('PASS') ? `-ERR ${text}\r\n` : undefined),
    });
    await pollFails(name, sentence);
  }
});
