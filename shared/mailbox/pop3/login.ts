import type { ConnectionOptions } from 'node:tls';
import { Failure } from '../../failure/failure.ts';
import type { Pop3Capabilities } from './capabilities.ts';
import type { Deadline } from './deadline.ts';
import { describeLoginRefusal, type LoginAttempt } from './refusal.ts';
import { ask, notPop3, type Pop3Reply, parseReply, readReply } from './reply.ts';
import type { Pop3Wire } from './wire.ts';

/** Logs in with USER and PASS, or AUTH PLAIN where the server has no USER. Rejects with a `Failure`. */
export async function logInWithPassword(
  wire: Pop3Wire,
  capabilities: Pop3Capabilities,
  { username, password }: { readonly username: string; readonly password: string },
  deadline: Deadline,
): Promise<void> {
  const response = Buffer.from(`\0${username}\0${password}`, 'utf8').toString('base64');
  const attempt: LoginAttempt = {
    username,
    advice: 'Check username and password.',
  };
  if (capabilities.known && !capabilities.user && capabilities.sasl.has('PLAIN')) {
    const reply = await authenticate(wire, 'PLAIN', response, '*', deadline);
    if (!reply.ok) throw describeLoginRefusal(wire, reply, attempt);
    return;
  }
  wire.expectSilence();
  wire.write(capabilities.pipelining ? `USER ${username}\r\nPASS ${password}\r\n` : `USER ${username}\r\n`);
  const userReply = await readReply(wire, deadline);
  if (!userReply.ok) throw describeLoginRefusal(wire, userReply, attempt);
  if (!capabilities.pipelining) wire.write(`PASS ${password}\r\n`);
  const passReply = await readReply(wire, deadline);
  if (!passReply.ok) throw describeLoginRefusal(wire, passReply, attempt);
}

/**
 * Logs in with an OAuth2 token: XOAUTH2, or OAUTHBEARER (RFC 7628) where the server offers that and not the
 * other. Rejects with a `Failure`; its reason is `login` when the token was refused.
 */
export async function logInWithToken(
  wire: Pop3Wire,
  capabilities: Pop3Capabilities,
  { username, token }: { readonly username: string; readonly token: string },
  deadline: Deadline,
): Promise<void> {
  const bearer = capabilities.sasl.has('OAUTHBEARER') && !capabilities.sasl.has('XOAUTH2');
  const { host, port } = wire.contact;
  const plain = bearer
    ? `n,a=${saslName(username)},\x01host=${host}\x01port=${port}\x01auth=Bearer ${token}\x01\x01`
    : `user=${username}\x01auth=Bearer ${token}\x01\x01`;
  const response = Buffer.from(plain, 'utf8').toString('base64');
  const attempt: LoginAttempt = {
    username,
    advice: 'Check the OAuth2 client, its permissions and the username.',
  };
  const reply = bearer
    ? await authenticate(wire, 'OAUTHBEARER', response, Buffer.from('\x01').toString('base64'), deadline)
    : await authenticate(wire, 'XOAUTH2', response, '', deadline);
  if (!reply.ok) throw describeLoginRefusal(wire, reply, attempt);
}

/**
 * AUTH (RFC 5034). The response is sent when the server asks for it. A second `+` is a refusal in disguise
 * (its text is an error in base64): `acknowledgement` answers it, and then the server says -ERR.
 */
async function authenticate(
  wire: Pop3Wire,
  mechanism: string,
  response: string,
  acknowledgement: string,
  deadline: Deadline,
): Promise<Pop3Reply> {
  wire.expectSilence();
  wire.write(`AUTH ${mechanism}\r\n`);
  const challenge = await wire.line(deadline);
  if (!isChallenge(challenge)) {
    const refused = parseReply(challenge);
    // Success before any credential was sent is no login.
    if (refused === undefined || refused.ok) throw wire.fail(notPop3(wire, challenge));
    return refused;
  }
  wire.write(`${response}\r\n`);
  const answer = await wire.line(deadline);
  if (isChallenge(answer)) {
    wire.write(`${acknowledgement}\r\n`);
    const refused = await readReply(wire, deadline).catch(closedForRefusal);
    if (refused.ok) throw wire.fail(notPop3(wire, answer));
    return refused;
  }
  const reply = parseReply(answer);
  if (reply === undefined) throw wire.fail(notPop3(wire, answer));
  return reply;
}

/** Some servers hang up where the -ERR should come; the credentials were refused all the same. */
function closedForRefusal(error: unknown): Pop3Reply {
  if (!(error instanceof Failure) || error.reason !== 'connection-lost') throw error;
  return { ok: false, text: 'the token was not accepted', code: undefined };
}

function isChallenge(line: string): boolean {
  return line === '+' || line.startsWith('+ ');
}

/** RFC 5801: comma and equals sign are special in a GS2 header. */
function saslName(name: string): string {
  return name.replaceAll('=', '=3D').replaceAll(',', '=2C');
}

/** Upgrades to TLS (RFC 2595), or fails: there is no way on in the clear. */
export async function startTls(
  wire: Pop3Wire,
  options: ConnectionOptions,
  deadline: Deadline,
): Promise<void> {
  const reply = await ask(wire, 'STLS', deadline);
  if (!reply.ok) {
    const sentence = `${wire.server} refused STARTTLS, so no login was tried. Set startTls to false and useSsl to true for its SSL port.`;
    throw wire.fail(new Failure('tls', sentence));
  }
  await wire.secure(options, deadline);
  wire.phase = 'login';
}
