import type { OAuth2Grant } from '../connection/config.ts';
import { Failure } from '../failure/failure.ts';
import { quoteServerText } from '../mailbox/serverText.ts';
import type { GetCredential } from '../storage/access.ts';
import { IdentityFailure } from '../storage/storageFailure.ts';
import { unlessAborted } from '../wait/deadline.ts';
import { defaultLimits, type RequestLimits } from './exchange.ts';
import { checkAccessToken, type IssuedToken } from './tokenCache.ts';

/**
 * The app's identity also opens storage, queues and vaults, and a token goes to whatever host the config
 * names: only tokens that are good for mail alone may be asked for.
 */
const mailScope =
  /^(https:\/\/(outlook\.office365\.com|outlook\.office\.com|outlook(-dod)?\.office365\.us|partner\.outlook\.cn)\/{1,2}|00000002-0000-0ff1-ce00-000000000000\/)\.default$/i;

/**
 * Asks for a token of the function app's managed identity, within the time of all tries. The platform caches
 * it and gives the same one until shortly before its end. Rejects with a `Failure`.
 */
export async function requestIdentityToken(
  { clientId, scope }: Extract<OAuth2Grant, { kind: 'managedIdentity' }>,
  getCredential: GetCredential,
  limits: RequestLimits = defaultLimits,
): Promise<IssuedToken> {
  const quotedScope = quoteServerText(scope);
  const fail = (sentence: string, cause?: Error) => new Failure('token', sentence, cause);
  if (!mailScope.test(scope)) {
    throw new Failure(
      'config',
      `oauth2Scope ${quotedScope} is not for mail; with a managed identity it must be Exchange Online's, such as https://outlook.office365.com/.default.`,
    );
  }
  const identity =
    clientId === undefined ? "the app's managed identity" : `managed identity ${quoteServerText(clientId)}`;
  const timeout = AbortSignal.timeout(limits.tries * limits.tryTimeoutMs);
  const ask = async () => {
    const named = clientId === undefined ? {} : { clientId };
    const credential = await getCredential({ kind: 'managedIdentity', ...named });
    const asked = credential.getToken(scope, { abortSignal: timeout });
    return await unlessAborted(asked, timeout, () => timeout.reason);
  };
  const token = await ask().catch((error: unknown) => {
    if (error instanceof IdentityFailure) {
      throw fail(`No mail can be read by ${identity}. ${error.message}`, error);
    }
    const why = timeout.aborted ? 'timeout' : error instanceof Error ? quoteServerText(error.name) : 'error';
    throw fail(
      `No token for ${quotedScope} from ${identity} (${why}). Check that the function app has this identity and oauth2ClientId.`,
    );
  });
  if (token !== null && checkAccessToken(token.token)) {
    return { accessToken: token.token, expiresAt: token.expiresOnTimestamp };
  }
  throw fail(`The token for ${quotedScope} from ${identity} is malformed. Check oauth2ClientId.`);
}
