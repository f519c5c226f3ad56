/** A mailbox's lease, held by one run. */
export interface Lease {
  /**
   * `held`: nobody else may start on this mailbox. `ended`: its time is over, the run works on beside
   * whoever comes. `lost`: the renewal was refused or the storage gone; the run picks up no more mail.
   */
  readonly state: 'held' | 'ended' | 'lost';
  /** From now on the lease lasts until `endsAt`, or as long as the run where that is undefined. */
  keepUntil(endsAt: Date | undefined): void;
  /** Stops renewing and frees the mailbox. Never rejects: a lease that can't be released lapses in a minute. */
  release(): Promise<void>;
}

/** Takes the lease of a mailbox, or tells that another run has it. Rejects with a `Failure` where storage is away. */
export type TakeLease = (customer: string, connection: string) => Promise<Lease | 'taken'>;
