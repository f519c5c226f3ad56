import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ContentHash } from '../../../shared/mailbox/pop3/contentHash.ts';
import { Distrust } from '../../../shared/mailbox/pop3/distrust.ts';
import { createPop3Opener } from '../../../shared/mailbox/pop3/pop3Mailbox.ts';
import { fetched } from '../memory.ts';
import { assertFails, failureOf, timeoutsOf } from '../outcomes.ts';
import { fullCapabilities, multiLine, stuff } from './scriptedServer.ts';
import {
  drained,
  measured,
  openAndDrain,
  pop3Options,
  sources,
  threeMails,
  withServer,
  withSession,
} from './sessions.ts';

describe('POP3 servers of odd manners', () => {
  it('without UIDL are counted without that a mail is retrieved', () =>
    withSession({ uidls: false, capa: ['EXPIRE 0', 'USER'] }, async (session, { commands }) => {
      assert.equal((await session.sample(0, 0)).count, 3);
      assert.equal(await session.close(), true);
      assert.ok(!commands.some((line) => /^(RETR|TOP)/.test(line)), commands.join());
    }));

  it('are told UTF8 where they offer it, before the login, and whatever they answer', async () => {
    for (const reply of ['+OK\r\n', '-ERR not now\r\n']) {
      const capa = [...fullCapabilities, 'UTF8 USER'];
      const { server, answers } = await drained({ capa, answer: { UTF8: reply } });
      assert.deepEqual(server.commands.slice(0, 3), ['CAPA', 'UTF8', 'USER x']);
      assert.equal(answers.length, 3);
    }
    assert.ok(!(await drained({})).server.commands.includes('UTF8'));
  });

  it('may refuse UIDL, or LIST as well, for want of mails', async () => {
    const UIDL = '-ERR no messages\r\n';
    for (const answer of [{ UIDL }, { UIDL, LIST: UIDL, STAT: '+OK 0 0\r\n' }]) {
      const { answers, confirmed } = await drained({ mails: [], answer });
      assert.deepEqual([answers, confirmed], [[], true]);
    }
  });

  it('may list all when asked about one', async () => {
    const answer = { 'DELE 2': '-ERR 17\r\n', LIST: multiLine(['1 5', '2 5', '3 5']) };
    await failureOf(drained({ answer }), 'protocol');
  });

  for (const [what, CAPA] of [
    ['hang up', 'fin'],
    ['hang up without a word', 'rst'],
    ['fall silent', 'silence'],
    ['answer without a list', '+OK\r\n'],
  ] as const) {
    it(`may ${what} on CAPA`, () =>
      withServer({ answer: { CAPA } }, async ({ port, commands }) => {
        const options = pop3Options(port, { timeouts: timeoutsOf(5_000, 600) });
        const { answers, confirmed } = await openAndDrain(options);
        assert.deepEqual([sources(answers), confirmed], [threeMails, true]);
        assert.equal(commands.filter((line) => line === 'CAPA').length, 1);
      }));
  }

  it('that do so may have an EXPIRE 0 to tell: no mail is asked for ahead, and none hidden that was not delivered', () =>
    withSession({ answer: { CAPA: 'fin' } }, async (session, { commands }) => {
      for await (const _ of fetched(session, await measured(session))) break;
      await session.close();
      assert.deepEqual(commands.slice(-2), ['UIDL', 'RETR 1']);
    }));

  it('that hang up at every login end in a failure, after one attempt without CAPA', () =>
    withServer({ answer: () => 'fin' }, async ({ port, connections }) => {
      await failureOf(openAndDrain(pop3Options(port)), 'connection-lost');
      assert.equal(connections(), 2);
    }));

  /** What a server answers that spells its replies so. */
  const spelling = (mails: readonly Buffer[], spell: (reply: string) => string) => ({
    CAPA: spell(multiLine(fullCapabilities)),
    LIST: spell(multiLine(mails.map((mail, index) => `${index + 1} ${mail.length}`))),
    UIDL: spell(multiLine(mails.map((_, index) => `${index + 1} u${index}`))),
    ...Object.fromEntries(
      mails.map((mail, index) => [`RETR ${index + 1}`, spell(`+OK\r\n${stuff(mail)}.\r\n`)]),
    ),
  });

  it('may end their lines in LF alone', async () => {
    const bare = (text: string) => text.replaceAll('\r\n', '\n');
    const ok = Object.fromEntries(['USER', 'PASS', 'DELE', 'QUIT'].map((command) => [command, '+OK\n']));
    const answer = { ...spelling(threeMails, bare), ...ok };
    const { answers, confirmed } = await drained({ greeting: '+OK hello\n', answer });
    assert.deepEqual(
      sources(answers).map(String),
      threeMails.map((mail) => bare(`${mail}`)),
    );
    assert.equal(confirmed, true);
  });

  it('may give mails as they lie there, with lines that end in LF alone, though their answers end in CRLF', async () => {
    // As hMailServer does with what a program has put into a folder so, and Mailtrap with all mails.
    const answer = {
      'RETR 1': '+OK\r\nSubject: one\n\n..hello\n.\r\n',
      'RETR 2': '+OK\r\nSubject: two\n\n..hello\n\r\n.\r\n',
      'RETR 3': '+OK\r\nSubject: three\r\n\r\n.\n.\r\n..\n\r\n.\r\n',
    };
    for (const chunkBytes of [1, 2, 3, 1_000]) {
      const { answers, confirmed } = await drained({ answer, delivery: { chunkBytes } });
      assert.deepEqual(
        [sources(answers).map(String), confirmed],
        [
          [
            'Subject: one\n\n.hello\n',
            'Subject: two\n\n.hello\n\r\n',
            'Subject: three\r\n\r\n\n.\r\n.\n\r\n',
          ],
          true,
        ],
      );
    }
  });

  it('may put a blank behind the dot that ends a reply', async () => {
    const answer = spelling(threeMails, (reply) => `${reply.slice(0, -3)}. \r\n`);
    const { answers, confirmed } = await drained({ answer });
    assert.deepEqual([sources(answers), confirmed], [threeMails, true]);
  });

  it('that put a blank only behind the dot of a list change nothing about mails', async () => {
    const answer = { CAPA: '+OK\r\nUIDL\r\nPIPELINING\r\n. \r\n' };
    assert.deepEqual(sources((await drained({ answer })).answers), threeMails);
  });

  for (const [uidl, script] of [
    ['with UIDL', {}],
    ['without UIDL', { uidls: false, capa: ['USER', 'PIPELINING'] }],
  ] as const) {
    it(`may list any size: the neighbours of a mail arrive in the same session (${uidl})`, async () => {
      const mails = threeMails.with(1, Buffer.from(`${'x'.repeat(5_000_000)}\r\n`));
      for (const size of ['0', '1', '999999999']) {
        const answer = { LIST: multiLine(['1 5', `2 ${size}`, '3 14']) };
        assert.deepEqual(sources((await drained({ mails, answer, ...script })).answers), mails, size);
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
      await assertFails(drained({ answer: { PASS: `-ERR ${text}\r\n` } }), 'login', end);
    }
  });
});

/** What a server answers that has something else for what comes before the answer to the last command. */
function answersTooSoon(soon: (line: string) => string | undefined): (line: string) => string | undefined {
  let isBusy = false;
  return (line) => {
    if (isBusy) return soon(line);
    isBusy = true;
    setImmediate(() => {
      isBusy = false;
    });
    return undefined;
  };
}

describe('A POP3 server that takes several commands at once only in words', () => {
  const odd: readonly (readonly [string, number, (line: string) => string | undefined])[] = [
    ['drops all but the first', 2, () => 'silence'],
    ['hangs up', 2, () => 'fin'],
    ['mixes up its answers', 1, (line) => (line.startsWith('RETR') ? 'of a mail\r\n' : undefined)],
  ];
  for (const [how, failures, soon] of odd) {
    it(`is asked for one at a time from then on (it ${how})`, () =>
      withServer({ answer: answersTooSoon(soon) }, async ({ port, deleted }) => {
        const timeouts = timeoutsOf(100);
        const open = createPop3Opener();
        for (let run = 0; run < failures; run += 1) {
          await failureOf(openAndDrain(pop3Options(port, { timeouts }), open));
        }
        const { answers, confirmed } = await openAndDrain(pop3Options(port), open);
        assert.deepEqual([sources(answers), confirmed, deleted()], [threeMails, true, threeMails.length]);
      }));
  }

  it('is asked for one at a time at once when it says that it is WildDuck, which may mix up the mails themselves', async () => {
    const capa = [...fullCapabilities, 'IMPLEMENTATION WildDuck-v1.45.8'];
    const { answers, confirmed } = await drained({ capa, answer: answersTooSoon(() => 'rst') });
    assert.deepEqual([sources(answers), confirmed], [threeMails, true]);
  });

  const looses: readonly (readonly [string, readonly boolean[]])[] = [
    ['a connection was lost now and then', [true, false, true]],
    ['three were lost in a row, the third without any command ahead', [true, true, true]],
  ];
  for (const [what, runs] of looses) {
    it(`is none of which ${what}, nor one with runs that were cut`, () => {
      let isLost = false;
      const answer = (line: string) => (isLost && line === 'RETR 2' ? 'rst' : undefined);
      return withServer({ answer }, async ({ port, commands }) => {
        const open = createPop3Opener();
        for (const loses of runs) {
          isLost = loses;
          const draining = openAndDrain(pop3Options(port), open);
          await (loses ? failureOf(draining, 'connection-lost') : draining);
        }
        isLost = false;
        for (let run = 0; run < 3; run += 1) {
          const cut = new AbortController();
          const session = await open(pop3Options(port, { signal: cut.signal }));
          cut.abort();
          await failureOf(session.list(1));
        }
        const before = commands.length;
        const session = await open(pop3Options(port));
        for await (const _ of fetched(session, await measured(session))) {
          assert.ok(commands.slice(before).includes('RETR 3'), 'all were asked for before the first came');
          break;
        }
        await session.close();
      });
    });
  }
});

describe('what went wrong twice in a row', () => {
  it('is not tried for an hour, and then has both tries anew', () => {
    let nowMs = 0;
    const distrust = new Distrust(() => nowMs);
    const isTried = (more?: number): boolean => {
      distrust.noteWrong('it', more);
      return distrust.mayTry('it');
    };
    assert.deepEqual([isTried(), isTried()], [true, false]);
    nowMs += 3_600_001;
    assert.deepEqual([distrust.mayTry('it'), isTried(), isTried()], [true, true, false]);
  });

  it('is tried again when it went wrong in another way, too, unless once was enough', () => {
    const distrust = new Distrust();
    for (const [name, more] of [['lost', 2] as const, ['out of step', Infinity] as const]) {
      distrust.noteWrong(name, more);
      distrust.noteWrongWithout(name);
    }
    assert.deepEqual([distrust.mayTry('lost'), distrust.mayTry('out of step')], [true, false]);
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

  it('holds no more of a line without end than a header may have', () => {
    const hash = new ContentHash();
    const piece = Buffer.alloc(1024 * 1024, 'x');
    const beforeBytes = process.memoryUsage().arrayBuffers;
    for (let count = 0; count < 64; count += 1) hash.update(piece);
    assert.ok(process.memoryUsage().arrayBuffers - beforeBytes < 16 * piece.length);
  });
});
