import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type HostRules, matchesHostPattern, resolveHost } from '../../shared/mailbox/hostGuard.ts';
import { isPublicAddress } from '../../shared/mailbox/publicAddress.ts';

/** Private networks are denied unless the rules say otherwise. */
const resolve = (host: string, rules: Partial<HostRules> = {}, timeoutMs = 5_000) =>
  resolveHost(host, { denyPrivate: true, ...rules }, timeoutMs);

const wordsOf = (text: string) => text.trim().split(/\s+/);

function answering(...addresses: string[]) {
  return async () => addresses.map((address) => ({ address }));
}

test('public addresses are public in every spelling', () => {
  const addresses = `
    1.1.1.1 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0 169.253.255.255
    169.255.0.0 172.15.255.255 172.32.0.0 192.0.1.0 192.0.3.0 192.167.255.255 192.169.0.0 198.17.255.255
    198.20.0.0 223.255.255.255 168.63.129.15 2a00:1450:4001::1 2606:4700::1111 2001:200::1 2003::1
    ::ffff:1.1.1.1 ::ffff:101:101 64:ff9b::1.1.1.1`;
  for (const address of wordsOf(addresses)) assert.equal(isPublicAddress(address), true, address);
});

test('loopback, private, shared, link-local, multicast, reserved and documentation addresses are not public', () => {
  const addresses = `
    0.0.0.0 0.1.2.3 10.0.0.0 10.255.255.255 100.64.0.0 100.127.255.255 127.0.0.1 127.255.255.255
    169.254.0.0 169.254.169.254 172.16.0.0 172.31.255.255 192.0.0.1 192.0.2.1 192.88.99.1 192.168.0.1
    198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.255 240.0.0.1
    255.255.255.255 168.63.129.16 :: ::1 0:0:0:0:0:0:0:1 fe80::1 fe80::1%eth0 fec0::1 fc00::1
    fd00:ec2::254 ff02::1 100::1 2001::1 2001:db8::1 2001:0:4136:e378::1 3fff::1 4000::1 5f00::1`;
  for (const address of wordsOf(addresses)) assert.equal(isPublicAddress(address), false, address);
});

test('IPv6 addresses that stand for a private IPv4 one are not public', () => {
  const addresses = `
    ::ffff:127.0.0.1 ::ffff:7f00:1 0:0:0:0:0:ffff:10.0.0.5 ::ffff:a9fe:a9fe ::FFFF:10.0.0.1 ::127.0.0.1
    ::10.0.0.1 ::ffff:0:10.0.0.1 64:ff9b::10.0.0.5 64:ff9b::a9fe:a9fe 64:ff9b::a83f:8110
    64:ff9b:1::10.0.0.5 2002:a00:5:: 2002:7f00:1::1 2002:101:101::1`;
  for (const address of wordsOf(addresses)) assert.equal(isPublicAddress(address), false, address);
});

test('what is no address is not public', () => {
  for (const text of ['', 'mail.example', '1.2.3', '010.0.0.1', '1.1.1.1 ', '[::1]']) {
    assert.equal(isPublicAddress(text), false, text);
  }
});

test('without rules nothing is looked up', async () => {
  const lookUp = () => assert.fail('looked up');
  for (const rules of [{}, { allowed: ['mail.example'] }]) {
    assert.deepEqual(await resolve('mail.example', { denyPrivate: false, lookUp, ...rules }), {});
  }
});

test('a public host is looked up once and gives the addresses to connect to', async () => {
  let lookUps = 0;
  const rebinding = async () => {
    lookUps += 1;
    return [{ address: lookUps === 1 ? '1.1.1.1' : '127.0.0.1' }];
  };
  assert.deepEqual(await resolve('mail.example', { lookUp: rebinding }), { addresses: ['1.1.1.1'] });
  assert.equal(lookUps, 1);
});

