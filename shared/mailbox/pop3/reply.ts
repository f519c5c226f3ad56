import { Failure } from '../../failure/failure.ts';
import { adviceInWords, busyWords, describeOtherProtocol, hostAndPort } from '../networkFailure.ts';
import { Deadline, type Pop3Wire } from './wire.ts';

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

/**
 * Reads a status line. Rejects with a `Failure` (protocol) when something else comes, which ends the connection; an
 * empty line may count as a refusal.
 */
export async function readReply(
  wire: Pop3Wire,
  deadline: Deadline = new Deadline(wire.timeouts.commandMs),
  mayBeEmpty = false,
): Promise<Pop3Reply> {
  const line = await wire.line(deadline);
  const reply = parseReply(mayBeEmpty && line === '' ? '-ERR' : line);
  if (reply !== undefined) return reply;
  throw wire.fail(notPop3(wire, line));
}

/** Sends one command and reads its status line. */
export async function ask(wire: Pop3Wire, command: string, deadline?: Deadline): Promise<Pop3Reply> {
  wire.expectSilence();
  wire.write(`${command}\r\n`);
  return readReply(wire, deadline);
}

/** The failure for a line that should have been an answer. */
export function notPop3(wire: Pop3Wire, line: string): Failure {
  return describeOtherProtocol(wire.contact, line, wire.quoteOdd(line));
}

const gone =
  /\b(no such (message|mail|msg)|(message|mail|msg)\b.*\b(not found|not exist|deleted|expunged|removed)|already (deleted|expunged)|(doesn't|does not) exist|(invalid|bad|unknown|non-?existent) (message|msg|mail)|(is|was|been|marked) (deleted|expunged|removed)|no (message|mail) \d+|out of range)/i;

/** Whether a server refuses a mail because it is not there (any more). */
export function isGone({ ok, code, text }: Pop3Reply): boolean {
  return !ok && code === undefined && gone.test(text);
}

const tooManyConnections =
  /\b(too many|maximum|max(imum)? number|limit)\b.*\b(connections?|sessions?|logins|clients)\b|connections? (limit|exceeded)/i;
const tooManyFailures = /\b(failed|failures?|attempts|invalid|incorrect)\b/i;
const lockedMailbox = new RegExp(
  [
    String.raw`\b(mail ?box|mail ?drop|spool|session)\b.*\b(lock(ed)?|busy)\b`,
    String.raw`\block(ed)? (by|the)\b`,
    String.raw`\bin use\b`,
    String.raw`\balready (open|opened|logged|connected|active|locked)\b`,
    String.raw`\banother (session|client|pop3?)\b`,
  ].join('|'),
  'i',
);
const loginDelay = /\b(login.delay|minimum.*(interval|delay)|too (soon|frequent|often))/i;
const loginCodes = new Set(['AUTH', 'IN-USE', 'LOGIN-DELAY', 'SYS/TEMP', 'SYS/PERM']);

/** Why a server refused a login (RFC 2449, RFC 3206); `advice` is for refused credentials. */
export function describeLoginRefusal(
  wire: Pop3Wire,
  reply: Pop3Reply,
  username: string,
  advice: string,
): Failure {
  const { code = '', text } = reply;
  const who = `${hostAndPort(wire.contact)} as ${wire.quote(username)}`;
  const failed = (verb: string) => `POP3 login to ${who} ${verb}: ${answerOf(wire, reply)}`;
  const isAbout = (known: string, words: RegExp) =>
    loginCodes.has(code) ? code === known : words.test(text);
  const busy = (verb: string, hint: string) => new Failure('busy', `${failed(verb)} ${hint}`);
  // Before the codes: Dovecot sends [IN-USE] for this too.
  if (tooManyConnections.test(text) && !tooManyFailures.test(text))
    return busy('met too many connections', 'Close other clients of this mailbox, or poll it less often.');
  if (isAbout('IN-USE', lockedMailbox))
    return busy(
      'found the mailbox in use',
      'Close other POP3 clients of this mailbox; the next run tries again.',
    );
  if (isAbout('LOGIN-DELAY', loginDelay))
    return busy('came too soon', 'The server wants more time between logins: raise pollingIntervalSeconds.');
  if (code === 'SYS/TEMP' || (isAbout('', busyWords) && !tooManyFailures.test(text)))
    return busy('failed for now', 'The server has a passing fault; the next run tries again.');
  if (code === 'SYS/PERM')
    return new Failure('login', `${failed('failed for good')} Ask the server's operator.`);
  return new Failure('login', `${failed('was refused')}${adviceInWords(text, wire.contact) ?? ` ${advice}`}`);
}

/** Why a server refused to serve at all, in its greeting. */
export function describeGreetingRefusal(wire: Pop3Wire, reply: Pop3Reply): Failure {
  const advice = tooManyConnections.test(reply.text)
    ? 'Close other clients of this server, or poll it less often.'
    : "The next run tries again; ask the server's operator if it stays.";
  return new Failure('busy', `${wire.server} refused to serve: ${answerOf(wire, reply)} ${advice}`);
}

/** Why a server refused a command that it must know. */
export function describeRefusal(wire: Pop3Wire, command: string, reply: Pop3Reply): Failure {
  const { code, text } = reply;
  const isPassing = code === undefined ? busyWords.test(text) : /^(SYS\/TEMP|IN-USE|LOGIN-DELAY)$/.test(code);
  const sentence = `${wire.server} refused ${command}: ${answerOf(wire, reply)} The next run tries again; ask the server's operator if it stays.`;
  return new Failure(isPassing ? 'busy' : 'protocol', sentence);
}

/** The server's words as a sentence of their own. */
function answerOf(wire: Pop3Wire, { text }: Pop3Reply): string {
  const answer = wire.quote(text) || 'no reason given';
  return /[.!?…]$/.test(answer) ? answer : `${answer}.`;
}
