import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Delivery, fullCapabilities, type Script, startScriptedServer } from './scriptedServer.ts';
import { type Drained, openAndDrain, pop3Options, sources } from './sessions.ts';
import { variedMails } from './variedMails.ts';

const mails = ['.\r\n', 'a\r\n..b\r\n.\r\n', 'no line end after the first\n.\r\nc\0\r\n'].map((text) =>
  Buffer.from(text),
);

const manners: readonly (readonly [string, readonly string[] | false])[] = [
  ['pipelined', fullCapabilities],
  ['sequential', ['UIDL', 'USER']],
  ['without CAPA', false],
];

async function drainBy(
  delivery: Delivery,
  script: Script = {},
): Promise<Drained & { readonly sentBytes: number }> {
  const server = await startScriptedServer({ mails, ...script, delivery });
  try {
    return { ...(await openAndDrain(pop3Options(server.port))), sentBytes: server.sentBytes() };
  } finally {
    await server.stop();
  }
}

describe('POP3 over any chunking', () => {
  for (const [manner, capa] of manners) {
    it(`gives the same bytes wherever a whole session is cut in two (${manner})`, async () => {
      const { sentBytes } = await drainBy({}, { capa });
      for (let cutAt = 1; cutAt < sentBytes; cutAt += 1) {
        const { answers, confirmed } = await drainBy({ cutAt }, { capa });
        assert.deepEqual(sources(answers), mails, `cut at ${cutAt}`);
        assert.ok(confirmed, `cut at ${cutAt}`);
      }
    });

    it(`gives the same bytes in chunks of one (${manner})`, async () => {
      const { answers, confirmed } = await drainBy({ chunkBytes: 1 }, { capa });
      assert.deepEqual(sources(answers), mails);
      assert.ok(confirmed);
    });
  }

  it('gives the same bytes in segments of 1,448', async () => {
    const varied = variedMails(60);
    const { answers } = await drainBy({ chunkBytes: 1_448 }, { mails: varied });
    assert.deepEqual(sources(answers), varied);
  });
});
