import { isIPv6 } from 'node:net';
import { Failure, type FailureReason } from '../failure/failure.ts';
import type { MailboxOptions } from './mailbox.ts';
import { quoteServerText } from './serverText.ts';

/** Which mail server was being spoken to, and how far the conversation had come. */
export interface MailServerContact {
  readonly protocol: 'IMAP' | 'POP3';
  readonly host: string;
  readonly port: number;
  readonly security: MailboxOptions['security'];
  /**
   * `connect`: DNS and TCP; `tls`: a handshake, at once or after STARTTLS; `greeting`: the server's first
   * line; `login`: from there to a mailbox that can be used; `session`: everything later.
   */
  readonly phase: 'connect' | 'tls' | 'greeting' | 'login' | 'session';
}

/** What the codes of a socket, of TLS or of DNS stand for: by reason, the sentence that each of these codes gets. */
const describeKnown = (
  server: string,
  code: string,
  names: string,
): readonly (readonly [FailureReason, Readonly<Record<string, string>>])[] => [
  [
    'tls',
    {
      [`DEPTH_ZERO_SELF_SIGNED_CERT SELF_SIGNED_CERT_IN_CHAIN UNABLE_TO_VERIFY_LEAF_SIGNATURE
      UNABLE_TO_GET_ISSUER_CERT UNABLE_TO_GET_ISSUER_CERT_LOCALLY CERT_UNTRUSTED INVALID_CA
      CERT_SIGNATURE_FAILURE CERT_CHAIN_TOO_LONG`]: `The TLS certificate of ${server} is not trusted (${code}). If its CA is private, put the CA's PEM in caCertificate.`,
      CERT_HAS_EXPIRED: `The TLS certificate of ${server} has expired (${code}). The server's operator must renew it.`,
      CERT_NOT_YET_VALID: `The TLS certificate of ${server} is not valid yet (${code}). The server's operator must renew it.`,
      'ERR_TLS_CERT_ALTNAME_INVALID HOSTNAME_MISMATCH': `The TLS certificate of ${server} is for other names${names}. Set host to a name it holds.`,
      'CERT_REVOKED CERT_REJECTED INVALID_PURPOSE PATH_LENGTH_EXCEEDED UNSPECIFIED': `The TLS certificate of ${server} is not acceptable (${code}). Ask the server's operator.`,
      // What OpenSSL says when the first bytes of the answer are no TLS record, such as a plain greeting.
      [`ERR_SSL_WRONG_VERSION_NUMBER ERR_SSL_PACKET_LENGTH_TOO_LONG ERR_SSL_HTTP_REQUEST
      ERR_SSL_RECORD_LAYER_FAILURE ERR_SSL_UNEXPECTED_MESSAGE ERR_SSL_BAD_RECORD_TYPE`]: `${server} does not speak TLS there. Use its SSL port, or set useSsl to false with startTls true, or both false for a plain one.`,
      'ERR_SSL_UNSUPPORTED_PROTOCOL ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION ERR_SSL_VERSION_TOO_LOW': `${server} offers no TLS version from 1.2 on (${code}). The server must be updated.`,
      'ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE ERR_SSL_DH_KEY_TOO_SMALL ERR_SSL_UNSAFE_LEGACY_RENEGOTIATION_DISABLED': `${server} has no safe TLS in common with this app, or wants a certificate of it (${code}). The server must be updated.`,
    },
  ],
  [
    'unknown-host',
    {
      'ENOTFOUND EAI_NODATA EAI_NONAME EAI_FAIL': `${server} is unknown: DNS has no address for it (${code}). Check host.`,
      EAI_AGAIN: `${server} could not be looked up: DNS gave no answer (${code}). Check host and DNS.`,
    },
  ],
  [
    'refused',
    {
      ECONNREFUSED: `${server} refused the connection: nothing listens there (${code}). Check host, port and firewall.`,
      'EHOSTUNREACH ENETUNREACH EHOSTDOWN ENETDOWN EADDRNOTAVAIL EACCES EPERM EINVAL': `${server} is unreachable (${code}). Check host, port and network.`,
    },
  ],
];
const timeoutCodes = /^(ETIMEDOUT|ETIMEOUT|ERR_SOCKET_CONNECTION_TIMEOUT|UPGRADE_TIMEOUT)$/;

/**
 * Why a mail server could not be reached or was lost, from the error of a socket, of TLS or of DNS; one that is not
 * known is a lost connection. A `Failure` is given back as it is.
 */
export function describeNetworkFailure(error: unknown, contact: MailServerContact): Failure {
  if (error instanceof Failure) return error;
  const code = codeOf(error);
  const server = serverName(contact);
  const fail = (reason: FailureReason, sentence: string) => new Failure(reason, sentence, error);
  for (const [reason, sentences] of describeKnown(server, code, certificateNames(error))) {
    const found = Object.entries(sentences).find(([codes]) => codes.split(/\s+/).includes(code));
    if (found !== undefined) return fail(reason, found[1]);
  }
  if (code === 'EPROTO' || code.startsWith('ERR_SSL_') || code.startsWith('ERR_TLS_'))
    return fail('tls', `The TLS handshake with ${server} failed (${code}). Check port, useSsl and startTls.`);
  if (timeoutCodes.test(code)) {
    const phase = code === 'UPGRADE_TIMEOUT' ? 'tls' : contact.phase;
    return fail('timeout', describeTimeout({ ...contact, phase }).message);
  }
  return fail('connection-lost', lostSentence(code, contact));
}

