import { type ClaimStatus, type ClaimsRow, deadAfterMs, type GroupRow } from './claimTable.ts';

/** A group of claims, as it lies in the table or is about to. */
export interface Group {
  readonly rowKey: string;
  readonly runId: string;
  readonly claims: Map<string, ClaimStatus>;
}

/** What other runs say of one mail; the strongest word counts. */
export type ForeignClaim = 'none' | 'orphaned' | 'live' | 'delivered';

/** What one run knows of the claims on its mailbox: its own groups, and those of others as last read. */
export class MailboxClaims {
  readonly #runId: string;
  readonly #mine = new Map<string, Group>();
  readonly #groupOf = new Map<string, Group>();
  #others = new Map<string, Group>();
  #foreign = new Map<string, Set<Group>>();
  #liveRuns = new Set<string>();
  #deadRunRows: string[] = [];
  /** The version of the row `turn`; undefined where there is none. */
  turnEtag: string | undefined;

  constructor(runId: string) {
    this.#runId = runId;
  }

  /** Whether another live run is at work on the mailbox. */
  get hasCompany(): boolean {
    return this.#liveRuns.size > 0;
  }

  get others(): readonly Group[] {
    return [...this.#others.values()];
  }

  get mine(): readonly Group[] {
    return [...this.#mine.values()];
  }

  /** Row keys of runs that have died, to be removed. */
  get deadRunRows(): readonly string[] {
    return this.#deadRunRows;
  }

  /** Takes in the runs on the mailbox; gives whatever else was among the rows. */
  readRuns(rows: readonly ClaimsRow[], now: Date): readonly ClaimsRow[] {
    this.#liveRuns = new Set();
    this.#deadRunRows = [];
    for (const row of rows) {
      if (row.kind !== 'run' || row.runId === this.#runId) continue;
      if (now.getTime() - row.heartbeatAt.getTime() < deadAfterMs) this.#liveRuns.add(row.runId);
      else this.#deadRunRows.push(row.rowKey);
    }
    return rows.filter((row) => row.kind !== 'run');
  }

  /** Takes in all rows of the mailbox. */
  readAll(rows: readonly ClaimsRow[], now: Date): void {
    this.#others = new Map();
    this.#foreign = new Map();
    this.turnEtag = undefined;
    for (const row of this.readRuns(rows, now)) {
      if (row.kind === 'turn') this.turnEtag = row.etag;
      if (row.kind !== 'group') continue;
      if (row.runId !== this.#runId) this.#addForeign(row);
      // Written by this run though the answer was lost.
      else if (!this.#mine.has(row.rowKey)) this.addMine(toGroup(row));
    }
  }

  addMine(group: Group): void {
    this.#mine.set(group.rowKey, group);
    for (const id of group.claims.keys()) this.#groupOf.set(id, group);
  }

  statusOf(id: string): ClaimStatus | undefined {
    return this.#groupOf.get(id)?.claims.get(id);
  }

  foreignClaim(id: string): ForeignClaim {
    let strongest: ForeignClaim = 'none';
    for (const group of this.#foreign.get(id) ?? []) {
      const status = group.claims.get(id);
      if (status === undefined) continue;
      if (status !== 'claimed') return 'delivered';
      if (this.#liveRuns.has(group.runId)) strongest = 'live';
      else if (strongest === 'none') strongest = 'orphaned';
    }
    return strongest;
  }

  /** Changes own claims; gives the groups that are to be written. */
  mark(ids: readonly string[], status: ClaimStatus): Set<Group> {
    const changed = new Set<Group>();
    for (const id of ids) {
      const group = this.#groupOf.get(id);
      if (!group) continue;
      group.claims.set(id, status);
      changed.add(group);
    }
    return changed;
  }

  /** Removes own claims, and with `everywhere` others' too; gives the groups that are to be written. */
  remove(ids: readonly string[], where: 'mine' | 'everywhere'): Set<Group> {
    const changed = new Set<Group>();
    for (const id of ids) {
      const own = this.#groupOf.get(id);
      const groups = where === 'mine' ? [] : [...(this.#foreign.get(id) ?? [])];
      for (const group of own ? [own, ...groups] : groups) {
        if (group.claims.delete(id)) changed.add(group);
      }
      this.#groupOf.delete(id);
    }
    return changed;
  }

  /** The groups of dead runs that hold some of `ids`, as they are to be once those are taken over. */
  takenOverFrom(ids: readonly string[]): readonly Group[] {
    const groups = new Set(ids.flatMap((id) => [...(this.#foreign.get(id) ?? [])]));
    const taken = new Set(ids);
    return [...groups].map((group) => ({
      ...group,
      claims: new Map([...group.claims].filter(([id]) => !taken.has(id))),
    }));
  }

  /** Takes in what others' groups have become. */
  replaceOthers(groups: readonly Group[]): void {
    for (const { rowKey, claims } of groups) {
      const known = this.#others.get(rowKey)?.claims;
      for (const id of known?.keys() ?? []) if (!claims.has(id)) known?.delete(id);
    }
    this.forgetEmpty();
  }

  /** Removes others' claims that `isStale`; gives the groups that are to be written. */
  removeStale(isStale: (id: string, status: ClaimStatus) => boolean): Set<Group> {
    const changed = new Set<Group>();
    for (const group of this.#others.values()) {
      for (const [id, status] of group.claims) {
        if (isStale(id, status) && group.claims.delete(id)) changed.add(group);
      }
    }
    return changed;
  }

  /** Forgets groups that hold nothing any more. */
  forgetEmpty(): void {
    for (const groups of [this.#mine, this.#others]) {
      for (const [rowKey, { claims }] of groups) if (claims.size === 0) groups.delete(rowKey);
    }
  }

  #addForeign(row: GroupRow): void {
    const group = toGroup(row);
    this.#others.set(row.rowKey, group);
    for (const id of group.claims.keys()) {
      const groups = this.#foreign.get(id) ?? new Set();
      this.#foreign.set(id, groups.add(group));
    }
  }
}

function toGroup({ rowKey, runId, claims }: GroupRow): Group {
  return { rowKey, runId, claims: new Map(claims) };
}
