import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { DovecotVersion } from '../testbed/dovecotConfig.ts';
import { listening } from '../testbed/listening.ts';

/** A token endpoint and what a mail server asks about tokens (RFC 6749, RFC 7662), on loopback. */
export interface IdentityProvider {
  readonly tokenEndpoint: string;
  /** A mail server appends the token. */
  readonly introspectionUrl: string;
  /** The forms that the token endpoint was sent. */
  readonly requests: readonly URLSearchParams[];
  /** Every access token that was issued. */
  readonly issued: readonly string[];
  /** Issues refresh tokens anew with each answer. */
  rotate: boolean;
  /** What the token endpoint answers instead of a token, as `invalid_client`. */
  refuseWith: string | undefined;
  /** Tokens issued so far are good no more. */
  revokeAll(): void;
  stop(): Promise<void>;
}

export async function startIdentityProvider(username: string): Promise<IdentityProvider> {
  const requests: URLSearchParams[] = [];
  const issued: string[] = [];
  const valid = new Set<string>();
  const server = createServer(async (incoming, response) => {
    const body = await text(incoming);
    const send = (status: number, json: object): void => {
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(JSON.stringify(json));
    };
    const url = new URL(incoming.url ?? '/', 'http://127.0.0.1');
    if (url.pathname === '/introspect') {
      const active = valid.has(url.searchParams.get('token') ?? '');
      send(200, active ? { active: true, username } : { active: false });
      return;
    }
    requests.push(new URLSearchParams(body));
    const { refuseWith, rotate } = provider;
    if (refuseWith !== undefined) {
      // As some do: they repeat what they were sent.
      send(400, { error: refuseWith, error_description: `refused: ${body}` });
      return;
    }
    const accessToken = `access-token-${issued.length + 1}-Zk3v`;
    issued.push(accessToken);
    valid.add(accessToken);
    const refresh = rotate ? { refresh_token: `refresh-token-${issued.length + 1}-Zk3v` } : {};
    send(200, { access_token: accessToken, token_type: 'Bearer', expires_in: 3_600, ...refresh });
  });
  const { port, stop } = await listening(server);
  const provider: IdentityProvider = {
    tokenEndpoint: `http://127.0.0.1:${port}/token`,
    introspectionUrl: `http://127.0.0.1:${port}/introspect?token=`,
    requests,
    issued,
    rotate: false,
    refuseWith: undefined,
    revokeAll: () => valid.clear(),
    stop,
  };
  return provider;
}

/** For dovecot.conf: logins by these mechanisms, with tokens of this provider; `folder` is for a file of it. */
export function oauth2Config(
  folder: string,
  provider: IdentityProvider,
  mechanisms: string,
): (version: DovecotVersion) => string {
  const introspection = `introspection_mode = get
introspection_url = ${provider.introspectionUrl}
force_introspection = yes
username_attribute = username
active_attribute = active
active_value = true
`;
  return (version) => {
    if (version === '2.4') {
      return `auth_mechanisms = ${mechanisms}
oauth2 {
${introspection}}
passdb oauth2 {
  mechanisms_filter = ${mechanisms}
}`;
    }
    const argumentsFile = join(folder, 'oauth2.conf');
    writeFileSync(argumentsFile, introspection);
    return `auth_mechanisms = ${mechanisms}
passdb {
  driver = oauth2
  mechanisms = ${mechanisms}
  args = ${argumentsFile}
}`;
  };
}
