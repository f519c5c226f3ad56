import { Failure } from '../failure/failure.ts';

/**
 * Logs in with the token at hand, and where that is refused once more with a fresh one; the same token again would be
 * refused again and is not tried. Rejects as `getToken` and `logIn` do.
 */
export async function logInWithFreshToken<T>(
  getToken: (fresh: boolean) => Promise<string>,
  logIn: (token: string) => Promise<T>,
): Promise<T> {
  const token = await getToken(false);
  try {
    return await logIn(token);
  } catch (error) {
    if (!(error instanceof Failure) || error.reason !== 'login') throw error;
    const fresh = await getToken(true);
    if (fresh === token) throw error;
    return await logIn(fresh);
  }
}
