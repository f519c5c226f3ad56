import { Failure } from '../failure/failure.ts';
import type { ConnectionKey, ConnectionStore } from './connectionStore.ts';

/** A row changes a few times in a run; more often than that between a read and a write it does not. */
const maxTries = 5;

/**
 * Writes a refresh token over the one that it has replaced, also where the row's state is written in between. A
 * column that holds anything else by now is the operator's and left alone. Rejects with a `Failure`.
 */
export async function writeRefreshToken(
  connections: Pick<ConnectionStore, 'read' | 'merge'>,
  key: ConnectionKey,
  token: string,
  replaced: string,
): Promise<void> {
  for (let tries = 0; tries < maxTries; tries += 1) {
    const entity = await connections.read(key);
    if (entity?.columns.oauth2RefreshToken !== replaced) return;
    const merged = await connections.merge(key, { oauth2RefreshToken: token }, entity.etag);
    if (merged.kind !== 'changed') return;
  }
  throw new Failure(
    'storage',
    `The row of connection ${key.customer}/${key.connection} was changed by others each time.`,
  );
}
