import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';
import type { TestContext } from 'node:test';
import { listening } from '../testbed/listening.ts';

export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly form: URLSearchParams;
}

export type Answer = (response: ServerResponse, request: SeenRequest, number: number) => void;

/**
 * A token endpoint on loopback that ends with the test; `answer` is called with each whole request and its
 * number, from 1.
 */
export async function startEndpoint(context: TestContext, answer: Answer) {
  const requests: SeenRequest[] = [];
  const server = createServer(async (incoming, response) => {
    const { method = '', url: path = '', headers } = incoming;
    const request = { method, path, headers, form: new URLSearchParams(await text(incoming)) };
    requests.push(request);
    answer(response, request, requests.length);
  });
  const { port, stop } = await listening(server);
  context.after(stop);
  return { url: `http://127.0.0.1:${port}/token`, host: `127.0.0.1:${port}`, requests };
}

/** Answers as RFC 6749 says. */
export function sendJson(
  response: ServerResponse,
  status: number,
  body: object,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store', ...headers });
  response.end(JSON.stringify(body));
}

/** Issues `at-1`, `at-2` and so on, with these members besides. */
export function issuing(more: (number: number) => object = () => ({})): Answer {
  return (response, _request, number) =>
    sendJson(response, 200, {
      access_token: `at-${number}`,
      token_type: 'Bearer',
      expires_in: 3600,
      ...more(number),
    });
}
