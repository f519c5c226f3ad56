import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { fullCapabilities } from './scriptedServer.ts';
import { drained, sources } from './sessions.ts';
import { variedMails } from './variedMails.ts';

const mails = ['.\r\n', 'a\r\n..b\r\n.\r\n', 'first\r\nno line end\n.\r\nc\0\r\n'].map((text) =>
  Buffer.from(text),
);

const manners: readonly (readonly [string, readonly string[] | false])[] = [
  ['pipelined', fullCapabilities],
  ['sequential', ['UIDL', 'USER']],
  ['without CAPA', false],
];

describe('POP3 over any chunking', () => {
  for (const [manner, capa] of manners) {
    it(`gives the same bytes wherever a whole session is cut in two (${manner})`, async () => {
      const { server } = await drained({ mails, capa });
      for (let cutAt = 1; cutAt < server.sentBytes(); cutAt += 1) {
        const { answers, confirmed } = await drained({ mails, capa, delivery: { cutAt } });
        assert.deepEqual([sources(answers), confirmed], [mails, true], `cut at ${cutAt}`);
      }
    });

    it(`gives the same bytes in chunks of one (${manner})`, async () => {
      const { answers, confirmed } = await drained({ mails, capa, delivery: { chunkBytes: 1 } });
      assert.deepEqual([sources(answers), confirmed], [mails, true]);
    });
  }

  it('gives the same bytes in segments of 1,448', async () => {
    const varied = variedMails(60);
    const { answers } = await drained({ mails: varied, delivery: { chunkBytes: 1_448 } });
    assert.deepEqual(sources(answers), varied);
  });
});
