import type { ConnectionOptions } from 'node:tls';
import { Failure } from '../../failure/failure.ts';
import { encryptAdvice } from '../networkFailure.ts';
import { readLines } from './multiLine.ts';
import { ask, describeLoginRefusal, notPop3, type Pop3Reply, parseReply, readReply } from './reply.ts';
import type { Deadline, Pop3Wire } from './wire.ts';

/** What a server says it can (RFC 2449), and with which arguments, all in capitals. One without CAPA gives none. */
export type Pop3Capabilities = ReadonlyMap<string, readonly string[]>;

const maxCapabilityLines = 1_000;

/** Asks for the capabilities. They count for this state of the connection only: ask again after STLS. */
export async function readCapabilities(wire: Pop3Wire, deadline: Deadline): Promise<Pop3Capabilities> {
  const found = new Map<string, string[]>();
  const reply = await ask(wire, 'CAPA', deadline);
  if (!reply.ok) return found;
  await readLines(wire, deadline, { maxLines: maxCapabilityLines, command: 'CAPA' }, (line) => {
    const [name = '', ...values] = line.toUpperCase().split(/[ \t]+/);
    if (!found.has(name)) found.set(name, values);
  });
  return found;
}

/** Logs in with USER and PASS, or AUTH PLAIN where the server has no USER. Rejects with a `Failure`. */
export async function logInWithPassword(
  wire: Pop3Wire,
  capabilities: Pop3Capabilities,
  username: string,
  password: string,
  deadline: Deadline,
): Promise<void> {
  const hasUser = capabilities.has('USER');
  const wantsTls = !hasUser && capabilities.has('STLS') && wire.contact.security === 'plain';
  const advice = wantsTls ? encryptAdvice.trim() : 'Check username and password.';
  const requireOk = (reply: Pop3Reply): void => {
    if (!reply.ok) throw describeLoginRefusal(wire, reply, username, advice);
  };
  if (!hasUser && capabilities.get('SASL')?.includes('PLAIN')) {
    requireOk(await authenticate(wire, 'PLAIN', `\0${username}\0${password}`, '*', deadline));
    return;
  }
  const [user, pass] = [`USER ${username}\r\n`, `PASS ${password}\r\n`];
  // A server without USER refuses it, maybe since TLS is missing: the password must not be on its way by then.
  const isAhead = wire.pipelining && hasUser;
  wire.expectSilence();
  wire.write(isAhead ? user + pass : user);
  requireOk(await readReply(wire, deadline));
  if (!isAhead) wire.write(pass);
  requireOk(await readReply(wire, deadline));
}

/** Logs in with an OAuth2 token by XOAUTH2, or by OAUTHBEARER (RFC 7628) where only that is offered. */
export async function logInWithToken(
  wire: Pop3Wire,
  capabilities: Pop3Capabilities,
  username: string,
  token: string,
  deadline: Deadline,
): Promise<void> {
  const { host, port } = wire.contact;
  const bearer = `n,a=${saslName(username)},\x01host=${host}\x01port=${port}\x01auth=Bearer ${token}\x01\x01`;
  const mechanisms = capabilities.get('SASL') ?? [];
  const reply =
    mechanisms.includes('OAUTHBEARER') && !mechanisms.includes('XOAUTH2')
      ? await authenticate(wire, 'OAUTHBEARER', bearer, base64('\x01'), deadline)
      : await authenticate(wire, 'XOAUTH2', `user=${username}\x01auth=Bearer ${token}\x01\x01`, '', deadline);
  if (reply.ok) return;
  const advice = 'Check the OAuth2 client, its permissions and the username.';
  throw describeLoginRefusal(wire, reply, username, advice);
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
  wire.write(`${base64(response)}\r\n`);
  const answer = await wire.line(deadline);
  if (isChallenge(answer)) {
    wire.write(`${acknowledgement}\r\n`);
    return await readReply(wire, deadline).catch(closedForRefusal);
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

function base64(text: string): string {
  return Buffer.from(text, 'utf8').toString('base64');
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
  wire.contact.phase = 'login';
}
