import { toFailure } from '../../failure/failure.ts';
import { addressMs, refuseUnsafe, tlsOptions } from '../connecting.ts';
import { logInWithFreshToken } from '../freshToken.ts';
import type { MailboxOptions, MailboxSession, OpenMailbox } from '../mailbox.ts';
import { type Distrust, Pop3Distrusts } from './distrust.ts';
import {
  logInWithPassword,
  logInWithToken,
  type Pop3Capabilities,
  readCapabilities,
  startTls,
} from './login.ts';
import { openSocket } from './nodePop3Inside.ts';
import { Pop3Session } from './pop3Session.ts';
import { ask, describeGreetingRefusal, readReply } from './reply.ts';
import { Deadline, Pop3Wire } from './wire.ts';

/**
 * Opens a POP3 session (RFC 1939): connects, sets up TLS as `security` says, and logs in, all within `connectMs`. A
 * refused OAuth2 token is fetched anew once. Rejects with a `Failure`.
 */
export async function openPop3Mailbox(
  options: MailboxOptions,
  distrusts = new Pop3Distrusts(),
): Promise<MailboxSession> {
  refuseUnsafe(options);
  const { credential } = options;
  const deadline = new Deadline(options.timeouts.connectMs);
  const logInWith = (secret: string) => open(options, distrusts, deadline, secret);
  if (credential.kind === 'password') return await logInWith(credential.password);
  const getToken = async (fresh: boolean): Promise<string> => {
    const startedAt = performance.now();
    return await credential.getToken(fresh).finally(() => deadline.spend(performance.now() - startedAt));
  };
  // Each time on a new connection: many servers close the one on which a login was refused.
  return await logInWithFreshToken('POP3', options, getToken, () => deadline.waitMs, logInWith);
}

/** Opens POP3 sessions that learn from each other what servers don't bear. */
export function createPop3Opener(): OpenMailbox {
  const distrusts = new Pop3Distrusts();
  return (options) => openPop3Mailbox(options, distrusts);
}

async function open(
  options: MailboxOptions,
  distrusts: Pop3Distrusts,
  deadline: Deadline,
  secret: string,
  assumed?: Pop3Capabilities,
): Promise<MailboxSession> {
  const { username, credential } = options;
  const logIn = credential.kind === 'password' ? logInWithPassword : logInWithToken;
  // Made before any connect: a broken PEM must not look like a network failure.
  const trust = tlsOptions(options.host, options.caCertificate);
  const wire = await reach(options, options.addresses ?? [options.host], deadline);
  wire.secrets = [secret];
  let capabilities = assumed;
  try {
    if (options.security === 'tls') await wire.secure(trust, deadline);
    wire.contact.phase = 'greeting';
    const greeting = await readReply(wire, deadline);
    if (!greeting.ok) throw describeGreetingRefusal(wire, greeting);
    wire.contact.phase = 'login';
    if (options.security === 'starttls') await startTls(wire, trust, deadline);
    capabilities ??= await readCapabilities(wire, deadline.step(options.timeouts.connectMs / 3));
    // WildDuck writes the mails of RETRs that come together into each other, up to January 2026.
    const isMixing = capabilities.get('IMPLEMENTATION')?.[0]?.startsWith('WILDDUCK') === true;
    const canPipeline = capabilities.has('PIPELINING') && !isMixing;
    wire.pipelining = canPipeline && distrusts.sendingAhead.mayTry(wire.server);
    if (canPipeline)
      void wire.over.then(() => options.signal?.aborted || noteEnd(wire, distrusts.sendingAhead));
    // RFC 6856: without it some servers hand out a stand-in for a mail whose header has 8-bit text. Refused or not.
    if (capabilities.has('UTF8')) await ask(wire, 'UTF8', deadline);
    await logIn(wire, capabilities, username, secret, deadline);
    wire.contact.phase = 'session';
    return new Pop3Session(wire, options, capabilities, distrusts);
  } catch (error) {
    const failure = toFailure(error, 'opening a POP3 session');
    wire.fail(failure);
    // Some servers hang up on what they don't know, or fall silent.
    const isAsking = capabilities === undefined && wire.contact.phase === 'login' && deadline.waitMs > 0;
    if (!isAsking || !/^(connection-lost|timeout)$/.test(failure.reason)) throw failure;
    return await open(options, distrusts, deadline, secret, new Map([['EXPIRE', ['0']]]));
  }
}

/**
 * An answer out of step says at once that commands must not be sent ahead; a connection that is lost says so only where
 * one more is lost, and none without it: a network that loses them all is no fault of the server.
 */
function noteEnd({ server, failure, pipelining }: Pop3Wire, sendingAhead: Distrust): void {
  const isLost = failure?.reason === 'timeout' || failure?.reason === 'connection-lost';
  if (!pipelining && isLost) sendingAhead.noteWrongWithout(server);
  else if (pipelining && isLost) sendingAhead.noteWrong(server);
  else if (pipelining && failure?.reason === 'internal') sendingAhead.forget(server);
  else if (pipelining && failure?.reason === 'protocol') sendingAhead.noteWrong(server, Infinity);
}

/** Connects to the first of these that answers, as Node does with the addresses of a name that it looks up. */
async function reach(
  options: MailboxOptions,
  [address = options.host, ...others]: readonly string[],
  deadline: Deadline,
): Promise<Pop3Wire> {
  const { host, port, security, timeouts, signal } = options;
  const contact = { protocol: 'POP3', host, port, security } as const;
  const wire = new Pop3Wire(openSocket(address, port), contact, timeouts);
  wire.endWith(signal);
  const isLast = others.length === 0;
  try {
    await wire.connected(isLast ? deadline : deadline.step(addressMs));
    return wire;
  } catch (error) {
    if (isLast || signal?.aborted) throw error;
  }
  return await reach(options, others, deadline);
}
