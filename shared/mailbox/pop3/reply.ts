import { Failure } from '../../failure/failure.ts';
import { adviceForProtocol, protocolOf } from '../otherProtocol.ts';
import type { Deadline } from './deadline.ts';
import type { Pop3Wire } from './wire.ts';

/** The status line of a reply; `code` is its response code (RFC 2449, RFC 3206) in capitals, without brackets. */
export interface Pop3Reply {
  readonly ok: boolean;
  readonly text: string;
  readonly code: string | undefined;
}

/** Takes a status line apart; undefined when it is none. */
export function parseReply(line: string): Pop3Reply | undefined {
  const match = /^(\+OK|-ERR)(?:[ \t]+(.*))?$/is.exec(line);
  if (match === null) return undefined;
  const text = match[2] ?? '';
  const code = /^\[([A-Za-z0-9/_-]{1,40})\]/.exec(text)?.[1]?.toUpperCase();
  return { ok: match[1]?.startsWith('+') === true, text, code };
}

/** Reads a status line. Rejects with a `Failure` (protocol) when something else comes, which ends the connection. */
export async function readReply(wire: Pop3Wire, deadline: Deadline): Promise<Pop3Reply> {
  const line = await wire.line(deadline);
  const reply = parseReply(line);
  if (reply !== undefined) return reply;
  throw wire.fail(notPop3(wire, line));
}

/** Sends one command and reads its status line. */
export async function ask(wire: Pop3Wire, command: string, deadline: Deadline): Promise<Pop3Reply> {
  wire.expectSilence();
  wire.write(`${command}\r\n`);
  return readReply(wire, deadline);
}

/** The failure for a line that should have been an answer. */
export function notPop3(wire: Pop3Wire, line: string): Failure {
  const quoted = wire.quote(line);
  const spoken = protocolOf(line);
  const advice =
    spoken === undefined || spoken === 'POP3' ? 'Check host and port.' : adviceForProtocol(spoken);
  return new Failure('protocol', `${wire.server} answered "${quoted}", which is not POP3. ${advice}`);
}

/** Says whether a server refuses a mail because it is not there (any more). */
export function saysGone(reply: Pop3Reply): boolean {
  return /\b(no such (message|mail|msg)|(message|mail|msg)\b.*\b(not found|not exist|deleted|expunged|removed)|already (deleted|expunged)|(doesn't|does not) exist|(invalid|bad|unknown|non-?existent) (message|msg|mail)|(is|was|been|marked) (deleted|expunged|removed)|no (message|mail) \d+|out of range)/i.test(
    reply.text,
  );
}
