import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { listening } from '../listening.ts';
import type { HttpAnswer, HttpRequestOptions } from './http.ts';

export interface HttpServerOptions {
  /** A free one when absent. */
  readonly port?: number;
  /** Demanded of functions that are not anonymous, as `x-functions-key` or `?code=`; when absent none is. */
  readonly functionKey?: string;
}

export interface RunningHttpServer {
  /** `http://127.0.0.1:port`, without a slash at the end. */
  readonly url: string;
  stop(): Promise<void>;
}

export interface HttpCall extends HttpRequestOptions {
  readonly url: URL;
  readonly key: string | undefined;
}

const maxBodyBytes = 100 * 1024 * 1024;

/** Serves the app's HTTP functions over real HTTP, for browsers and curl. */
export async function serveHttp(
  options: HttpServerOptions,
  call: (request: HttpCall) => Promise<HttpAnswer>,
): Promise<RunningHttpServer> {
  const server = createServer((request, response) => {
    handle(request, response, call).catch(() => {
      if (!response.headersSent) response.writeHead(500);
      response.end();
    });
  });
  const { port, stop } = await listening(server, options.port);
  return { url: `http://127.0.0.1:${port}`, stop };
}

async function handle(
  request: IncomingMessage,
  response: ServerResponse,
  call: (request: HttpCall) => Promise<HttpAnswer>,
): Promise<void> {
  const body = await readBody(request);
  const url = new URL(request.url ?? '/', `http://${request.headers.host ?? '127.0.0.1'}`);
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(request.headers)) {
    if (value !== undefined) headers[name] = Array.isArray(value) ? value.join(', ') : value;
  }
  const answer = await call({
    method: request.method ?? 'GET',
    url,
    headers,
    key: headers['x-functions-key'] ?? url.searchParams.get('code') ?? undefined,
    // What comes in chunks the real host reads and does not hand over.
    ...(body.length === 0 || headers['transfer-encoding'] !== undefined ? {} : { body }),
  });
  response.writeHead(answer.status, answer.headers);
  response.end(request.method === 'HEAD' ? undefined : answer.body);
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let sizeBytes = 0;
  for await (const piece of request) {
    if (!Buffer.isBuffer(piece)) continue;
    sizeBytes += piece.length;
    if (sizeBytes > maxBodyBytes) throw new Error('The request body is larger than the host takes.');
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}
