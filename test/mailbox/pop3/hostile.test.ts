import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { FailureReason } from '../../../shared/failure/failure.ts';
import { type Fetched, fetchAll, fetched } from '../memory.ts';
import { assertFails, failureOf, sentenceIn } from '../outcomes.ts';
import { fullCapabilities, multiLine } from './scriptedServer.ts';
import { drained, kinds, measured, sources, withSession } from './sessions.ts';

describe('POP3 server with hostile answers', () => {
  const greetings: Record<string, readonly [FailureReason, RegExp]> = {
    '-ERR too many connections, try later\r\n': [
      'busy',
      /refused to serve: too many connections, try later\. Close other/,
    ],
    '-ERR\r\n': ['busy', /refused to serve: no reason given\. The next run tries again/],
    '* OK IMAP4rev1 ready\r\n': [
      'protocol',
      /answered "\* OK IMAP4rev1 ready", which is not POP3\. That is IMAP: set hostType to IMAP, or port to the right one\./,
    ],
    '220 mail.example.com ESMTP\r\n': ['protocol', /That is SMTP: check host and port\.$/],
    'HTTP/1.1 400 Bad Request\r\n\r\n': ['protocol', /which is not POP3/],
    '+OKAY\r\n': ['protocol', /answered "\+OKAY", which is not POP3\. Check host and port\.$/],
    [`+OK ${'x'.repeat(100_000)}`]: ['protocol', /sent a line of more than 8192 bytes, which is not POP3/],
    '\0\0\0\r\n': ['protocol', /which is not POP3/],
    '+OK\r\n+OK\r\n': ['protocol', /sent what nobody asked for: "\+OK"/],
  };
  for (const [greeting, [reason, sentence]] of Object.entries(greetings)) {
    it(`fails with a sentence on the greeting ${JSON.stringify(greeting.slice(0, 40))}`, async () => {
      await assertFails(drained({ greeting }), reason, sentence);
    });
  }

  it('survives an -ERR that nobody asked for, between two commands', async () => {
    const answer = { USER: '+OK\r\n+OK\r\n-ERR shutting down\r\n' };
    const failure = await failureOf(drained({ answer, capa: false }));
    assert.match(failure.reason, /^(connection-lost|protocol)$/);
  });

  it('takes a mail for withheld, not for missing, when RETR is refused, and goes on with the others', async () => {
    const answer = { 'RETR 2': '-ERR [SYS/TEMP] message not found\r\n' };
    const { answers, confirmed, server } = await drained({ answer });
    assert.deepEqual(kinds(answers), ['mail', 'unavailable', 'mail']);
    assert.equal(
      sentenceIn(answers),
      `POP3 server 127.0.0.1:${server.port} would not hand over its mail 2: [SYS/TEMP] message not found`,
    );
    assert.equal(confirmed, true);
  });

  for (const words of ['[SYS/TEMP] Internal error', 'Mailbox temporarily unavailable']) {
    it(`blames no mail when RETR of all but the first is refused as by a busy server: ${words}`, () => {
      const answer = (line: string) => (/^RETR [^1]/.test(line) ? `-ERR ${words}\r\n` : undefined);
      return withSession({ answer }, async (session, { deleted }) => {
        const mails = await measured(session);
        const given: string[] = [];
        const fetching = async () => {
          for await (const { kind, mail } of fetched(session, mails)) given.push(`${mail.id} ${kind}`);
        };
        await assertFails(fetching(), 'busy', /refused RETR 2: .*The next run tries again/);
        assert.deepEqual(given, ['1 mail']);
        await session.settle(mails.slice(0, 1));
        assert.equal(await session.close(), true);
        assert.equal(deleted(), 1);
      });
    });
  }

  it('blames the mails that such a server refuses, and no others, when one behind them comes', async () => {
    const answer = (line: string) => (/^RETR [12]$/.test(line) ? '-ERR [SYS/TEMP]\r\n' : undefined);
    assert.deepEqual(kinds((await drained({ answer })).answers), ['unavailable', 'unavailable', 'mail']);
  });

  it('asks a server that is busy for a few mails only', () => {
    const mails = Array.from({ length: 300 }, () => Buffer.from('a\r\n'));
    const script = { mails, capa: false, answer: { RETR: '-ERR try again later\r\n' } } as const;
    return withSession(script, async (session, { commands }) => {
      await failureOf(fetchAll(session, await measured(session)), 'busy');
      assert.ok(commands.filter((line) => line.startsWith('RETR')).length < 20);
    });
  });

  for (const text of [
    ...['no such message', 'Message 2 not found', 'already expunged', 'it does not exist'],
    ...['invalid message', 'it has been deleted', 'no message 2', 'out of range'],
  ]) {
    it(`takes a mail for gone when RETR is answered "-ERR ${text}"`, async () => {
      const { answers } = await drained({ answer: { 'RETR 2': `-ERR ${text}\r\n` } });
      assert.deepEqual(kinds(answers), ['mail', 'gone', 'mail']);
    });
  }

  it('accepts a mail that is larger or smaller than LIST says', async () => {
    const mails = [9_000, 900_000, 100].map((length) => Buffer.from(`${'a'.repeat(length)}\r\n`));
    const { answers } = await drained({
      answer: { LIST: multiLine(['1 1', '2 700000', '3 300000']) },
      mails,
    });
    assert.ok(Buffer.concat(sources(answers)).equals(Buffer.concat(mails)));
  });

  it('takes a mail of which nothing is sent for withheld, however large it is, and not for an empty one', async () => {
    const mails = ['one\r\n', '', 'three\r\n'].map((text) => Buffer.from(text));
    for (const bytes of [1_234, 20_000_000]) {
      const answer = { LIST: multiLine(['1 100', `2 ${bytes}`, '3 100']) };
      const { answers } = await drained({ answer, mails });
      assert.deepEqual(kinds(answers), ['mail', 'unavailable', 'mail']);
      const sentence = `sent nothing of its mail 2, which it lists with ${bytes} bytes`;
      assert.ok(sentenceIn(answers).includes(sentence), sentenceIn(answers));
    }
  });

  it('takes the note that Exchange hands out in place of a mail for none', async () => {
    const note =
      'From: Microsoft Exchange Server\r\nSubject: Retrieval using the POP3 protocol failed\r\n\r\n';
    const mails = ['one\r\n', note, `Received: x\r\n${note}`].map((text) => Buffer.from(text));
    // It may be announced with the size of the mail that it stands for.
    for (const answer of [{}, { LIST: multiLine(['1 5', '2 20000000', '3 20000000']) }]) {
      const { answers } = await drained({ mails, answer });
      assert.deepEqual(kinds(answers), ['mail', 'unavailable', 'mail']);
      assert.match(sentenceIn(answers), /its mail 2 with a note of its own/);
    }
  });

  it('takes nothing for a list that came before it was asked for', () =>
    withSession({ answer: { PASS: `+OK\r\n${multiLine(['1 5'])}` } }, async (session) => {
      await assertFails(session.list(9), 'protocol', /sent what nobody asked for/);
    }));

  it('takes nothing for a mail that came before it was asked for', async () => {
    const UIDL = `${multiLine(['1 a', '2 b', '3 c'])}+OK\r\nof nobody\r\n.\r\n`;
    for (const capa of [fullCapabilities, ['UIDL', 'USER']]) {
      await withSession({ capa, answer: { UIDL } }, async (session) => {
        const [first] = await measured(session);
        assert.ok(first);
        await assertFails(fetchAll(session, [first]), 'protocol', /sent what nobody asked for/);
      });
    }
  });

  for (const capa of [fullCapabilities, ['UIDL', 'USER']]) {
    it(`takes no mail whose end comes before its end, and blames no other for it (CAPA: ${capa.join()})`, async () => {
      // No dot is doubled: what looks like the end is a line of the mail.
      const answer = { 'RETR 2': '+OK\r\ntwo\r\n.\r\nof the mail\r\n.\r\n' };
      await withSession({ capa, answer }, async (session) => {
        const answers: Fetched[] = [];
        const fetching = async () => {
          for await (const one of fetched(session, await measured(session))) answers.push(one);
        };
        await assertFails(fetching(), 'protocol', /went on behind the end of an answer/);
        assert.deepEqual(
          answers.map(({ mail }) => mail.id),
          [1],
        );
      });
    });
  }

  it('quotes no line of a mail, though it comes where an answer should', async () => {
    const mails = [Buffer.from('one\r\n')];
    const answer = { 'DELE 1': 'of the mail\r\n', QUIT: 'of the mail\r\n' };
    const sentence = /answered text that may be of a mail, which is not POP3\./;
    await assertFails(drained({ mails, answer }), 'protocol', sentence);
  });

  const longAnswers: readonly (readonly [string, string, number])[] = [
    ['LIST', `1 1${' '.repeat(4_000)}x`, 200],
    ['CAPA', `X${' A'.repeat(250)}`, 990],
  ];
  for (const [command, line, count] of longAnswers) {
    it(`reads long lines of an answer to ${command} in time in proportion to them`, async () => {
      const lines = Array.from({ length: count }, () => line);
      const startedAt = process.cpuUsage();
      await drained({ answer: { [command]: multiLine(lines) } });
      const { user, system } = process.cpuUsage(startedAt);
      assert.ok(user + system < 1_000_000, `${(user + system) / 1000} ms`);
    });
  }

  for (const command of ['CAPA', 'LIST', 'UIDL']) {
    it(`ends an answer to ${command} that never ends`, async () => {
      const lines = '1 1\r\n'.repeat(command === 'CAPA' ? 2_000 : 1_000_002);
      const endless = drained({ answer: { [command]: `+OK\r\n${lines}` } });
      await assertFails(endless, 'protocol', new RegExp(`gave an endless answer to ${command}\\.`));
    });

    it(`ends a line of ${command} that never ends`, async () => {
      const answer = { [command]: `+OK\r\n1 ${'x'.repeat(100_000)}` };
      await failureOf(drained({ answer }), 'protocol');
    });
  }

  it('passes over lines of LIST that make no sense, the count it claims, and mails that only UIDL names', () => {
    const lines = ['', 'x y', '0 5', '-1 5', '1 5', '1 9', '99999999999 1', '3'];
    const answer = { LIST: multiLine(lines).replace('+OK', '+OK 4000000000 messages') };
    return withSession({ answer }, async (session) => {
      assert.deepEqual(await measured(session), [{ key: 'uid-1', id: 1, sizeBytes: 5 }]);
      assert.equal(await session.close(), true);
    });
  });

  it('keeps an empty mail that is listed as empty', async () => {
    const mails = [Buffer.alloc(0)];
    assert.deepEqual(sources((await drained({ mails })).answers), mails);
  });

  it('fails for now when LIST is refused', async () => {
    const refused = drained({ answer: { LIST: '-ERR [SYS/TEMP] later\r\n' } });
    await assertFails(refused, 'busy', /refused LIST: \[SYS\/TEMP\] later\. The next run tries again/);
  });

  it('deletes nothing for good when QUIT is refused', async () => {
    const answer = { QUIT: '-ERR some deleted messages not removed\r\n' };
    assert.equal((await drained({ answer })).confirmed, false);
  });
});
