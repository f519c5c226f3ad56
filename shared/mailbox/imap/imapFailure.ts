import { Failure } from '../../failure/failure.ts';
import {
  adviceInWords,
  busyWords,
  describeNetworkFailure,
  encryptAdvice,
  formatSeconds,
  hostAndPort,
  type MailServerContact,
  serverName,
} from '../networkFailure.ts';
import { quoteServerText } from '../serverText.ts';
import { memberOf, responseCodeOf } from './imapflowInside.ts';

/** What is known about the connection when something on it fails. */
export interface ConnectionState extends MailServerContact {
  readonly username: string;
  readonly authentication: 'password' | 'oauth2';
  /** Struck out of whatever the server said. */
  readonly secrets: readonly string[];
  /** From the `error` event: imapflow's own rejections don't hold the cause. */
  readonly socketError: Error | undefined;
  /** Whether the server announced STARTTLS. */
  readonly startTlsOffered: boolean;
  /** The text of the server's BYE. */
  readonly byeReason: string | undefined;
  /** The last text that the server wants people to see (RFC 3501, 7.1). */
  readonly alert: string | undefined;
}

/** A tagged NO or BAD, or a BYE over it: the server is there, and won't do this. */
export interface Refusal {
  readonly status: 'OK' | 'NO' | 'BAD' | 'BYE';
  /** The response code (RFC 5530), such as `LIMIT`. */
  readonly code?: string;
  readonly text: string;
}

const protocolCodes = new Set([
  ...['LineTooLarge', 'LiteralTooLarge', 'ResponseTooLarge', 'TooManyTokens', 'TooManyResponses'],
  ...['UnexpectedTag', 'MissingTag', 'InvalidResponse', 'ResponseProcessingFailed'],
]);
/** Response codes of a server that would take the same command at another time. */
const busyCodes = new Set(['LIMIT', 'UNAVAILABLE', 'INUSE', 'OVERQUOTA', 'THROTTLED']);

/** Reads a tagged NO or BAD out of what imapflow threw or logged. */
export function refusalOf(error: unknown): Refusal | undefined {
  const status = field(error, 'responseStatus');
  if (status !== 'NO' && status !== 'BAD') return undefined;
  const code = field(error, 'serverResponseCode') ?? responseCodeOf(error);
  const text = field(error, 'responseText') ?? '';
  return { status, text, ...(code === undefined ? {} : { code: code.toUpperCase() }) };
}

/** Whether the server refused for its own present state and not for the sake of this command. */
export function isBusy({ code, text }: Refusal): boolean {
  return (code !== undefined && busyCodes.has(code)) || busyWords.test(text);
}

/** The server's words for a refusal: `NO [LIMIT] Too many connections`, cleaned and cut, without the full stop. */
export function quoteRefusal(refusal: Refusal, secrets: readonly string[]): string {
  const code = refusal.code === undefined ? '' : `[${refusal.code}]`;
  const words = [refusal.status, code, refusal.text].filter((word) => word !== '').join(' ');
  return endless(quoteServerText(words, secrets));
}

function loginName(state: ConnectionState): string {
  return `IMAP login to ${hostAndPort(state)} as ${quoteServerText(state.username)}`;
}

/** The failure of a login that the server refused. */
export function describeLoginRefusal(refusal: Refusal, state: ConnectionState): Failure {
  const login = loginName(state);
  if (isBusy(refusal)) {
    const words = quoteRefusal(refusal, state.secrets);
    const sentence = `${login} was put off by the server: ${words}. Too many sessions may be open; it is tried again.`;
    return new Failure('busy', sentence);
  }
  const code = refusal.code === undefined ? '' : ` (${refusal.code})`;
  const said = quoteServerText(endless(refusal.text) + code, state.secrets) || refusal.status;
  return new Failure('login', `${login} was refused: ${said.trim()}.${adviceFor(refusal, state)}`);
}

/** What to do about a login that was refused with this response code (RFC 5530). */
const adviceByCode: Readonly<Record<string, string>> = {
  PRIVACYREQUIRED: encryptAdvice,
  CONTACTADMIN: " Ask the server's administrator.",
  EXPIRED: ' Set a new password.',
  ALERT: '',
  WEBALERT: '',
};

function adviceFor({ code = '', text }: Refusal, state: ConnectionState): string {
  const check =
    state.authentication === 'password'
      ? ' Check username and password.'
      : ' Check username, the OAuth2 settings, and that the app may read this mailbox.';
  return adviceByCode[code] ?? adviceInWords(text, state) ?? check;
}

