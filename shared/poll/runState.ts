import timers from 'node:timers/promises';
import type { ConnectionEntity, ConnectionStore } from '../connection/connectionStore.ts';
import { type ConnectionState, writeState } from '../connection/state.ts';
import { Failure } from '../failure/failure.ts';
import type { Lease } from '../lease/lease.ts';
import { leaseLost } from './runLimits.ts';

/** A run that found no mail by then says that it is at work; a shorter one writes once, at its end. */
const quietMs = 3_000;
const heartbeatMs = 20_000;

export interface RunStateOptions {
  readonly store: ConnectionStore;
  /** As it was read when the run started. */
  readonly entity: ConnectionEntity;
  readonly runId: string;
  /** Of the mailbox: whoever holds it is the one who may take the columns over. */
  readonly lease: Pick<Lease, 'isHeld'>;
}

/**
 * The state columns as one run writes them. They are its own while `runId` is: a run that was fenced off may find
 * that another one has begun, and leaves them alone then.
 */
export class RunState {
  readonly #store: ConnectionStore;
  readonly #entity: ConnectionEntity;
  readonly #runId: string;
  readonly #lease: RunStateOptions['lease'];
  #etag: string;
  #hasBegun = false;
  #isAfterAnother = false;
  #writing: Promise<unknown> = Promise.resolve();

  constructor({ store, entity, runId, lease }: RunStateOptions) {
    this.#store = store;
    this.#entity = entity;
    this.#runId = runId;
    this.#lease = lease;
    this.#etag = entity.etag;
  }

  get hasBegun(): boolean {
    return this.#hasBegun;
  }

  /**
   * Whether a run that ended just before this one got the lease has written since the row was read: what the row
   * said of earlier runs is out of date.
   */
  get isAfterAnother(): boolean {
    return this.#isAfterAnother;
  }

  /**
   * Takes the columns over for this run, once. Rejects where storage is away, the connection is gone, or the lease
   * may be another run's by now.
   */
  begin(change: Partial<ConnectionState>): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#hasBegun) return;
      if (!this.#lease.isHeld()) throw leaseLost();
      const { key, columns: before } = this.#entity;
      const columns = writeState({ ...change, runId: this.#runId });
      let merged = await this.#store.merge(key, columns, this.#etag);
      while (merged.kind === 'changed') {
        const now = await this.#store.read(key);
        if (!this.#lease.isHeld()) throw leaseLost();
        const current = now?.columns.runId;
        // Its own stands there when the answer to this very write was lost.
        this.#isAfterAnother ||= current !== before.runId && current !== this.#runId;
        if (isOrderedSince(before, now)) delete columns.nextRunAt;
        merged = await this.#store.merge(key, columns, now?.etag);
      }
      if (merged.kind !== 'merged') {
        const { customer, connection } = key;
        throw new Failure('config', `Connection ${customer}/${connection} was removed while its run began.`);
      }
      this.#hasBegun = true;
      this.#etag = merged.etag;
    });
  }

  /** Merges a change unless another run has taken the columns over, or the connection is gone. */
  write(change: Partial<ConnectionState>): Promise<void> {
    return this.#inTurn(async () => {
      const { key, columns: before } = this.#entity;
      const columns = writeState({ ...change, runId: this.#runId });
      let merged = await this.#store.merge(key, columns, this.#etag);
      while (merged.kind === 'changed') {
        // The operator has edited the config, a run was skipped, or another one has begun.
        const now = await this.#store.read(key);
        const current = now?.columns.runId;
        if (current !== this.#runId && (this.#hasBegun || current !== before.runId)) {
          if (this.#hasBegun || current === undefined || !this.#lease.isHeld()) return;
          // That run has ended. What it left is the next one's to look for.
          columns.cleanMailbox = '';
        }
        if (isOrderedSince(before, now)) delete columns.nextRunAt;
        merged = await this.#store.merge(key, columns, now?.etag);
      }
      if (merged.kind === 'merged') this.#etag = merged.etag;
      this.#hasBegun = true;
    });
  }

  /**
   * Says that the run is at work, and goes on saying so until it is over: one word after the other, so that the
   * outcome waits for one at most.
   */
  async sayAtWork(first: Partial<ConnectionState>, over: AbortSignal): Promise<void> {
    for (let waitMs = quietMs; ; waitMs = heartbeatMs) {
      await timers.setTimeout(waitMs, undefined, { signal: over, ref: false }).catch(() => undefined);
      if (over.aborted) return;
      const beat = { heartbeatAt: new Date() };
      await (this.#hasBegun ? this.write(beat) : this.begin({ ...first, ...beat })).catch(() => undefined);
    }
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const written = this.#writing.then(work);
    this.#writing = written.catch(() => undefined);
    return written;
  }
}

/** Whether a poll was ordered over HTTP since the row was read: it is still to come. */
function isOrderedSince(before: ConnectionEntity['columns'], now: ConnectionEntity | undefined): boolean {
  return now?.columns.runRequestedAt !== before.runRequestedAt;
}
