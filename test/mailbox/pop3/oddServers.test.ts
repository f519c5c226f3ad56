import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { ContentHash } from '../../../shared/mailbox/pop3/contentHash.ts';
import { DotDecoder } from '../../../shared/mailbox/pop3/multiLine.ts';
import { openPop3Mailbox } from '../../../shared/mailbox/pop3/pop3Mailbox.ts';
import { fullCapabilities, multiLine, type Script, startScriptedServer, stuff } from './scriptedServer.ts';
import { failureOf, measured, openAndDrain, pop3Options, sources } from './sessions.ts';

const mails = ['one\r\n', '.two\r\n..\r\n', 'three \r\n . \r\n'].map((text) => Buffer.from(text));

async function drained(script: Script) {
  const server = await startScriptedServer({ mails, ...script });
  try {
    const { answers, confirmed } = await openAndDrain(pop3Options(server.port));
    return { answers, confirmed, commands: server.commands, deleted: server.deleted() };
  } finally {
    await server.stop();
  }
}

describe('POP3 servers of odd manners', () => {
  for (const expire of ['EXPIRE 0', 'EXPIRE0', 'expire 0 USER']) {
    it(`with "${expire}" are left without QUIT while something was retrieved and not delivered`, async () => {
      const capa = [...fullCapabilities, expire];
      const server = await startScriptedServer({ mails, capa });
      const session = await openPop3Mailbox(pop3Options(server.port));
      const all = await measured(session);
      for await (const answer of session.fetch(all, {
        hold: () => ({ grow: async () => {}, release() {} }),
      })) {
        assert.equal(answer.kind, 'mail');
      }
      await session.settle(all.slice(0, 2));
      assert.equal(await session.close(), false);
      assert.ok(!server.commands.includes('QUIT'));
      await server.stop();
      assert.equal((await drained({ capa })).deleted, 3);
    });
  }

  it('with "EXPIRE 60" or "EXPIRE NEVER" are left by QUIT', async () => {
    for (const expire of ['EXPIRE 60', 'EXPIRE NEVER']) {
      const server = await startScriptedServer({ mails, capa: [...fullCapabilities, expire] });
      const session = await openPop3Mailbox(pop3Options(server.port));
      const all = await measured(session);
      for await (const _ of session.fetch(all, { hold: () => ({ grow: async () => {}, release() {} }) }));
      assert.equal(await session.close(), true);
      assert.ok(server.commands.includes('QUIT'));
      await server.stop();
    }
  });

  it('without UIDL are counted without that a mail is retrieved', async () => {
    const server = await startScriptedServer({ mails, uidls: false, capa: ['EXPIRE 0', 'USER'] });
    const session = await openPop3Mailbox(pop3Options(server.port));
    assert.equal((await session.sample(0, 0)).count, 3);
    assert.equal(await session.close(), true);
    assert.ok(!server.commands.some((line) => /^(RETR|TOP)/.test(line)), server.commands.join());
    await server.stop();
  });

  it('are told UTF8 where they offer it, before the login, and whatever they answer', async () => {
    for (const answer of ['+OK\r\n', '-ERR not now\r\n']) {
      const { commands, answers } = await drained({
        capa: [...fullCapabilities, 'UTF8 USER'],
        answer: (line) => (line === 'UTF8' ? answer : undefined),
      });
      assert.deepEqual(commands.slice(0, 3), ['CAPA', 'UTF8', 'USER x']);
      assert.equal(answers.length, 3);
    }
    assert.ok(!(await drained({})).commands.includes('UTF8'));
  });

  it('may refuse UIDL for want of mails', async () => {
    const answer = (line: string) => (line === 'UIDL' ? '-ERR no messages\r\n' : undefined);
    const { answers, confirmed } = await drained({ mails: [], answer });
    assert.deepEqual(answers, []);
    assert.equal(confirmed, true);
  });

  it('may list all when asked about one', async () => {
    const list = multiLine(['1 5', '2 5', '3 5']);
    const answer = (line: string) =>
      line === 'DELE 2' ? '-ERR 17\r\n' : line.startsWith('LIST') ? list : undefined;
    await failureOf(drained({ answer }), 'protocol');
  });

  it('may hang up on CAPA', async () => {
    for (const how of ['fin', 'rst'] as const) {
      const { answers, confirmed, commands } = await drained({
        answer: (line) => (line === 'CAPA' ? how : undefined),
      });
      assert.deepEqual(sources(answers), mails);
      assert.equal(confirmed, true);
      assert.equal(commands.filter((line) => line === 'CAPA').length, 1);
    }
  });

  it('that hang up at every login end in a failure, after one attempt without CAPA', async () => {
    const server = await startScriptedServer({ mails, answer: () => 'fin' });
    await failureOf(openPop3Mailbox(pop3Options(server.port)), 'connection-lost');
    assert.equal(server.connections(), 2);
    await server.stop();
  });

  it('may end their lines in LF alone', async () => {
    const lines = ['one\n', '.two\n..\n', 'three\n . \n'].map((text) => Buffer.from(text));
    const bare = (text: string) => text.replaceAll('\r\n', '\n');
    const { answers, confirmed } = await drained({
      greeting: '+OK hello\n',
      answer: (line) => {
        const [command = '', argument = ''] = line.split(' ');
        if (command === 'CAPA') return bare(multiLine(fullCapabilities));
        if (command === 'LIST')
          return bare(multiLine(lines.map((mail, index) => `${index + 1} ${mail.length}`)));
        if (command === 'UIDL') return bare(multiLine(lines.map((_, index) => `${index + 1} u${index}`)));
        if (command !== 'RETR') return '+OK\n';
        const mail = lines[Number(argument) - 1]?.toString().replace(/^\./gm, '..');
        return `+OK\n${mail}.\n`;
      },
    });
    assert.deepEqual(sources(answers), lines);
    assert.equal(confirmed, true);
  });

  it('may put a blank behind the dot that ends a reply', async () => {
    const blank = (text: string) => `${text.slice(0, -3)}. \r\n`;
    const { answers, confirmed } = await drained({
      answer: (line) => {
        const [command = '', argument = ''] = line.split(' ');
        if (command === 'CAPA') return blank(multiLine(fullCapabilities));
        if (command === 'LIST')
          return blank(multiLine(mails.map((mail, index) => `${index + 1} ${mail.length}`)));
        if (command !== 'RETR') return undefined;
        return `+OK\r\n${stuff(mails[Number(argument) - 1] ?? Buffer.alloc(0)).toString()}. \r\n`;
      },
    });
    assert.deepEqual(sources(answers), mails);
    assert.equal(confirmed, true);
  });

  it('that put a blank only behind the dot of a list change nothing about mails', async () => {
    const answer = (line: string) => (line === 'CAPA' ? '+OK\r\nUIDL\r\nPIPELINING\r\n. \r\n' : undefined);
    assert.deepEqual(sources((await drained({ answer })).answers), mails);
  });

  for (const uidls of [undefined, false] as const) {
    it(`may list any size: the neighbours of a mail arrive in the same session (UIDL: ${uidls ?? true})`, async () => {
      const large = [mails[0], Buffer.from(`${'x'.repeat(5_000_000)}\r\n`), mails[2]].map(
        (mail) => mail ?? Buffer.alloc(0),
      );
      for (const size of ['0', '1', '999999999']) {
        const answer = (line: string) =>
          line === 'LIST' ? multiLine(['1 5', `2 ${size}`, '3 14']) : undefined;
        const { answers } = await drained({
          mails: large,
          answer,
          ...(uidls === false ? { uidls, capa: ['USER', 'PIPELINING'] } : {}),
        });
        assert.deepEqual(sources(answers), large, size);
      }
    });
  }

  it('that want TLS before a login, or an app password, have their words quoted and no other advice', async () => {
    for (const [text, end] of [
      ['[SYS/PERM] STLS required first', /Ask the server's operator\.$/],
      [
        'Run STLS first',
        /Set useSsl or startTls to true: the server takes a login only when it is encrypted\.$/,
      ],
      ['Application-specific password required: https://example.com', /https:\/\/example\.com\.$/],
    ] as const) {
      const failure = await failureOf(
        drained({ answer: (line) => (line.startsWith('PASS') ? `-ERR ${text}\r\n` : undefined) }),
        'login',
      );
      assert.match(failure.message, end);
    }
  });
});

describe('the lenient end of a reply', () => {
  it('gives the same bytes over any cut', () => {
    const reply = Buffer.from('a\n..b\r\n.c\n. d\n.\t\r\nrest');
    fc.assert(
      fc.property(fc.array(fc.nat({ max: reply.length })), (cuts) => {
        const decoder = new DotDecoder(true);
        const pieces: Buffer[] = [];
        const places = [...new Set([0, ...cuts, reply.length])].sort((one, other) => one - other);
        for (const [index, place] of places.entries()) {
          const end = decoder.decode(reply.subarray(place, places[index + 1] ?? reply.length), pieces);
          if (end === -1) continue;
          assert.equal(place + end, reply.indexOf('rest'));
          break;
        }
        assert.equal(Buffer.concat(pieces).toString(), 'a\n.b\r\nc\n d\n');
      }),
    );
  });
});

describe('the hash of a mail without UIDL', () => {
  const hashOf = (text: string, cutEvery = text.length) => {
    const hash = new ContentHash();
    for (let at = 0; at < text.length; at += cutEvery)
      hash.update(Buffer.from(text.slice(at, at + cutEvery)));
    return hash.digest();
  };
  const plain = 'Subject: a\r\nX-Other: b\r\n c\r\n\r\nStatus: in the body\r\n';

  it('leaves out what servers write into the header from session to session, wherever it is cut', () => {
    const written =
      'Status: RO\r\nSubject: a\r\nX-UID: 17\r\nX-Keywords: NonJunk\r\n  more\r\nX-Other: b\r\n c\r\nCONTENT-LENGTH : 20\r\nx-imapbase: 1 2\r\nX-IMAP: 1\r\nX-Status: A\r\n\r\nStatus: in the body\r\n';
    for (const cut of [1, 2, 7, 1_000]) assert.equal(hashOf(written, cut), hashOf(plain));
  });

  it('counts everything else, the body and its lines too', () => {
    for (const other of [
      plain.replace('X-Other: b', 'X-Other: d'),
      plain.replace('in the body', 'in a body'),
      plain.replace(' c\r\n', ''),
      plain.replace('X-Other', 'X-Statuses'),
    ]) {
      assert.notEqual(hashOf(other), hashOf(plain));
    }
  });

  it('takes a mail that is all one line, or empty', () => {
    assert.notEqual(hashOf('x'.repeat(3_000_000), 65_536), hashOf('y'));
    assert.match(hashOf(''), /^[0-9a-f]{64}$/);
  });
});
