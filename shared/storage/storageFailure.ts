import { Failure } from '../failure/failure.ts';

/** The app's identity got no token. The sentence says why and can stand at the end of another. */
export class IdentityFailure extends Failure {
  constructor(sentence: string, cause?: unknown) {
    super('token', sentence, cause);
  }
}

/** The HTTP status of a storage SDK's error; undefined for anything else. */
export function statusOf(error: unknown): number | undefined {
  const status = field(error, 'statusCode');
  return typeof status === 'number' ? status : undefined;
}

/** The service's own code (`EntityAlreadyExists`, `LeaseAlreadyPresent`), or Node's (`ECONNREFUSED`). */
export function codeOf(error: unknown): string | undefined {
  const code = text(error, 'code');
  // Table errors carry it in the body that the SDK has parsed, save those of a transaction.
  return code || text(field(field(error, 'details'), 'odataError'), 'code') || text(error, 'name');
}

export function field(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;
}

function text(value: unknown, name: string): string | undefined {
  const found = field(value, name);
  return typeof found === 'string' && found !== '' ? found : undefined;
}

export function isMissing(error: unknown): boolean {
  return statusOf(error) === 404;
}

/**
 * Says what storage refused and what to do. `doing` completes "while …"; the host is named, the rest of the
 * request's address is not, since it may hold a signature.
 */
export function storageFailure(error: unknown, doing: string): Failure {
  if (error instanceof Failure && !(error instanceof IdentityFailure)) return error;
  return new Failure('storage', sentenceOf(error, doing), error);
}

function sentenceOf(error: unknown, doing: string): string {
  if (error instanceof IdentityFailure) return `Storage could not be used while ${doing}. ${error.message}`;
  const status = statusOf(error);
  const code = codeOf(error) ?? 'unknown error';
  // What is no code of the service's own tells nothing.
  const answer = code === 'RestError' ? `${status}` : `${status} ${code}`;
  const where = hostOf(error);
  const account = where ? `Storage at ${where}` : 'The storage account';
  if (status === 401 || status === 403) {
    return `${account} refused access (${answer}) while ${doing}. Check AzureWebJobsStorage and the roles of the app's identity.`;
  }
  if (status !== undefined) return `${account} answered ${answer} while ${doing}.`;
  // Whoever aborts a call does so since its time is up.
  if (['ETIMEDOUT', 'AbortError', 'ABORT_ERR'].includes(code)) {
    return `${account} did not answer in time while ${doing}. Check its health and the network; the app tries again by itself.`;
  }
  return `${account} could not be reached (${code}) while ${doing}. Check AzureWebJobsStorage and the network; the app tries again by itself.`;
}

/** For `catch`: rejects with what storage refused. */
export function failing(doing: string): (error: unknown) => never {
  return (error) => {
    throw storageFailure(error, doing);
  };
}

/** The same, save for what is missing, which is undefined. */
export function unlessMissing(doing: string): (error: unknown) => undefined {
  return (error) => (isMissing(error) ? undefined : failing(doing)(error));
}

function hostOf(error: unknown): string | undefined {
  const url = text(field(error, 'request'), 'url');
  return url !== undefined && URL.canParse(url) ? new URL(url).host : undefined;
}
