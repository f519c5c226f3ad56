import assert from 'node:assert/strict';
import dns from 'node:dns';
import { readFile } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import { after, before, type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { startScriptedImapServer } from '../mailbox/imap/scriptedImapServer.ts';
import { startScriptedServer as startScriptedPop3Server } from '../mailbox/pop3/scriptedServer.ts';
import { until } from '../reliability/mails.ts';
import { startIdentityProvider } from '../security/identityProvider.ts';
import { freePorts } from '../testbed/child.ts';
import { startMuteListeners } from '../testbed/muteListeners.ts';
import { queueName, type RunningApp, serverColumns, startApp } from './testbed.ts';

/** How late the slow address answers: later than the 250 ms that Node leaves to all addresses but the last. */
const slowMs = 400;
const slow = '127.0.0.1';
const interfaces = Object.values(networkInterfaces()).flat();
const nowhere = interfaces.some((each) => each?.address === '::1') ? '::1' : '127.0.0.3';
const nowhereEither = '127.0.0.2';
const addresses = [nowhere, slow, nowhereEither];
/** The second is the only name to which the token endpoint may be plain HTTP. */
const hosts = ['mail.example.com', 'localhost'];

let app: RunningApp;
before(async () => {
  app = await startApp();
});
after(() => app.stop());

test('a host whose slow address stands between two that lead nowhere is reached, for mail and for tokens', async (t) => {
  resolveHosts(t);
  const mails = [Buffer.from('Subject: hello\r\n\r\nHello\r\n')];
  const [imap, pop3, provider] = await Promise.all([
    startScriptedImapServer({ mails, capabilities: 'IMAP4rev1 SASL-IR UIDPLUS AUTH=XOAUTH2 AUTH=PLAIN' }),
    startScriptedPop3Server({ mails }),
    startIdentityProvider('anna'),
  ]);
  t.after(() => Promise.all([imap, pop3, provider].map((server) => server.stop())));
  const targets = [imap.port, pop3.port, Number(new URL(provider.tokenEndpoint).port)];
  const ports = await freePorts(targets.length);
  const places = ports.map((port, index) => ({ port, targetPort: targets[index] ?? 0 }));
  const placesOn = (host: string) => places.map((place) => ({ ...place, host }));
  const dead = await startMuteListeners([nowhere, nowhereEither].flatMap(placesOn));
  t.after(() => dead.stop());
  const late = await Promise.all(
    placesOn(slow).map(async (place) => ({ ...place, ...(await startMuteListeners([place])) })),
  );
  t.after(() => Promise.all(late.map((listener) => listener.stop())));

  const [imapPort, pop3Port, tokenPort] = ports;
  const connections = {
    imap: { ...serverColumns('IMAP', imapPort), host: 'mail.example.com' },
    pop3: { ...serverColumns('POP3', pop3Port), host: 'mail.example.com' },
    token: {
      ...{ ...serverColumns('IMAP', imap.port), password: undefined },
      ...{ authType: 'oauth2', oauth2Grant: 'clientCredentials', oauth2Scope: 'mail.read' },
      ...{ oauth2ClientId: 'client-7', oauth2ClientSecret: 'client-secret-Zk3v' },
      oauth2TokenEndpoint: `http://localhost:${tokenPort}/token`,
    },
  };
  const names = Object.keys(connections);
  for (const [name, columns] of Object.entries(connections)) await app.addConnection(name, columns);

  const polls = app.pollTogether(names);
  await Promise.all(
    late.map(async ({ port, answer }) => {
      await until(`a connect to port ${port} of the slow address`, async () =>
        (await unansweredPorts()).has(port),
      );
      await delay(slowMs);
      answer();
    }),
  );
  await polls;

  for (const name of names) {
    const { lastStatus, lastError, lastMailCount } = await app.state(name);
    assert.deepEqual([lastStatus, lastError, lastMailCount], ['ok', '', 1], name);
  }
  const arrived = app.broker
    .queue(queueName)
    .messages.map(({ applicationProperties }) => applicationProperties?.connection);
  assert.deepEqual(arrived.map(String).toSorted(), names.toSorted());
  assert.equal(provider.issued.length, 1);
});

/** Has this process, which the app runs in, find these addresses for `hosts` as if DNS had them. */
function resolveHosts(t: TestContext): void {
  const { lookup } = dns;
  t.mock.method(dns, 'lookup', (host: string, ...rest: readonly unknown[]): void => {
    const done = rest.at(-1);
    if (!hosts.includes(host) || typeof done !== 'function') Reflect.apply(lookup, dns, [host, ...rest]);
    else
      done(
        null,
        addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
      );
  });
}

/** Ports of the slow address to which a SYN is under way, from what the kernel lists. */
async function unansweredPorts(): Promise<ReadonlySet<number>> {
  const listed = await readFile('/proc/net/tcp', 'utf8');
  const unanswered = listed.matchAll(/^ *\d+: \S+ 0100007F:([0-9A-F]{4}) 02 /gm);
  return new Set([...unanswered].map(([, port = '']) => Number.parseInt(port, 16)));
}
