import type { ConnectionEntity, ConnectionStore } from '../connection/connectionStore.ts';
import { type ConnectionState, writeState } from '../connection/state.ts';
import { Failure } from '../failure/failure.ts';

export type StateChange = Partial<ConnectionState> & { readonly unfetchable?: string };

/**
 * The state columns of one run. A run that has outlived its lease may find that another one has started:
 * the columns are that one's then, and this run leaves them alone.
 */
export class RunState {
  readonly #store: ConnectionStore;
  readonly #entity: ConnectionEntity;
  readonly #runId: string;
  #etag: string;
  #isOurs = true;
  #writing: Promise<unknown> = Promise.resolve();

  constructor(store: ConnectionStore, entity: ConnectionEntity, runId: string) {
    this.#store = store;
    this.#entity = entity;
    this.#runId = runId;
    this.#etag = entity.etag;
  }

  /** Takes the columns over: whatever the last run wrote, this one is the newest. Rejects where storage is away. */
  async begin(change: StateChange): Promise<void> {
    const merged = await this.#store.merge(this.#entity.key, toColumns({ ...change, runId: this.#runId }));
    if (merged.kind !== 'merged') throw this.#removed();
    this.#etag = merged.etag;
  }

  /** Merges a change unless a newer run has taken the columns over, or the connection is gone. */
  write(change: StateChange): Promise<void> {
    const written = this.#writing.then(() => this.#write(change));
    this.#writing = written.catch(() => undefined);
    return written;
  }

  async #write(change: StateChange): Promise<void> {
    if (!this.#isOurs) return;
    const { key } = this.#entity;
    const columns = toColumns(change);
    let merged = await this.#store.merge(key, columns, this.#etag);
    if (merged.kind === 'changed') {
      // The operator has edited the config, or another run has begun.
      const current = await this.#store.read(key);
      this.#isOurs = current?.columns.runId === this.#runId;
      if (!this.#isOurs) return;
      merged = await this.#store.merge(key, columns);
    }
    if (merged.kind === 'merged') this.#etag = merged.etag;
    else this.#isOurs = false;
  }

  #removed(): Failure {
    const { customer, connection } = this.#entity.key;
    return new Failure('config', `Connection ${customer}/${connection} was removed while its run began.`);
  }
}

function toColumns({ unfetchable, ...state }: StateChange): Record<string, string | number> {
  return { ...writeState(state), ...(unfetchable === undefined ? {} : { unfetchable }) };
}
