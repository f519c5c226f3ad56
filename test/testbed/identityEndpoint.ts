import { createServer } from 'node:http';
import { listening } from './listening.ts';

export type IdentityAnswer =
  /** Good for an hour. */
  | { readonly kind: 'token'; readonly token: string }
  | { readonly kind: 'refusal'; readonly status: number; readonly retryAfter?: string }
  | { readonly kind: 'silence' };

/** The endpoint on 127.0.0.1 that gives a function app the tokens of its managed identity (api-version 2019-08-01). */
export interface IdentityEndpoint {
  /** What the platform gives the app. */
  readonly env: Readonly<Record<'IDENTITY_ENDPOINT' | 'IDENTITY_HEADER', string>>;
  /** The query of each request, in order. */
  readonly asked: readonly URLSearchParams[];
  readonly openConnections: number;
  answer: () => IdentityAnswer;
  stop(): Promise<void>;
}

export async function startIdentityEndpoint(): Promise<IdentityEndpoint> {
  const asked: URLSearchParams[] = [];
  let open = 0;
  const server = createServer((request, response) => {
    asked.push(new URL(request.url ?? '/', 'http://127.0.0.1').searchParams);
    const isApp = request.headers['x-identity-header'] === endpoint.env.IDENTITY_HEADER;
    const answer: IdentityAnswer = isApp ? endpoint.answer() : { kind: 'refusal', status: 401 };
    if (answer.kind === 'silence') return;
    response.setHeader('content-type', 'application/json');
    if (answer.kind === 'refusal') {
      const headers = answer.retryAfter === undefined ? {} : { 'retry-after': answer.retryAfter };
      response.writeHead(answer.status, headers);
      return void response.end(JSON.stringify({ statusCode: answer.status, message: 'No.' }));
    }
    const expires_on = String(Math.floor(Date.now() / 1_000) + 3_600);
    response.end(
      JSON.stringify({ access_token: answer.token, token_type: 'Bearer', expires_on, resource: 'x' }),
    );
  });
  server.on('connection', (socket) => {
    open += 1;
    socket.on('close', () => {
      open -= 1;
    });
  });
  const { port, stop } = await listening(server);
  const endpoint: IdentityEndpoint = {
    env: { IDENTITY_ENDPOINT: `http://127.0.0.1:${port}/msi/token`, IDENTITY_HEADER: 'header-1' },
    asked,
    get openConnections() {
      return open;
    },
    answer: () => ({ kind: 'token', token: 'identity-token' }),
    stop,
  };
  return endpoint;
}
