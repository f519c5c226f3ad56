import dns from 'node:dns';
import { createServer } from 'node:https';
import type { TestContext } from 'node:test';
import { testCertificate } from '../testbed/certificates.ts';
import { listening } from '../testbed/listening.ts';

/** What the vault answers for one secret: its value, or a refusal in the service's own form. */
type VaultAnswer =
  | string
  | { readonly status: number; readonly code: string; readonly innerCode?: string }
  | 'silence';

export const vaultHost = 'mail-secrets.vault.azure.net';

/**
 * Starts a server that speaks the REST of Key Vault's secrets, with the service's own challenge, on this machine. It has
 * a name of the vaults' own domain, since the SDK takes a challenge for no other, which is resolved to loopback in this
 * process.
 */
export async function startLocalVault(context: TestContext) {
  const { caCertificate, certificate, key } = await testCertificate({ names: [vaultHost, '127.0.0.1'] });
  const secrets = new Map<string, VaultAnswer>();
  const vault = {
    ...{ url: '', caCertificate, secrets },
    /** Requests that came without a token. */
    challenges: 0,
    /** The secrets that were asked for with a token. */
    asked: [] as string[],
    /** The tokens that came along. */
    tokens: new Set<string>(),
    /** Drops every connection instead of answering, while true. */
    away: false,
  };
  const server = createServer({ cert: certificate, key }, (request, response) => {
    if (vault.away) {
      request.socket.destroy();
      return;
    }
    const send = (status: number, body: object, headers: Record<string, string> = {}) =>
      response
        .writeHead(status, { 'Content-Type': 'application/json; charset=utf-8', ...headers })
        .end(JSON.stringify(body));
    const token = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1];
    if (token === undefined) {
      vault.challenges += 1;
      const challenge =
        'Bearer authorization="https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555", resource="https://vault.azure.net"';
      const error = { code: 'Unauthorized', message: 'AKV10000: Request is missing a Bearer token.' };
      send(401, { error }, { 'WWW-Authenticate': challenge });
      return;
    }
    vault.tokens.add(token);
    const address = new URL(request.url ?? '/', `https://${vaultHost}`);
    const secret = /^\/secrets\/([^/]+)\/?$/.exec(address.pathname)?.[1] ?? '';
    vault.asked.push(secret);
    const answer = secrets.get(secret) ?? { status: 404, code: 'SecretNotFound' };
    if (answer === 'silence') return;
    if (typeof answer === 'string') {
      send(200, {
        value: answer,
        id: `https://${vaultHost}/secrets/${secret}/0123456789abcdef`,
        attributes: { enabled: true },
      });
      return;
    }
    const inner = answer.innerCode === undefined ? {} : { innererror: { code: answer.innerCode } };
    send(answer.status, { error: { code: answer.code, message: `No: ${answer.code}.`, ...inner } });
  });
  const { port, stop } = await listening(server);
  vault.url = `https://${vaultHost}:${port}`;
  resolveLocally(context);
  context.after(stop);
  return vault;
}

function resolveLocally(context: TestContext): void {
  const { lookup } = dns;
  const own = (host: string, ...rest: readonly unknown[]): void =>
    Reflect.apply(lookup, dns, [host === vaultHost ? '127.0.0.1' : host, ...rest]);
  context.mock.method(dns, 'lookup', own);
}
