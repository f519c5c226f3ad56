import { isIPv6 } from 'node:net';
import { Failure, toFailure } from '../../failure/failure.ts';
import { unlessAborted, withDeadline } from '../../wait/deadline.ts';
import { logInWithFreshToken } from '../freshToken.ts';
import { newBuffers } from '../mailBuffers.ts';
import {
  defaultStreamBytes,
  type MailboxOptions,
  type MailboxSession,
  type OpenMailbox,
} from '../mailbox.ts';
import { describeAbort, describeNetworkFailure, describeTimeout } from '../networkFailure.ts';
import { addressMs } from '../slowAddresses.ts';
import { tlsOptions } from '../trustedRoots.ts';
import { noCapabilities, type Pop3Capabilities, readCapabilities } from './capabilities.ts';
import { Deadline } from './deadline.ts';
import { logInWithPassword, logInWithToken, startTls } from './login.ts';
import { openSocket } from './nodePop3Inside.ts';
import { Pop3Session } from './pop3Session.ts';
import { describeGreetingRefusal } from './refusal.ts';
import { ask, readReply } from './reply.ts';
import { Pop3Wire } from './wire.ts';

type LogIn = (wire: Pop3Wire, capabilities: Pop3Capabilities, deadline: Deadline) => Promise<void>;

/**
 * Opens a POP3 session (RFC 1939): connects, sets up TLS as `security` says, and logs in, all within
 * `connectMs`. An OAuth2 token that is refused is fetched anew once. Rejects with a `Failure`: config,
 * unknown-host, refused, timeout, tls, login, busy, token, protocol or connection-lost.
 */
export const openPop3Mailbox: OpenMailbox = async (options) => {
  const { username, credential } = options;
  refuseLineBreaks(options, 'username', username);
  const deadline = new Deadline(options.timeouts.connectMs);
  if (credential.kind === 'password') {
    const { password } = credential;
    refuseLineBreaks(options, 'password', password);
    return open(options, deadline, password, (wire, capabilities) =>
      logInWithPassword(wire, capabilities, { username, password }, deadline),
    );
  }
  // Each time on a new connection: many servers close the one on which a login was refused.
  return await logInWithFreshToken(
    (fresh) => tokenInTime(options, deadline, credential.getToken(fresh)),
    (token) =>
      open(options, deadline, token, (wire, capabilities) =>
        logInWithToken(wire, capabilities, { username, token }, deadline),
      ),
  );
};

async function open(
  options: MailboxOptions,
  deadline: Deadline,
  secret: string,
  logIn: LogIn,
  asksCapabilities = true,
): Promise<MailboxSession> {
  const wire = await dial(options, deadline);
  wire.secrets = [secret];
  let isAsking = false;
  try {
    const greeting = await readReply(wire, deadline);
    if (!greeting.ok) throw describeGreetingRefusal(wire, greeting);
    wire.phase = 'login';
    if (options.security === 'starttls') {
      await startTls(wire, tlsOptions(options.host, options.caCertificate), deadline);
    }
    isAsking = asksCapabilities;
    const capabilities = asksCapabilities ? await readCapabilities(wire, deadline) : noCapabilities;
    isAsking = false;
    // Refused or not: it says only what this client can read.
    if (capabilities.utf8) await ask(wire, 'UTF8', deadline);
    await logIn(wire, capabilities, deadline);
    wire.phase = 'session';
    const hides = hidesRetrieved(options.host) || capabilities.expiresAtOnce;
    return new Pop3Session(wire, {
      endpoint: endpointOf(options),
      mailboxId: JSON.stringify(['pop3', options.host.toLowerCase(), options.username]),
      pipelining: capabilities.pipelining,
      uidlPromised: capabilities.uidl,
      hidesRetrieved: hides,
      // Where what was retrieved is hidden, TOP may count as retrieval.
      asksHeaders: capabilities.top && !hides,
      openMs: options.timeouts.openMs,
      commandMs: options.timeouts.commandMs,
      buffers: options.buffers ?? newBuffers,
      wholeBytes: options.wholeBytes,
      streamBytes: options.streamBytes ?? defaultStreamBytes,
    });
  } catch (error) {
    const failure = toFailure(error, 'opening a POP3 session');
    wire.fail(failure);
    // Some servers hang up on what they don't know.
    if (isAsking && failure.reason === 'connection-lost')
      return await open(options, deadline, secret, logIn, false);
    throw failure;
  }
}

