/** What a page's lines may have together. */
const maxPageBytes = 8 * 1_024 * 1_024;

/** A line that may be on the page. */
export interface Candidate {
  /** Its time and its id: what it is sorted by. */
  readonly key: string;
  readonly id: string;
  readonly line: string;
  readonly name: string;
}

/** The newest lines of those it is shown, as many as a page has; a line that was written twice counts once. */
export class Newest {
  readonly #limit: number;
  readonly #after: string | undefined;
  #candidates: Candidate[] = [];
  #bytes = 0;
  /** What is not newer is not wanted any more. */
  #floor = '';
  hasMore = false;
  lastKey: string | undefined;

  constructor(limit: number, after: string | undefined) {
    this.#limit = limit;
    this.#after = after;
  }

  /** A quick look, by time alone. */
  wants(at: string): boolean {
    return (this.#after === undefined || at <= this.#after) && at >= this.#floor.slice(0, at.length);
  }

  add(key: string, line: Buffer, id: string, name: string): void {
    if (this.#after !== undefined && key >= this.#after) return;
    const text = line.toString('utf8');
    this.#candidates.push({ key, id, line: text, name });
    this.#bytes += text.length;
    if (this.#candidates.length >= 2 * this.#limit + 50 || this.#bytes > 2 * maxPageBytes) this.#cut();
  }

  take(): readonly Candidate[] {
    this.#cut();
    this.lastKey = this.#candidates.at(-1)?.key;
    return this.#candidates;
  }

  #cut(): void {
    const sorted = this.#candidates
      .sort((a, b) => (a.key < b.key ? 1 : -1))
      .filter(({ key }, index, all) => key !== all[index - 1]?.key);
    let bytes = 0;
    const tooMany = sorted.findIndex(({ line }, index) => {
      bytes += line.length;
      return index >= this.#limit || bytes > maxPageBytes;
    });
    this.#candidates = tooMany < 0 ? sorted : sorted.slice(0, tooMany);
    this.#bytes = this.#candidates.reduce((sum, { line }) => sum + line.length, 0);
    if (tooMany < 0) return;
    this.hasMore = true;
    this.#floor = this.#candidates.at(-1)?.key ?? '';
  }
}
