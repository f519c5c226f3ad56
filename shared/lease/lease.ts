import type { BlobLeaseClient, ContainerClient } from '@azure/storage-blob';
import { withMade } from '../storage/firstUse.ts';
import { codeOf, storageFailure } from '../storage/storageFailure.ts';

/** By two clocks, in milliseconds: a suspended machine stops the first, and someone may set the second. */
export interface Moment {
  readonly monotonicMs: number;
  readonly wallMs: number;
}

export interface Clock {
  read(): Moment;
}

const systemClock: Clock = { read: () => ({ monotonicMs: performance.now(), wallMs: Date.now() }) };

export interface LeaseTimes {
  /** 15 to 60 by Blob Storage's rules; a crashed holder frees its mailbox within it. */
  readonly leaseSeconds: number;
  /** How often a held lease is renewed; well under its length, so that one failed try costs nothing. */
  readonly renewMs: number;
  readonly clock: Clock;
}

export const defaultLeaseTimes: LeaseTimes = { leaseSeconds: 60, renewMs: 20_000, clock: systemClock };

/** A mailbox's lease, held by one run from its start to its end: the fence between runs. */
export interface Lease {
  /**
   * Whether the mailbox is certainly still this run's. False, and false for good, once a renewal was refused or the
   * lease can have lapsed, counted from before the last good renewal by the clock that has gone further.
   */
  isHeld(): boolean;
  /** Fires when that becomes so. */
  readonly lost: AbortSignal;
  /** Stops renewing and frees the mailbox. Never rejects: a lease that can't be released lapses by itself. */
  release(): Promise<void>;
}

/** Takes the lease of a mailbox, or tells that another run has it. Rejects with a `Failure` where storage is away. */
export type TakeLease = (customer: string, connection: string) => Promise<Lease | 'taken'>;

/** Leases on blob `email-leases/{customer}/{connection}`. The blob is made at first use and stays, empty. */
export function leasesIn(container: ContainerClient, times: LeaseTimes = defaultLeaseTimes): TakeLease {
  return async (customer, connection) => {
    const blob = container.getBlockBlobClient(`${customer}/${connection}`);
    const client = blob.getBlobLeaseClient();
    const askedAt = times.clock.read();
    const acquire = async () =>
      await client.acquireLease(times.leaseSeconds, { abortSignal: AbortSignal.timeout(15_000) });
    try {
      await acquire().catch(async (error: unknown) => {
        if (codeOf(error) !== 'BlobNotFound' && codeOf(error) !== 'ContainerNotFound') throw error;
        await withMade(container, () => blob.upload('', 0, { conditions: { ifNoneMatch: '*' } })).catch(
          ignoreExisting,
        );
        await acquire();
      });
    } catch (error) {
      const code = codeOf(error);
      // A lease that a person is breaking lasts until the break is over.
      if (code === 'LeaseAlreadyPresent' || code === 'LeaseIsBreakingAndCannotBeAcquired') return 'taken';
      throw storageFailure(error, `taking the lease of ${customer}/${connection}`);
    }
    return holdLease(client, askedAt, times);
  };
}

/** Another process may have made the blob first, and even have leased it. */
function ignoreExisting(error: unknown): void {
  const code = codeOf(error);
  if (code !== 'BlobAlreadyExists' && code !== 'LeaseIdMissing' && code !== 'ConditionNotMet') throw error;
}

/**
 * Renews the lease until it is lost or released. What counts is the moment before a renewal was asked for: the
 * service can only have started the lease's time later.
 */
function holdLease(
  client: BlobLeaseClient,
  askedAt: Moment,
  { leaseSeconds, renewMs, clock }: LeaseTimes,
): Lease {
  const lost = new AbortController();
  let renewedAt = askedAt;
  let isReleased = false;
  let renewTimer: NodeJS.Timeout | undefined;
  let lapseTimer: NodeJS.Timeout | undefined;

  /** Until the lease can have lapsed. */
  const leftMs = (): number => {
    const now = clock.read();
    const goneMs = Math.max(now.monotonicMs - renewedAt.monotonicMs, now.wallMs - renewedAt.wallMs);
    return leaseSeconds * 1_000 - goneMs;
  };
  const isHeld = (): boolean => {
    if (leftMs() <= 0) lost.abort();
    return !lost.signal.aborted;
  };
  const renew = async (): Promise<void> => {
    if (!isHeld()) return;
    const askedAt = clock.read();
    try {
      await client.renewLease({ abortSignal: AbortSignal.timeout(Math.min(renewMs, 15_000)) });
      // An answer that came too late gives nothing back: a run that was fenced stays so.
      if (isHeld()) renewedAt = askedAt;
    } catch (error) {
      if (refusals.has(codeOf(error) ?? '')) lost.abort();
    }
    schedule();
  };
  const schedule = (): void => {
    clearTimeout(lapseTimer);
    if (isReleased) return;
    renewTimer = setTimeout(() => void renew(), renewMs).unref();
    lapseTimer = setTimeout(isHeld, leftMs() + 1).unref();
  };

  schedule();
  return {
    isHeld,
    lost: lost.signal,
    async release() {
      isReleased = true;
      clearTimeout(renewTimer);
      clearTimeout(lapseTimer);
      await client.releaseLease({ abortSignal: AbortSignal.timeout(10_000) }).catch(() => undefined);
    },
  };
}

/** Codes that say of a renewal that the lease is no longer this run's. */
const refusals = new Set([
  'LeaseIdMismatchWithLeaseOperation',
  'LeaseNotPresentWithLeaseOperation',
  'LeaseLost',
  'LeaseIsBrokenAndCannotBeRenewed',
  'LeaseIsBreakingAndCannotBeAcquired',
  'BlobNotFound',
  'ContainerNotFound',
  'ContainerBeingDeleted',
]);
