import net from 'node:net';
import tls from 'node:tls';
import type { ImapFlowOptions, ImapTransport } from 'imapflow';
import { lookUpAs, tlsOptions } from '../connecting.ts';
import type { MailboxOptions } from '../mailbox.ts';
import type { MailServerContact } from '../networkFailure.ts';

/** What goes to the server: the password, or this attempt's access token. */
export type LoginSecret = { readonly pass: string } | { readonly accessToken: string };

const dayMs = 86_400_000;

/** `onPhase` hears how far the connection has come, `onLogged` what imapflow only logs of errors and oddities. */
export function clientOptions(
  options: MailboxOptions,
  secret: LoginSecret,
  onPhase: (phase: MailServerContact['phase']) => void,
  onLogged: (entry: unknown) => void,
): ImapFlowOptions {
  const { host, port, security, username } = options;
  return {
    host,
    port,
    secure: security === 'tls',
    ...(security === 'tls' ? {} : { doSTARTTLS: security === 'starttls' }),
    auth: { user: username, ...secret },
    transport: createTransport(options, onPhase),
    clientInfo: { name: 'email-inbound-adapter', version: false, vendor: false, 'support-url': false },
    logger: quietLogger(onLogged),
    disableAutoIdle: true,
    disableCompression: true,
    disableAutoEnable: true,
    // The deadlines are ours; imapflow's own would end a session whose mails take long to deliver.
    greetingTimeout: dayMs,
    socketTimeout: dayMs,
    // Bytes are counted by `ResponseBudget`; small tokens take far more memory than they have on the wire.
    maxResponseTokens: 100_000,
  };
}

/** Writes nothing anywhere, and keeps imapflow from making up log lines. */
function quietLogger(onLogged: (entry: unknown) => void) {
  const drop = (): void => {};
  return {
    isLevelEnabled: () => false,
    trace: drop,
    debug: drop,
    info: drop,
    warn: onLogged,
    error: onLogged,
  };
}

function createTransport(
  { host, port, addresses, caCertificate }: MailboxOptions,
  onPhase: (phase: MailServerContact['phase']) => void,
): ImapTransport {
  const target = { host, port, ...(addresses === undefined ? {} : { lookup: lookUpAs(addresses) }) };
  // Made before any connect: a broken PEM must not look like a network failure.
  const security = tlsOptions(host, caCertificate);
  return {
    connect: ({ secure }, onConnect) => {
      const onReady = (): void => {
        onPhase('greeting');
        onConnect();
      };
      if (!secure) return net.connect({ ...target, noDelay: true }, onReady);
      const socket = tls.connect({ ...security, ...target }, onReady);
      socket.setNoDelay(true);
      socket.once('connect', () => onPhase('tls'));
      return socket;
    },
    upgrade: (socket, _options, onSecure) => {
      onPhase('tls');
      return tls.connect({ ...security, socket }, onSecure);
    },
  };
}
