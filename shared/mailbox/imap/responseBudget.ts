const mebibyte = 1024 * 1024;
/** What a server may send beside the answer: news of mails that came and went, warnings. */
const leastBytes = 4 * mebibyte;
const leastLines = 10_000;
/** News of one mail that a command is about, such as its EXPUNGE. */
const linesPerMail = 4;
/** A SEARCH answers with one line of all numbers. */
const searchBytes = 32 * mebibyte;

/** What may come from a server for one command, beside the FETCH responses that were asked for; more is a flood. */
export class ResponseBudget {
  #leftBytes = leastBytes;
  #leftLines = leastLines;

  /** A command is sent: its name, and how many mails it is about, at most. */
  begin(command: string, mails: number): void {
    this.#leftBytes = leastBytes + (command.endsWith('SEARCH') ? searchBytes : 0) + 100 * mails;
    this.#leftLines = leastLines + linesPerMail * mails;
  }

  /** Counts what came; false once it is too much. */
  take(chunk: Buffer): boolean {
    this.#leftBytes -= chunk.length;
    for (let at = chunk.indexOf(0x0a); at !== -1; at = chunk.indexOf(0x0a, at + 1)) this.#leftLines -= 1;
    return this.#leftBytes >= 0 && this.#leftLines >= 0;
  }
}

/** How many mails a sequence set of `compactUids` names. */
export function mailsIn(sequenceSet: string): number {
  let mails = 0;
  for (const range of sequenceSet.split(',')) {
    const [first = '', last = first] = range.split(':');
    mails += Number(last) - Number(first) + 1;
  }
  return mails;
}
