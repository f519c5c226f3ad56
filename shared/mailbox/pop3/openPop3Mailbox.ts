import { isIPv6 } from 'node:net';
import { Failure, toFailure } from '../../failure/failure.ts';
import { newBuffers } from '../mailBuffers.ts';
import type { MailboxOptions, MailboxSession, OpenMailbox } from '../mailbox.ts';
import { describeTimeout } from '../networkFailure.ts';
import { type Pop3Capabilities, readCapabilities } from './capabilities.ts';
import { Deadline } from './deadline.ts';
import { dial, tlsOptions } from './dial.ts';
import { logInWithPassword, logInWithToken, startTls } from './login.ts';
import { describeGreetingRefusal } from './refusal.ts';
import { readReply } from './reply.ts';
import { Pop3Session } from './session.ts';
import type { Pop3Wire } from './wire.ts';

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
    return open(options, deadline, (wire, capabilities) =>
      logInWithPassword(wire, capabilities, { username, password }, deadline),
    );
  }
  const openWith = (token: string) =>
    open(options, deadline, (wire, capabilities) =>
      logInWithToken(wire, capabilities, { username, token }, deadline),
    );
  const token = await tokenWithin(options, deadline, () => credential.getToken(false));
  try {
    return await openWith(token);
  } catch (error) {
    if (!(error instanceof Failure) || error.reason !== 'login') throw error;
    const fresh = await tokenWithin(options, deadline, () => credential.getToken(true));
    if (fresh === token) throw error;
    // On a new connection: many servers close the one on which a login was refused.
    return await openWith(fresh);
  }
};

async function open(options: MailboxOptions, deadline: Deadline, logIn: LogIn): Promise<MailboxSession> {
  const wire = await dial(options, deadline);
  try {
    const greeting = await readReply(wire, deadline);
    if (!greeting.ok) throw describeGreetingRefusal(wire, greeting);
    wire.phase = 'login';
    if (options.security === 'starttls') await startTls(wire, tlsOptions(options), deadline);
    const capabilities = await readCapabilities(wire, deadline);
    await logIn(wire, capabilities, deadline);
    wire.phase = 'session';
    return new Pop3Session(wire, {
      endpoint: endpointOf(options),
      pipelining: capabilities.pipelining,
      uidlPromised: capabilities.uidl,
      commandMs: options.timeouts.commandMs,
      buffers: options.buffers ?? newBuffers,
    });
  } catch (error) {
    const failure = toFailure(error, 'opening a POP3 session');
    wire.fail(failure);
    throw failure;
  }
}

/** A line break would end the command and begin another one, of the config's choice. */
function refuseLineBreaks({ host, port }: MailboxOptions, column: string, value: string): void {
  if (!/[\r\n\0]/.test(value)) return;
  throw new Failure(
    'config',
    `The ${column} for POP3 server ${host}:${port} holds a line break or a NUL character, which no login can carry. Check ${column}.`,
  );
}

async function tokenWithin(
  options: MailboxOptions,
  deadline: Deadline,
  getToken: () => Promise<string>,
): Promise<string> {
  const { host, port, security, timeouts } = options;
  const startedAt = performance.now();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const { message } = describeTimeout(
        { protocol: 'POP3', host, port, security, phase: 'login' },
        timeouts.connectMs,
      );
      reject(new Failure('timeout', `No OAuth2 token came in time. ${message}`));
    }, deadline.waitMs);
  });
  try {
    const token = await Promise.race([getToken(), late]);
    if (!/^[\x21-\x7e]+$/.test(token)) {
      throw new Failure(
        'token',
        `The OAuth2 token for POP3 server ${host}:${port} is malformed. Check the token endpoint.`,
      );
    }
    return token;
  } catch (error) {
    throw toFailure(error, 'getting an OAuth2 token');
  } finally {
    clearTimeout(timer);
    deadline.spend(performance.now() - startedAt);
  }
}

function endpointOf({ host, port, security }: MailboxOptions): string {
  const scheme = security === 'tls' ? 'pop3s' : 'pop3';
  return `${scheme}://${isIPv6(host) ? `[${host}]` : host}:${port}`;
}
