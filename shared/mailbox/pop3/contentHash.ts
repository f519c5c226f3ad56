import { createHash } from 'node:crypto';

/** Fields that mbox servers write into a mail from one session to the next. */
const servers = /^(status|x-status|x-uid|x-keywords|x-imap|x-imapbase|content-length)[ \t]*:/i;
/** The header is looked at up to here; what lies behind counts as it is. */
const maxHeaderBytes = 1024 * 1024;
const lineFeed = 0x0a;

/** The SHA-256 of a mail, by which it is known without UIDL; leaves out the fields that servers write themselves. */
export class ContentHash {
  readonly #hash = createHash('sha256');
  #begun: Buffer[] = [];
  #headerBytes = 0;
  #inHeader = true;
  #leavesOut = false;

  update(piece: Buffer): void {
    let at = 0;
    while (this.#inHeader && at < piece.length) {
      const end = piece.indexOf(lineFeed, at) + 1;
      const part = piece.subarray(at, end === 0 ? piece.length : end);
      this.#begun.push(Buffer.from(part));
      this.#headerBytes += part.length;
      at += part.length;
      if (end !== 0 || this.#headerBytes > maxHeaderBytes) this.#takeLine();
    }
    if (at < piece.length) this.#hash.update(piece.subarray(at));
  }

  /** In hex. */
  digest(): string {
    if (this.#begun.length > 0) this.#takeLine();
    return this.#hash.digest('hex');
  }

  #takeLine(): void {
    const line = Buffer.concat(this.#begun);
    this.#begun = [];
    const text = line.toString('latin1', 0, 64);
    // A line that begins with a blank goes on with the field before it.
    if (!/^[ \t]/.test(text)) this.#leavesOut = servers.test(text);
    if (!this.#leavesOut) this.#hash.update(line);
    if (/^\r?\n$/.test(text) || this.#headerBytes > maxHeaderBytes) this.#inHeader = false;
  }
}
