import assert from 'node:assert/strict';
import * as net from 'node:net';
import { test } from 'node:test';
import { addressMs, allowSlowAddresses } from '../../shared/mailbox/connecting.ts';
import { openImapMailbox } from '../../shared/mailbox/imap/imapMailbox.ts';
import { openPop3Mailbox } from '../../shared/mailbox/pop3/pop3Mailbox.ts';
import { checkServer } from '../../shared/mailbox/serverCheck.ts';
import { defaultLimits, exchange } from '../../shared/token/exchange.ts';
import { testCertificate } from '../testbed/certificates.ts';
import { listening } from '../testbed/listening.ts';
import { startMuteListeners } from '../testbed/muteListeners.ts';
import { issuing, startEndpoint } from '../token/localEndpoint.ts';
import { optionsFor as imapOptions, startScriptedImapServer } from './imap/scriptedImapServer.ts';
import { timeoutsOf } from './outcomes.ts';
import { startScriptedServer as startScriptedPop3Server } from './pop3/scriptedServer.ts';
import { pop3Options } from './pop3/sessions.ts';

test('every address of a host has seconds to connect, not 250 ms, and a dead one does not end the attempt', async () => {
  allowSlowAddresses();
  assert.equal(net.getDefaultAutoSelectFamilyAttemptTimeout(), addressMs);
  const { port, stop } = await listening(net.createServer((socket) => socket.end()));
  // Nothing listens on the first address.
  const socket = net.connect({
    host: 'mail.example.com',
    port,
    lookup: (_host, _options, done) =>
      done(null, [
        { address: '::1', family: 6 },
        { address: '127.0.0.1', family: 4 },
      ]),
  });
  await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject));
  assert.equal(socket.remoteAddress, '127.0.0.1');
  socket.destroy();
  await stop();
});

const nowhere = '127.0.0.2';
const refusing = '127.0.0.3';

test('addresses that were checked before are tried in turn as well: one that leads nowhere keeps nothing away', async (t) => {
  allowSlowAddresses();
  const tls = await testCertificate();
  const imap = await startScriptedImapServer();
  const pop3 = await startScriptedPop3Server({ tls });
  t.after(() => Promise.all([imap.stop(), pop3.stop()]));
  const endpoint = await startEndpoint(t, issuing());
  const url = new URL(endpoint.url);
  url.hostname = 'login.test';
  const ports = [imap.port, pop3.port, Number(url.port)];
  const dead = await startMuteListeners(ports.map((port) => ({ host: nowhere, port, targetPort: port })));
  t.after(() => dead.stop());

  const checked = { host: 'mail.test', addresses: [refusing, nowhere, '127.0.0.1'] };
  const secure = { ...checked, security: 'tls', caCertificate: tls.caCertificate } as const;
  const startedAt = performance.now();
  const [imapSession, pop3Session, server, answer] = await Promise.all([
    openImapMailbox(imapOptions(imap.port, checked)),
    openPop3Mailbox(pop3Options(pop3.port, { ...secure, timeouts: timeoutsOf(60_000) })),
    checkServer({ ...secure, port: pop3.port }),
    exchange({ url, headers: {}, body: '', addresses: checked.addresses }, defaultLimits),
  ]);
  assert.ok(performance.now() - startedAt < 30_000, 'the one that leads nowhere had its share of the time');
  await Promise.all([imapSession.close(), pop3Session.close()]);
  assert.ok(server.certificateEndsAt !== undefined);
  assert.equal(answer.kind, 'answer');

  // However many there are, the time to connect is that of them all.
  const tooMany = { ...checked, addresses: [nowhere, nowhere, '127.0.0.1'], timeouts: timeoutsOf(1_000) };
  const triedAt = performance.now();
  await assert.rejects(openPop3Mailbox(pop3Options(pop3.port, tooMany)), {
    reason: 'timeout',
    message: /within 1 s/,
  });
  assert.ok(performance.now() - triedAt < 2_500);
});
