import { Failure } from '../failure/failure.ts';

/** The app's identity got no token. The sentence says why and can stand at the end of another. */
export class IdentityFailure extends Failure {
  constructor(sentence: string, cause?: unknown) {
    super('token', sentence, cause);
  }
}
