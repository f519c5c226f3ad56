import http from 'node:http';
import https from 'node:https';
import { setTimeout as wait } from 'node:timers/promises';
import { lookUpAs } from '../mailbox/connecting.ts';
import { codeOf } from '../mailbox/networkFailure.ts';

/** How often and how long a token is asked for. */
export interface RequestLimits {
  readonly tries: number;
  /** From the first byte of a try to the last of its answer. */
  readonly tryTimeoutMs: number;
  readonly retryDelayMs: number;
}

export const defaultLimits: RequestLimits = { tries: 2, tryTimeoutMs: 10_000, retryDelayMs: 300 };

export interface TokenRequest {
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** Connected to in place of what the URL's host resolves to; TLS still verifies the host. */
  readonly addresses?: readonly string[];
}

export interface HttpAnswer {
  readonly kind: 'answer';
  readonly status: number;
  readonly body: Buffer;
}

export type TokenAnswer =
  | HttpAnswer
  | { readonly kind: 'unreachable'; readonly code: string }
  | { readonly kind: 'timeout' }
  | { readonly kind: 'oversized' };

const maxAnswerBytes = 256 * 1024;

/**
 * Posts a form to a token endpoint, once more after a network fault, silence or a 5xx. Follows no redirect,
 * uses no proxy, reads at most 256 KiB. Never rejects.
 */
export async function exchange(request: TokenRequest, limits: RequestLimits): Promise<TokenAnswer> {
  for (let tried = 1; ; tried += 1) {
    const answer = await exchangeOnce(request, limits.tryTimeoutMs);
    const isPassing = answer.kind === 'answer' ? answer.status >= 500 : answer.kind !== 'oversized';
    if (tried >= limits.tries || !isPassing) return answer;
    await wait(limits.retryDelayMs);
  }
}

function exchangeOnce(
  { url, headers, body, addresses }: TokenRequest,
  timeoutMs: number,
): Promise<TokenAnswer> {
  const { promise, resolve } = Promise.withResolvers<TokenAnswer>();
  const options = {
    method: 'POST',
    headers: { ...headers, 'content-length': Buffer.byteLength(body) },
    // A pooled connection could be one to another address.
    agent: false,
    minVersion: 'TLSv1.2',
    ...(addresses === undefined ? {} : { lookup: lookUpAs(addresses) }),
  } as const;
  const outgoing = url.protocol === 'https:' ? https.request(url, options) : http.request(url, options);
  const end = (answer: TokenAnswer): void => {
    clearTimeout(timer);
    resolve(answer);
    outgoing.destroy();
  };
  const timer = setTimeout(() => end({ kind: 'timeout' }), timeoutMs);
  const onError = (error: unknown): void =>
    end({ kind: 'unreachable', code: codeOf(error) || 'no connection' });
  outgoing.on('error', onError);
  outgoing.on('response', (incoming) => {
    const pieces: Buffer[] = [];
    let sizeBytes = 0;
    incoming.on('error', onError);
    incoming.on('data', (piece: Buffer) => {
      sizeBytes += piece.length;
      if (sizeBytes > maxAnswerBytes) end({ kind: 'oversized' });
      else pieces.push(piece);
    });
    incoming.on('end', () => {
      const status = incoming.statusCode ?? 0;
      end({ kind: 'answer', status, body: Buffer.concat(pieces) });
    });
  });
  outgoing.end(body);
  return promise;
}