/** The failure of a server that did not answer within `waitedMs`. */
export function describeTimeout(contact: MailServerContact, waitedMs?: number): Failure {
  const server = serverName(contact);
  const within = waitedMs === undefined ? 'in time' : `within ${formatSeconds(waitedMs)}`;
  const sentences: Record<MailServerContact['phase'], string> = {
    connect: `${server} could not be reached ${within}. Check host, port and firewall.`,
    tls: `${server} did not complete the TLS handshake ${within}. Check that this is its port for ${modeOf(contact)}.`,
    greeting:
      contact.security === 'tls'
        ? `${server} sent no greeting ${within}. Check port, and whether the server is overloaded.`
        : `${server} sent no greeting ${within}. If this is its SSL port, set useSsl to true; else check port.`,
    login: `${server} did not finish the login ${within}. The server may be overloaded.`,
    session: `${server} stopped answering: nothing came ${within}. The server may be overloaded.`,
  };
  return new Failure('timeout', sentences[contact.phase]);
}

/** How servers of either protocol say without a code that they would take the same command at another time. */
export const busyWords =
  /too many|maximum number of connections|(connections?|rate|bandwidth) limit|throttl|try again|temporar(y|ily)|serv(er|ices?) unavailable/i;

export const encryptAdvice =
  ' Set useSsl or startTls to true: the server takes a login only when it is encrypted.';

/** What a refused login's text says to do: empty where it says so to people, undefined where it doesn't tell. */
export function adviceInWords(
  text: string,
  { host, security }: Pick<MailServerContact, 'host' | 'security'>,
): string | undefined {
  if (/\.(office365|outlook)\.com$/i.test(host) && /^log(in|on) fail/i.test(text))
    return ' Exchange Online and Outlook.com take no passwords: set authType to oauth2.';
  if (security === 'plain' && /\b(stls|starttls|tls|ssl|encrypt\w*|secure)\b/i.test(text))
    return encryptAdvice;
  return /https?:\/\/|app(lication)?[- ]specific|app password/i.test(text) ? '' : undefined;
}

/** The failure of what was under way when the run's signal fired. */
export function describeAbort(signal: AbortSignal | undefined, contact: MailServerContact): Failure {
  const reason: unknown = signal?.reason;
  const sentence = `The run had to end, so its session with ${serverName(contact)} was dropped.`;
  return reason instanceof Failure ? reason : new Failure('timeout', sentence);
}

function lostSentence(code: string, contact: MailServerContact): string {
  const server = serverName(contact);
  const how = code === '' ? '' : ` (${code})`;
  const sentences: Record<MailServerContact['phase'], string> = {
    connect: `The connection to ${server} failed${how}. Check host, port and firewall.`,
    tls: `${server} closed the connection during the TLS handshake${how}. Check that this is its port for ${modeOf(contact)}.`,
    greeting: `${server} closed the connection without a greeting${how}. Check port and useSsl; the server may be overloaded.`,
    login: `${server} closed the connection during the login${how}. The server may be overloaded or refuse this client.`,
    session: `The connection to ${server} was lost${how}. If it happens again, check server and network.`,
  };
  return sentences[contact.phase];
}

/** A mail server as it stands in a sentence. */
export function serverName({ protocol, host, port }: Omit<MailServerContact, 'phase'>): string {
  return `${protocol} server ${hostAndPort({ host, port })}`;
}

/** As a URL has them: an IPv6 address in brackets. */
export function hostAndPort({ host, port }: Pick<MailServerContact, 'host' | 'port'>): string {
  return `${isIPv6(host) ? `[${host}]` : quoteServerText(host)}:${port}`;
}

function modeOf({ security }: MailServerContact): string {
  return security === 'starttls' ? 'STARTTLS' : 'SSL';
}

/** The code of an error of a socket, of TLS or of DNS; empty where it has none that is a word. */
export function codeOf(error: unknown): string {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return '';
  const isPlainAnswer = /wrong version number|packet length/i.test(error.message);
  if (error.code === 'EPROTO' && isPlainAnswer) return 'ERR_SSL_WRONG_VERSION_NUMBER';
  // A code is a word in capitals; anything else is text from outside, or imapflow's own for a lost connection.
  return /^[A-Z][A-Z0-9_/]{0,63}$/.test(error.code) ? error.code : '';
}

function certificateNames(error: unknown): string {
  const reason =
    error instanceof Error && 'reason' in error && typeof error.reason === 'string' ? error.reason : '';
  const names = /altnames: (.+)$/.exec(reason)?.[1];
  return names === undefined ? '' : ` (${quoteServerText(names)})`;
}

export function formatSeconds(ms: number): string {
  return ms < 1000 ? `${ms} ms` : `${Math.round(ms / 1000)} s`;
}

/** How a server of each protocol begins what it says. */
const greetings: readonly (readonly [RegExp, string])[] = [
  [/^\* (OK|BYE|PREAUTH)\b/i, 'IMAP'],
  [/^(\+OK|-ERR)\b/i, 'POP3'],
  [/^(220|421|554)[ -]/, 'SMTP'],
  [/^HTTP\//i, 'HTTP'],
  [/^SSH-/, 'SSH'],
];

/** The failure of a server one line of which, quoted so, is not of the protocol that the connection's `hostType` names. */
export function describeOtherProtocol(contact: MailServerContact, line: string, quoted: string): Failure {
  const spoken = greetings.find(([begins]) => begins.test(line))?.[1] ?? contact.protocol;
  const isMail = spoken === 'IMAP' || spoken === 'POP3';
  const what = isMail ? `set hostType to ${spoken}, or port to the right one.` : 'check host and port.';
  const advice = spoken === contact.protocol ? 'Check host and port.' : `That is ${spoken}: ${what}`;
  const sentence = `${serverName(contact)} answered ${quoted}, which is not ${contact.protocol}. ${advice}`;
  return new Failure('protocol', sentence);
}
