import { Failure } from '../../failure/failure.ts';
import { quoteServerText } from '../serverText.ts';
import type { Pop3Reply } from './reply.ts';
import type { Pop3Wire } from './wire.ts';

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

/** Who tried to log in. */
export interface LoginAttempt {
  readonly username: string;
  /** What the user should look at when the credentials are refused. */
  readonly advice: string;
}

/** Why a server refused a login: the credentials, a mailbox in use, or a state that passes (RFC 2449, RFC 3206). */
export function describeLoginRefusal(wire: Pop3Wire, reply: Pop3Reply, attempt: LoginAttempt): Failure {
  const { host, port } = wire.contact;
  const who = `${quoteServerText(host)}:${port} as ${wire.quote(attempt.username)}`;
  const answer = endSentence(wire.quote(reply.text) || 'no reason given');
  const failed = (verb: string) => `POP3 login to ${who} ${verb}: ${answer}`;
  const advice = adviceFor(wire, reply, attempt);
  const codes: Record<string, Failure> = {
    AUTH: new Failure('login', `${failed('was refused')}${advice}`),
    'IN-USE': lockedFailure(failed('found the mailbox in use')),
    'LOGIN-DELAY': loginDelayFailure(failed('came too soon')),
    'SYS/TEMP': new Failure(
      'busy',
      `${failed('failed for now')} The server has a passing fault; the next run tries again.`,
    ),
    'SYS/PERM': new Failure('login', `${failed('failed for good')} Ask the server's operator.`),
  };
  // Dovecot sends [IN-USE] for this too.
  if (tooManyConnections.test(reply.text) && !tooManyFailures.test(reply.text)) {
    return new Failure(
      'busy',
      `${failed('met too many connections')} Close other clients of this mailbox, or poll it less often.`,
    );
  }
  const byCode = reply.code === undefined ? undefined : codes[reply.code];
  if (byCode !== undefined) return byCode;
  if (lockedMailbox.test(reply.text)) return lockedFailure(failed('found the mailbox in use'));
  if (/\b(login.delay|minimum.*(interval|delay)|too (soon|frequent|often))/i.test(reply.text)) {
    return loginDelayFailure(failed('came too soon'));
  }
  return new Failure('login', `${failed('was refused')}${advice}`);
}

/** What to do about a refused login; nothing where the server's words say it. */
function adviceFor(wire: Pop3Wire, { text }: Pop3Reply, { advice }: LoginAttempt): string {
  if (wire.contact.security === 'plain' && /\b(stls|starttls|tls|ssl|encrypt\w*|secure)\b/i.test(text)) {
    return ' Set useSsl or startTls to true: the server takes a login only when it is encrypted.';
  }
  if (/https?:\/\/|app(lication)?[- ]specific|app password/i.test(text)) return '';
  return ` ${advice}`;
}

/** Why a server refused to serve at all, in its greeting. */
export function describeGreetingRefusal(wire: Pop3Wire, reply: Pop3Reply): Failure {
  const answer = endSentence(wire.quote(reply.text) || 'no reason given');
  const advice = tooManyConnections.test(reply.text)
    ? 'Close other clients of this server, or poll it less often.'
    : "The next run tries again; ask the server's operator if it stays.";
  return new Failure('busy', `${wire.server} refused to serve: ${answer} ${advice}`);
}

/** Why a server refused a command that it must know. */
export function describeRefusal(wire: Pop3Wire, command: string, reply: Pop3Reply): Failure {
  const answer = endSentence(wire.quote(reply.text) || 'no reason given');
  const passing = reply.code === 'SYS/TEMP' || reply.code === 'IN-USE' || reply.code === 'LOGIN-DELAY';
  return new Failure(
    passing ? 'busy' : 'protocol',
    `${wire.server} refused ${command}: ${answer} The next run tries again; ask the server's operator if it stays.`,
  );
}

function lockedFailure(beginning: string): Failure {
  return new Failure(
    'busy',
    `${beginning} Close other POP3 clients of this mailbox; the next run tries again.`,
  );
}

function loginDelayFailure(beginning: string): Failure {
  return new Failure(
    'busy',
    `${beginning} The server wants more time between logins: raise pollingIntervalSeconds.`,
  );
}

function endSentence(text: string): string {
  return /[.!?…]$/.test(text) ? text : `${text}.`;
}
