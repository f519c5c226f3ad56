import { createHmac, timingSafeEqual } from 'node:crypto';

/** What a valid token opens. */
export interface Grant {
  /** The path of the queue, topic or subscription, without `$management` and the like; empty for the namespace. */
  readonly entity: string;
  readonly expiresAtMs: number;
}

/**
 * Checks a SharedAccessSignature as Service Bus does: HMAC-SHA256 with the key over the still encoded
 * resource, a newline and the expiry. Answers `undefined` for anything else than a valid, unexpired one.
 */
export function checkToken(token: string, keyName: string, key: string, nowMs: number): Grant | undefined {
  const [scheme, parameters] = token.split(' ', 2);
  if (scheme !== 'SharedAccessSignature' || parameters === undefined) return undefined;
  const fields = new Map<string, string>();
  for (const pair of parameters.split('&')) {
    const equals = pair.indexOf('=');
    fields.set(pair.slice(0, equals), pair.slice(equals + 1));
  }
  const resource = fields.get('sr') ?? '';
  const expiry = fields.get('se') ?? '';
  const signature = Buffer.from(decodeURIComponent(fields.get('sig') ?? ''), 'base64');
  const expected = createHmac('sha256', key).update(`${resource}\n${expiry}`).digest();
  if (decodeURIComponent(fields.get('skn') ?? '') !== keyName) return undefined;
  if (signature.length !== expected.length || !timingSafeEqual(signature, expected)) return undefined;
  const expiresAtMs = Number(expiry) * 1000;
  if (!(expiresAtMs > nowMs)) return undefined;
  return { entity: entityOf(new URL(decodeURIComponent(resource)).pathname), expiresAtMs };
}

/** Whether a token for `granted` opens the entity: the namespace's opens all, a topic's its subscriptions too. */
export function opens(granted: string, entity: string): boolean {
  return granted === '' || granted === entity || entity.startsWith(`${granted}/`);
}

/** The entity that an address or a token's path is about, in lower case as Service Bus compares names. */
export function entityOf(address: string): string {
  return decodeURIComponent(address)
    .replace(/^\/+/, '')
    .replace(/\/\$(management|deadletterqueue)(?=\/|$)/gi, '')
    .replace(/\/+$/, '')
    .toLowerCase();
}