test('of public and private addresses the public ones are taken, in their order', async () => {
  const lookUp = answering('10.0.0.5', '::1', '2606:4700::1111', '1.1.1.1');
  assert.deepEqual(await resolve('mail.example', { lookUp }), {
    addresses: ['2606:4700::1111', '1.1.1.1'],
  });
});

test('a host with private addresses only is refused with the addresses', async () => {
  await assert.rejects(resolve('mail.internal', { lookUp: answering('10.0.0.5') }), {
    reason: 'host-denied',
    message:
      'Host mail.internal is not allowed: it resolves to a private address (10.0.0.5) and MAIL_DENY_PRIVATE_NETWORKS is on. Use a public host.',
  });
});

test('this machine is refused under each of its names and spellings, as the system resolves them', async () => {
  for (const host of [
    'localhost',
    '127.0.0.1',
    '127.1',
    '2130706433',
    '0x7f.1',
    '0177.0.0.1',
    '0',
    '::1',
    '::ffff:7f00:1',
  ]) {
    await assert.rejects(resolve(host), { reason: 'host-denied' }, host);
  }
});

test('a public address is its own address', async () => {
  assert.deepEqual(await resolve('1.1.1.1'), { addresses: ['1.1.1.1'] });
  await assert.rejects(resolve('10.0.0.5'), {
    message: /^Host 10\.0\.0\.5 is not allowed: it is a private address and /,
  });
});

test('DNS that knows nothing, and DNS that says nothing, give a sentence', async () => {
  const unknown = () => Promise.reject(Object.assign(new Error('x'), { code: 'ENOTFOUND' }));
  await assert.rejects(resolve('mail.example', { lookUp: unknown }), {
    reason: 'unknown-host',
    message: 'Host mail.example is unknown: DNS has no address for it (ENOTFOUND). Check its name.',
  });
  await assert.rejects(resolve('mail.example', { lookUp: answering() }), { reason: 'unknown-host' });
  const silent = () => new Promise<never>(() => {});
  await assert.rejects(resolve('mail.example', { lookUp: silent }, 10), {
    reason: 'timeout',
    message: 'Host mail.example could not be resolved in time. Check its name and DNS.',
  });
});

test('a host that is not listed is refused before any look-up', async () => {
  const lookUp = () => assert.fail('looked up');
  await assert.rejects(resolve('evil.example', { allowed: ['mail.example'], lookUp }), {
    reason: 'host-denied',
    message:
      'Host evil.example is not allowed: it is not in MAIL_HOSTS_ALLOWED. Add it there, or correct host.',
  });
});

test('a listed host is still refused when it is private', async () => {
  const rules = { allowed: ['mail.example'], lookUp: answering('192.168.1.1') };
  await assert.rejects(resolve('mail.example', rules), { reason: 'host-denied' });
});

test('patterns are whole names, addresses, or all names below a domain', () => {
  const patterns = ['mail.example.com', '*.example.org', '192.0.2.7', '2001:db8::7'];
  const allowed = [
    ...['mail.example.com', 'MAIL.Example.COM', 'mail.example.com.', 'a.example.org', 'a.b.example.org.'],
    ...['192.0.2.7', '2001:db8::7', '2001:DB8:0:0:0:0:0:7'],
  ];
  const denied = [
    ...['example.com', 'x.mail.example.com', 'mail.example.com.evil.net', 'mailxexample.com', 'example.org'],
    ...[
      '.example.org',
      'evilexample.org',
      'example.org.evil.net',
      '192.0.2.70',
      '2001:db8::70',
      '',
      '.',
      '*',
    ],
    ...['3221225991', '::ffff:192.0.2.7', 'mail.example.com..', 'mail.example.com\0.evil.net'],
  ];
  for (const host of allowed) assert.equal(matchesHostPattern(host, patterns), true, host);
  for (const host of denied) assert.equal(matchesHostPattern(host, patterns), false, host);
  assert.equal(matchesHostPattern('10.0.0.5', ['*.0.5', '*.5']), false, 'an address is below no domain');
  assert.equal(matchesHostPattern('mail.example', []), false, 'an empty list allows no host');
});