/** Gmail hides from all later sessions what was retrieved in one that ended by QUIT, deleted or not. */
function hidesRetrieved(host: string): boolean {
  return /(^|\.)(gmail|googlemail)\.com$/i.test(host);
}

/** Connects, with TLS already set up where `security` is `tls`; the greeting is still to be read. */
async function dial(options: MailboxOptions, deadline: Deadline): Promise<Pop3Wire> {
  // Made before any connect: a broken PEM must not look like a network failure.
  const trust = tlsOptions(options.host, options.caCertificate);
  const wire = await reach(options, options.addresses ?? [options.host], deadline);
  try {
    if (options.security === 'tls') await wire.secure(trust, deadline);
  } catch (error) {
    throw wire.fail(toFailure(error, 'connecting to a POP3 server'));
  }
  wire.phase = 'greeting';
  return wire;
}

/** Connects to the first of these that answers, as Node does with the addresses of a name that it looks up. */
async function reach(
  options: MailboxOptions,
  [address = options.host, ...others]: readonly string[],
  deadline: Deadline,
): Promise<Pop3Wire> {
  const { host, port, security, signal } = options;
  const contact = { protocol: 'POP3', host, port, security } as const;
  const socket = openSocket(address, port, (error) =>
    describeNetworkFailure(error, { ...contact, phase: 'connect' }),
  );
  const wire = new Pop3Wire(socket, contact);
  wire.endWith(signal);
  const isLast = others.length === 0;
  const ownDeadline = isLast ? deadline : new Deadline(Math.min(addressMs, deadline.waitMs));
  const startedAt = performance.now();
  try {
    await wire.connected(ownDeadline);
    return wire;
  } catch (error) {
    const failure = wire.fail(toFailure(error, 'connecting to a POP3 server'));
    if (isLast || signal?.aborted) throw failure;
  } finally {
    if (!isLast) deadline.spend(performance.now() - startedAt);
  }
  return await reach(options, others, deadline);
}

/** A line break would end the command and begin another one, of the config's choice. */
function refuseLineBreaks({ host, port }: MailboxOptions, column: string, value: string): void {
  if (!/[\r\n\0]/.test(value)) return;
  throw new Failure(
    'config',
    `The ${column} for POP3 server ${host}:${port} holds a line break or a NUL character, which no login can carry. Check ${column}.`,
  );
}

async function tokenInTime(
  options: MailboxOptions,
  deadline: Deadline,
  getting: Promise<string>,
): Promise<string> {
  const { host, port, security, timeouts, signal } = options;
  const contact = { protocol: 'POP3', host, port, security, phase: 'login' } as const;
  const startedAt = performance.now();
  try {
    const waiting = unlessAborted(getting, signal, () => describeAbort(signal, contact));
    const token = await withDeadline(waiting, deadline.waitMs, () => {
      const { message } = describeTimeout(contact, timeouts.connectMs);
      return new Failure('timeout', `No OAuth2 token came in time. ${message}`);
    });
    if (/^[\x21-\x7e]+$/.test(token)) return token;
    const sentence = `The OAuth2 token for POP3 server ${host}:${port} is malformed. Check the token endpoint.`;
    throw new Failure('token', sentence);
  } catch (error) {
    throw toFailure(error, 'getting an OAuth2 token');
  } finally {
    deadline.spend(performance.now() - startedAt);
  }
}

function endpointOf({ host, port, security }: MailboxOptions): string {
  const scheme = security === 'tls' ? 'pop3s' : 'pop3';
  return `${scheme}://${isIPv6(host) ? `[${host}]` : host}:${port}`;
}
