import type { HttpRequest } from '@azure/functions';
import { type Answer, problem } from './answer.ts';

/** What is read of a request. */
export type ApiRequest = Pick<HttpRequest, 'method' | 'params' | 'query' | 'headers' | 'body'>;

export type JsonObject = Readonly<Record<string, unknown>>;

/** `value` undefined: there is no body, or an empty one. */
export type ReadBody =
  | { readonly ok: true; readonly value: JsonObject | undefined }
  | { readonly ok: false; readonly answer: Answer };

export const maxBodyBytes = 65_536;

/** A route parameter, or a query's; undefined where it is empty. */
export function parameter(request: ApiRequest, name: string): string | undefined {
  return request.params[name] || undefined;
}

/**
 * The body as a JSON object. Refuses one that the host did not hand over (411), more than 64 KiB (413), another
 * content type or none (415), and what is not a JSON object (400); nothing of the body is quoted, since it may hold a secret.
 */
export async function readJsonObject(request: ApiRequest): Promise<ReadBody> {
  const bytes = await readBytes(request);
  if (bytes === undefined) return refuse(413, `The body must have at most ${maxBodyBytes} bytes.`);
  if (bytes.length === 0) {
    // The Functions host hands over no body that comes in chunks, as if there had been none.
    return request.headers.has('transfer-encoding')
      ? refuse(411, 'The body did not arrive: send it with the header Content-Length, not in chunks.')
      : { ok: true, value: undefined };
  }
  const type = (request.headers.get('content-type') ?? '').split(';', 1)[0] ?? '';
  if (type.trim().toLowerCase() !== 'application/json') {
    return refuse(415, 'The body must be JSON: send it with the header Content-Type: application/json.');
  }
  const value = parse(bytes);
  return isObject(value) ? { ok: true, value } : refuse(400, 'The body must be a JSON object in UTF-8.');
}

function refuse(status: number, sentence: string): ReadBody {
  return { ok: false, answer: problem(status, sentence) };
}

/** Undefined for a body that is too large, of which no more than that is held. */
async function readBytes({ headers, body }: ApiRequest): Promise<Buffer | undefined> {
  if (Number(headers.get('content-length') ?? 0) > maxBodyBytes) return undefined;
  if (body === null) return Buffer.alloc(0);
  const pieces: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const piece of body) {
    if (!(piece instanceof Uint8Array)) continue;
    sizeBytes += piece.length;
    if (sizeBytes > maxBodyBytes) return undefined;
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}

function parse(bytes: Buffer): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
