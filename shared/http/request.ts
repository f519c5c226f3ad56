import { isUtf8 } from 'node:buffer';
import type { HttpRequest } from '@azure/functions';
import { type JsonObject, parseObject } from '../json/json.ts';
import { refuse } from './answer.ts';

/** What is read of a request. */
export type ApiRequest = Pick<HttpRequest, 'method' | 'url' | 'params' | 'query' | 'headers' | 'body'>;

const maxBodyBytes = 65_536;

/**
 * The body as a JSON object; undefined where there is none, or an empty one. Refuses one that the host did not hand over (411), more than 64 KiB (413), another
 * content type or none (415), and what is not a JSON object (400); nothing of the body is quoted, since it may hold a secret.
 */
export async function readJsonObject(request: ApiRequest): Promise<JsonObject | undefined> {
  const bytes = await readBytes(request);
  if (bytes.length === 0) {
    // The Functions host hands over no body that comes in chunks, as if there had been none.
    if (!request.headers.has('transfer-encoding')) return undefined;
    refuse(411, 'The body did not arrive: send it with the header Content-Length, not in chunks.');
  }
  const type = (request.headers.get('content-type') ?? '').split(';', 1)[0] ?? '';
  if (type.trim().toLowerCase() !== 'application/json') {
    refuse(415, 'The body must be JSON: send it with the header Content-Type: application/json.');
  }
  const value = isUtf8(bytes) ? parseObject(bytes.toString()) : undefined;
  return value ?? refuse(400, 'The body must be a JSON object in UTF-8.');
}

async function readBytes({ headers, body }: ApiRequest): Promise<Buffer> {
  const tooLarge = `The body must have at most ${maxBodyBytes} bytes.`;
  if (Number(headers.get('content-length') ?? 0) > maxBodyBytes) refuse(413, tooLarge);
  if (body === null) return Buffer.alloc(0);
  const pieces: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const piece of body) {
    if (!(piece instanceof Uint8Array)) continue;
    sizeBytes += piece.length;
    if (sizeBytes > maxBodyBytes) refuse(413, tooLarge);
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}
