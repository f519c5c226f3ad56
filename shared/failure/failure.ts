/**
 * Why a poll, a delivery or a setting failed, as a closed list: it is a metric dimension and an
 * operator's first filter.
 */
export type FailureReason =
  | 'config'
  | 'setting'
  | 'unknown-host'
  | 'refused'
  | 'timeout'
  | 'tls'
  | 'login'
  | 'busy'
  | 'folder'
  | 'protocol'
  | 'connection-lost'
  | 'host-denied'
  | 'token'
  | 'secret'
  | 'queue'
  | 'delivery'
  | 'storage'
  | 'mail'
  | 'internal';

/**
 * An expected failure. `message` is one sentence for a person: it names the thing that failed and
 * says what to do, and holds no secret and no mail content, so it may go to `lastError` and the log.
 */
export class Failure extends Error {
  override readonly name = 'Failure';
  readonly reason: FailureReason;

  constructor(reason: FailureReason, sentence: string, cause?: unknown) {
    super(sentence, cause === undefined ? undefined : { cause });
    this.reason = reason;
  }
}

/**
 * Turns anything thrown into a `Failure`. What is not one already is a defect or an unforeseen answer:
 * its sentence says where it happened and gives the error's name and code only, since the text of a
 * foreign error may quote a mail or a secret.
 */
export function toFailure(error: unknown, doing: string): Failure {
  if (error instanceof Failure) return error;
  return new Failure('internal', `Unexpected ${describe(error)} while ${doing}.`, error);
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return 'error';
  const code = 'code' in error && typeof error.code === 'string' ? ` (${error.code})` : '';
  return `${error.name}${code}`;
}