/** The failure of a login that was not tried, since the server takes none of that kind. */
export function describeNoMechanism(state: ConnectionState): Failure {
  const advice =
    state.security === 'plain'
      ? 'Set useSsl or startTls to true, since many servers take a password only then.'
      : 'Check whether the server demands OAuth2 (authType).';
  const sentence = `${loginName(state)} was not tried: the server takes no login by password here. ${advice}`;
  return new Failure('login', sentence);
}

/** The failure of a folder that could not be selected. */
export function describeFolderRefusal(refusal: Refusal, folder: string, state: ConnectionState): Failure {
  const words = quoteRefusal(refusal, state.secrets);
  if (/authenticated but not connected/i.test(refusal.text)) {
    const sentence = `${loginName(state)} gave no mailbox: ${words}. Check username, and that the login may open this mailbox.`;
    return new Failure('login', sentence);
  }
  if (isBusy(refusal)) return describeRefusal(refusal, 'opening the folder', state);
  const sentence = `Folder "${quoteServerText(folder)}" on ${serverName(state)} can't be opened for ${quoteServerText(state.username)}: ${words}. Check folder.`;
  return new Failure('folder', sentence);
}

/** The failure of a folder that took the server too long to open. */
export function describeSlowOpen(folder: string, state: ConnectionState, waitedMs: number): Failure {
  const why =
    state.alert === undefined
      ? 'The server may be overloaded, or the folder very large: move old mails elsewhere.'
      : `It says: ${endless(quoteServerText(state.alert, state.secrets))}.`;
  const sentence = `${serverName(state)} did not open folder "${quoteServerText(folder)}" within ${formatSeconds(waitedMs)}. ${why}`;
  return new Failure('timeout', sentence);
}

/** The failure of any other command that the server refused; `doing` as in "listing the mails". */
export function describeRefusal(refusal: Refusal, doing: string, state: ConnectionState): Failure {
  const server = serverName(state);
  const words = quoteRefusal(refusal, state.secrets);
  return isBusy(refusal)
    ? new Failure('busy', `${server} refused ${doing} for now: ${words}. It is tried again.`)
    : new Failure('protocol', `${server} refused ${doing}: ${words}. Check the mailbox on the server.`);
}

/** Turns whatever imapflow threw, other than a refusal, into a `Failure`. */
export function describeImapError(error: unknown, doing: string, state: ConnectionState): Failure {
  if (error instanceof Failure) return error;
  const refusal = refusalOf(error);
  if (refusal !== undefined) return describeRefusal(refusal, doing, state);
  const server = serverName(state);
  const tlsFailure = describeStartTlsError(error, server, state);
  if (tlsFailure !== undefined) return tlsFailure;
  for (const known of [state.socketError, error]) {
    const code = field(known, 'code') ?? '';
    if (protocolCodes.has(code) || code.startsWith('ParserError')) {
      return new Failure('protocol', `${server} gave an answer outside the IMAP protocol (${code}).`, known);
    }
  }
  if (state.byeReason !== undefined) return describeBye(state.byeReason, server, state, error);
  return describeNetworkFailure(state.socketError ?? error, state);
}

function describeStartTlsError(error: unknown, server: string, state: ConnectionState): Failure | undefined {
  if (field(error, 'code') === 'STARTTLS_INJECTION') {
    const sentence = `${server} sent data between STARTTLS and TLS, as an attacker on the way would. Nothing was sent to it.`;
    return new Failure('tls', sentence, error);
  }
  if (memberOf(error, 'tlsFailed') !== true || field(error, 'code') !== undefined) return undefined;
  if (state.startTlsOffered) {
    if (state.socketError !== undefined || state.byeReason !== undefined) return undefined;
    const sentence = `${server} offers STARTTLS and did not start TLS when asked, so no login was tried. Check the server.`;
    return new Failure('tls', sentence, error);
  }
  const sentence = `${server} offers no STARTTLS, so no login was tried. Set useSsl to true with its SSL port, or startTls to false for a plain connection.`;
  return new Failure('tls', sentence, error);
}

function describeBye(reason: string, server: string, state: ConnectionState, cause: unknown): Failure {
  const words = endless(quoteServerText(reason, state.secrets));
  const early = `${server} ended the connection at its start: ${words}. It is tried again.`;
  if (state.phase !== 'session') return new Failure('busy', early, cause);
  return new Failure('connection-lost', `${server} ended the session: ${words}. It is tried again.`, cause);
}

function field(error: unknown, name: string): string | undefined {
  const value = memberOf(error, name);
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/** Without the full stop, since a sentence goes on or ends after it. */
function endless(text: string): string {
  return text.replace(/(?<!\.)\.+$/, '');
}
