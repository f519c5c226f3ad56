const greetings: readonly (readonly [RegExp, string])[] = [
  [/^\* (OK|BYE|PREAUTH)\b/i, 'IMAP'],
  [/^(\+OK|-ERR)\b/i, 'POP3'],
  [/^(220|421|554)[ -]/, 'SMTP'],
  [/^HTTP\//i, 'HTTP'],
  [/^SSH-/, 'SSH'],
];

/** The protocol that a server's first line is of; undefined for one that isn't known. */
export function protocolOf(greeting: string): string | undefined {
  return greetings.find(([begins]) => begins.test(greeting))?.[1];
}

/** What to do when the server that answers speaks another protocol than the connection's `hostType`. */
export function adviceForProtocol(spoken: string): string {
  return spoken === 'IMAP' || spoken === 'POP3'
    ? `That is ${spoken}: set hostType to ${spoken}, or port to the right one.`
    : `That is ${spoken}: check host and port.`;
}
