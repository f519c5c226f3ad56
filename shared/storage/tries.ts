import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { setTimeout as wait } from 'node:timers/promises';
import type { RequestPolicyFactory, WebResource } from '@azure/storage-blob';
import { inTime, wireMs } from '../wait/deadline.ts';
import { Limit } from '../wait/parallel.ts';
import { codeOf, field, statusOf } from './storageFailure.ts';

/** How often and how long one call of a storage service is tried. */
export interface CallLimits {
  readonly tries: number;
  /** From sending a try's first byte to its answer, beside what the body needs at the slowest uplink. */
  readonly tryMs: number;
  /** All tries and the waits between them, beside what the body needs. */
  readonly callMs: number;
  /** Doubled with each try. */
  readonly firstDelayMs: number;
  /** However long the service asks to wait. */
  readonly maxDelayMs: number;
}

export const storageLimits: CallLimits = {
  tries: 4,
  tryMs: 10_000,
  callMs: 40_000,
  firstDelayMs: 200,
  maxDelayMs: 10_000,
};

/** What both generations of the SDK's requests have, and what is set of it here. */
export interface StorageRequest {
  readonly url: string;
  readonly body?: unknown;
  readonly headers: { get(name: string): string | undefined };
  abortSignal?: Signal | undefined;
  agent?: WebResource['agent'] | undefined;
}

/** Some clients throw an answer that is an error, others give it back. */
interface StorageAnswer {
  readonly status: number;
  readonly headers: StorageRequest['headers'];
}

type Signal = NonNullable<WebResource['abortSignal']>;

/** Neither an answer nor an error came in time. */
class StorageTimedOut extends Error {
  override readonly name = 'StorageTimedOut';
  readonly code = 'ETIMEDOUT';
  /** For the sentence, which names the host alone. */
  readonly request: { readonly url: string };

  constructor(url: string) {
    super('No answer in time.');
    this.request = { url };
  }
}

/** Requests to one service that the process has under way at a time; more of them wait. */
const maxRequests = 64;

const agents = {
  'http:': new HttpAgent({ keepAlive: true }),
  'https:': new HttpsAgent({ keepAlive: true }),
};

/**
 * Makes one call of a storage service: tries it anew after silence, a network fault, a 408, 429 or 5xx, and ends
 * within `callMs`, whatever an answer's `Retry-After` says. In place of the SDKs' own retries, of which those of
 * tables obey `Retry-After` for hours and those of blobs and queues know no deadline. `send` sends the request
 * as it then is. Once its answer has begun, a body that is streamed is the reader's to bound.
 */
export async function sendInTries<Answer extends StorageAnswer>(
  request: StorageRequest,
  send: () => Promise<Answer>,
  limits: CallLimits,
): Promise<Answer> {
  const given = request.abortSignal;
  const uploadMs = wireMs(bodyBytes(request));
  const endMs = performance.now() + limits.callMs + uploadMs;
  const limit = limitOf(request.url);
  // A proxy's agent is there already.
  request.agent ??= request.url.startsWith('https:') ? agents['https:'] : agents['http:'];
  for (let tried = 1; ; tried += 1) {
    // Waiting for others is no silence of the service, and costs no try.
    const leave = await limit.enter(endMs - performance.now());
    if (!leave) throw new StorageTimedOut(request.url);
    const tryMs = Math.min(limits.tryMs + uploadMs, endMs - performance.now());
    const sending = inTime(
      tryMs,
      (late) => {
        request.abortSignal = given instanceof AbortSignal ? AbortSignal.any([given, late]) : (given ?? late);
        return send();
      },
      () => new StorageTimedOut(request.url),
    );
    const [sent] = await Promise.allSettled([sending]);
    leave();
    request.abortSignal = given;
    const waitMs = waitBefore(sent, tried, limits);
    const isLast = waitMs === undefined || tried >= limits.tries || performance.now() + waitMs >= endMs;
    if (given?.aborted === true || isLast) {
      if (sent.status === 'fulfilled') return sent.value;
      throw sent.reason;
    }
    await wait(waitMs, undefined, given instanceof AbortSignal ? { signal: given } : {});
  }
}

/** By host and port; an app knows a handful. */
const limitByHost = new Map<string, Limit>();

function limitOf(url: string): Limit {
  // Of http://host:port/path; cheaper than to take the whole address apart, for every call.
  const host = url.slice(0, url.indexOf('/', 'https://'.length));
  const limit = limitByHost.get(host) ?? new Limit(maxRequests);
  limitByHost.set(host, limit);
  return limit;
}

/** The same, as the clients of blobs and queues take it. */
export function policyOfTries(limits: CallLimits): RequestPolicyFactory {
  return {
    create: (next) => ({
      sendRequest: (request) => sendInTries(request, () => next.sendRequest(request), limits),
    }),
  };
}

const passingCodes = new Set([
  ...['ETIMEDOUT', 'ESOCKETTIMEDOUT', 'ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'EHOSTUNREACH', 'ENETUNREACH'],
  ...['ENOTFOUND', 'EAI_AGAIN', 'REQUEST_SEND_ERROR', 'PARSE_ERROR'],
]);

/** How long to wait before the next try; undefined when this one is good, or bad for good. */
function waitBefore(
  sent: PromiseSettledResult<StorageAnswer>,
  tried: number,
  limits: CallLimits,
): number | undefined {
  const [status, headers] =
    sent.status === 'fulfilled'
      ? [sent.value.status, sent.value.headers]
      : [statusOf(sent.reason), headersOf(sent.reason)];
  const isPassing =
    status === undefined
      ? sent.status === 'rejected' && passingCodes.has(codeOf(sent.reason) ?? '')
      : status === 408 || status === 429 || (status >= 500 && status !== 501 && status !== 505);
  if (!isPassing) return undefined;
  const asked = askedDelay(headers);
  const delayMs = asked ?? limits.firstDelayMs * 2 ** (tried - 1) * (0.8 + 0.4 * Math.random());
  return Math.min(delayMs, limits.maxDelayMs);
}

/** What the answer asks for, in seconds (RFC 9110, 10.2.3) or in the services' own milliseconds. */
function askedDelay(headers: StorageRequest['headers'] | undefined): number | undefined {
  const ms = headers?.get('retry-after-ms') ?? headers?.get('x-ms-retry-after-ms');
  return numberOf(ms) ?? numberOf(headers?.get('retry-after'), 1_000);
}

function headersOf(error: unknown): StorageRequest['headers'] | undefined {
  const headers = field(field(error, 'response'), 'headers');
  return typeof field(headers, 'get') === 'function' ? (headers as StorageRequest['headers']) : undefined;
}

function numberOf(text: string | undefined, factor = 1): number | undefined {
  return text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) * factor : undefined;
}

function bodyBytes({ body, headers }: StorageRequest): number {
  if (typeof body === 'string') return Buffer.byteLength(body);
  if (ArrayBuffer.isView(body)) return body.byteLength;
  return Number(headers.get('content-length') ?? 0) || 0;
}
