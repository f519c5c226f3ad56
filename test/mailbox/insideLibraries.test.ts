import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ImapFlow } from 'imapflow';
import { commandsOf, parserOf } from '../../shared/mailbox/imap/imapflowInside.ts';
import { failureOf } from './imap/drain.ts';

const mailbox = join(import.meta.dirname, '../../shared/mailbox');

/** Ways to reach what a library does not promise. */
const privateAccess = /Reflect\.(get|set)|\._[a-z]\w*|\[['"]_/;

test('only the two doors reach into imapflow and node-pop3', () => {
  const reaching = globSync('**/*.ts', { cwd: mailbox }).filter((file) =>
    privateAccess.test(readFileSync(join(mailbox, file), 'utf8')),
  );
  assert.deepEqual(reaching.sort(), ['imap/imapflowInside.ts', 'pop3/nodePop3Inside.ts']);
  const users = globSync('**/*.ts', { cwd: mailbox }).filter((file) =>
    /from 'node-pop3'/.test(readFileSync(join(mailbox, file), 'utf8')),
  );
  assert.deepEqual(users, ['pop3/nodePop3Inside.ts']);
});

for (const [missing, name] of [
  ['parser', 'streamer'],
  ['registry of commands', 'commands'],
] as const) {
  test(`another version of imapflow, without its ${missing}, is said in one sentence`, async () => {
    const client = new ImapFlow({ host: '127.0.0.1', port: 1, secure: false, logger: false });
    Object.assign(client, { [name]: {} });
    const use = async (): Promise<unknown> => (name === 'commands' ? commandsOf(client) : parserOf(client));
    const { reason, message } = await failureOf(use());
    assert.equal(reason, 'internal');
    assert.equal(
      message,
      `This version of imapflow can't be used: its ${missing} is not where it was. Install the version that package.json names.`,
    );
  });
}
