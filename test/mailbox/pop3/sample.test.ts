import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { MailboxSample } from '../../../shared/mailbox/mailbox.ts';
import { fullCapabilities, type Script } from './scriptedServer.ts';
import { withSession } from './sessions.ts';

const headers = ['Subject: one\r\n\r\n', 'Subject: two\r\n.dotted: yes\r\n\r\n', 'Subject: three\r\n\r\n'];
const mails = headers.map((header) => Buffer.from(`${header}body\r\n`));

/** What a look at the first two comes to, and the commands that it took; nothing may be retrieved by it. */
const look = (script: Script, { host = '127.0.0.1', maxBytes = 1_000 } = {}) =>
  withSession(
    { mails, options: { host, addresses: ['127.0.0.1'] }, ...script },
    async (session, { commands }) => {
      const sample = await session.sample(2, maxBytes);
      assert.deepEqual(await session.listFolders(), []);
      assert.equal(await session.close(), true);
      assert.ok(!commands.some((line) => /^(RETR|DELE)/.test(line)), commands.join());
      assert.equal(commands.at(-1), 'QUIT');
      return { ...sample, commands: commands.filter((line) => line.startsWith('TOP')) };
    },
  );

const textOf = ({ heads }: MailboxSample) => heads.map(String);

describe('a look at a mailbox by POP3', () => {
  it('gives the count and the headers of the first mails, by TOP', async () => {
    const found = await look({});
    assert.equal(found.count, 3);
    assert.deepEqual(textOf(found), headers.slice(0, 2));
    assert.deepEqual(found.commands, ['TOP 1 0', 'TOP 2 0']);
  });

  it('retrieves nothing where mails have no name but by their content', async () => {
    const found = await look({ uidls: false, capa: ['TOP', 'USER'] });
    assert.deepEqual([found.count, textOf(found)], [3, headers.slice(0, 2)]);
  });

  it('asks for no header where TOP is not offered, or may count as retrieval', async () => {
    const askedNothing = { count: 3, heads: [], commands: [] };
    const offered = [...fullCapabilities, 'EXPIRE 0'];
    assert.deepEqual(await look({ capa: fullCapabilities.filter((name) => name !== 'TOP') }), askedNothing);
    assert.deepEqual(await look({ capa: false }), askedNothing);
    assert.deepEqual(await look({ capa: offered }), askedNothing);
    assert.deepEqual(await look({}, { host: 'pop.gmail.com' }), askedNothing);
  });

  it('leaves out a mail whose header is refused', async () => {
    const found = await look({ answer: { 'TOP 1 0': '-ERR not now\r\n' } });
    assert.deepEqual([found.count, textOf(found)], [3, headers.slice(1, 2)]);
  });

  it('keeps no more of a header than is asked for, and reads the rest away', async () => {
    const found = await look({}, { maxBytes: 10 });
    assert.deepEqual(
      textOf(found),
      headers.slice(0, 2).map((header) => header.slice(0, 10)),
    );
  });
});
