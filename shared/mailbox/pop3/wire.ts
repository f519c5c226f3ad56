import type { Socket } from 'node:net';
import * as tls from 'node:tls';
import { Failure } from '../../failure/failure.ts';
import type { MailboxTimeouts } from '../mailbox.ts';
import {
  describeAbort,
  describeNetworkFailure,
  describeTimeout,
  type MailServerContact,
  serverName,
} from '../networkFailure.ts';
import { quoteServerText } from '../serverText.ts';

/** Beyond this the socket is paused until the reader has caught up. */
const maxUnreadBytes = 1024 * 1024;
/** RFC 2449 allows 512; SASL challenges are longer. */
const maxLineBytes = 8 * 1024;

/**
 * The bytes of one POP3 connection, for one reader at a time: by line or by piece, each wait with a deadline. Holds a
 * little more than 1 MiB unasked; more stays with the server. What came before a failure can still be read; then every
 * read rejects with that same failure.
 */
export class Pop3Wire {
  readonly contact: MailServerContact & { phase: MailServerContact['phase'] };
  /** Struck out of whatever the server says, in every phase. */
  secrets: readonly string[] = [];
  /** Whether the server takes several commands at once (RFC 2449, 6.6). */
  pipelining = false;
  readonly timeouts: MailboxTimeouts;
  /** How many bytes were read of it, by whomever: as long as this grows, the session goes on. */
  readBytes = 0;
  /** Whether this server was seen to end a reply with more than a dot, CR and LF. */
  endsWithOddDot = false;
  readonly #over = Promise.withResolvers<Failure>();
  /** Resolves when the connection is over, to the reason. */
  readonly over: Promise<Failure> = this.#over.promise;
  /** Why it is over. */
  failure: Failure | undefined;
  #socket: Socket;
  #connected = false;
  #unread: Buffer[] = [];
  #unreadBytes = 0;
  #wake: (() => void) | undefined;

  /** Takes over a socket that connects; it must have no other reader. */
  constructor(socket: Socket, contact: Omit<MailServerContact, 'phase'>, timeouts: MailboxTimeouts) {
    this.contact = { ...contact, phase: 'connect' };
    this.timeouts = timeouts;
    this.#socket = socket;
    this.#listen(socket, 'connect');
  }

  get server(): string {
    return serverName(this.contact);
  }

  /** What the server said, fit to stand in a sentence. */
  quote(text: string): string {
    return quoteServerText(text, this.secrets);
  }

  /** A line that is no answer, or to nothing that was asked, but no text that may be of a mail. */
  quoteOdd(line: string): string {
    const mayBeOfMail = this.contact.phase === 'session' && !/^[+-](ok|err)\b/i.test(line);
    return mayBeOfMail ? 'text that may be of a mail' : `"${this.quote(line)}"`;
  }

  /** Waits until TCP, or after `secure` TLS, is set up. */
  async connected(deadline: Deadline): Promise<void> {
    while (!this.#connected) {
      if (this.failure !== undefined) throw this.failure;
      await this.#wait(deadline);
    }
  }

  /** Starts TLS. Bytes that came before it, in the clear, are refused: they would pass for answers within TLS. */
  async secure(options: tls.ConnectionOptions, deadline: Deadline): Promise<void> {
    if (this.#unreadBytes > 0) {
      const sentence = `${this.server} sent data ahead of the TLS handshake, as an attacker on the way would. Check the network.`;
      throw this.fail(new Failure('tls', sentence));
    }
    if (this.failure !== undefined) throw this.failure;
    this.contact.phase = 'tls';
    this.#connected = false;
    const plain = this.#socket;
    plain.removeAllListeners('data');
    this.#socket = tls.connect({ ...options, socket: plain });
    this.#listen(this.#socket, 'secureConnect');
    await this.connected(deadline);
  }

  /** Sends command lines. Never throws: what comes of them shows in reading the answers. */
  write(lines: string): void {
    if (this.failure === undefined) this.#socket.write(lines, 'utf8');
  }

  /** To be called before a command when no answer is awaited: nothing may have come unasked. */
  expectSilence(): void {
    if (this.#unreadBytes === 0) return;
    const text = Buffer.concat(this.#unread).subarray(0, maxLineBytes).toString('utf8');
    const line = text.split('\n', 1)[0] ?? '';
    const [reason, sentence] = line.startsWith('-ERR')
      ? (['connection-lost', `ended the session: ${this.quote(line)}. The next run tries again.`] as const)
      : (['protocol', `sent what nobody asked for: ${this.quoteOdd(line)}. Check the server.`] as const);
    throw this.fail(new Failure(reason, `${this.server} ${sentence}`));
  }

  /** The next bytes, as many as there are; at least one. */
  async piece(deadline: Deadline): Promise<Buffer> {
    for (;;) {
      const piece = this.#unread.shift();
      if (piece !== undefined) {
        this.#unreadBytes -= piece.length;
        this.readBytes += piece.length;
        if (this.#unreadBytes <= maxUnreadBytes && this.#socket.isPaused()) this.#socket.resume();
        return piece;
      }
      if (this.failure !== undefined) throw this.failure;
      await this.#wait(deadline);
    }
  }

  /** Gives back bytes that belong to the next reader. */
  putBack(rest: Buffer): void {
    if (rest.length === 0) return;
    this.#unread.unshift(rest);
    this.#unreadBytes += rest.length;
  }

  /** The next line, without its end (CRLF; a bare LF is let pass). */
  async line(deadline: Deadline): Promise<string> {
    const parts: Buffer[] = [];
    let sizeBytes = 0;
    for (;;) {
      const piece = await this.piece(deadline);
      const end = piece.indexOf(0x0a);
      parts.push(end === -1 ? piece : piece.subarray(0, end));
      sizeBytes += end === -1 ? piece.length : end;
      if (sizeBytes > maxLineBytes) {
        const sentence = `${this.server} sent a line of more than ${maxLineBytes} bytes, which is not POP3. Check host and port.`;
        throw this.fail(new Failure('protocol', sentence));
      }
      if (end === -1) continue;
      this.putBack(piece.subarray(end + 1));
      return Buffer.concat(parts).toString('utf8').replace(/\r$/, '');
    }
  }

  /** Ends the connection at once for this reason, if it has not failed before; returns what it failed for. */
  fail(failure: Failure): Failure {
    this.#end(failure);
    this.#socket.destroy();
    return this.failure ?? failure;
  }

  /** Ends the connection at once when the run's signal fires. */
  endWith(signal: AbortSignal | undefined): void {
    if (signal === undefined) return;
    const onAbort = (): void => void this.fail(describeAbort(signal, this.contact));
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    void this.over.then(() => signal.removeEventListener('abort', onAbort));
  }

  #listen(socket: Socket, connectEvent: 'connect' | 'secureConnect'): void {
    // The listeners stay for good: an error without one would end the process. Under TLS the plain socket's
    // events say nothing that the TLS socket's don't.
    const ended = (error?: Error) => {
      if (socket === this.#socket) this.#end(describeNetworkFailure(error, this.contact));
    };
    socket.on('error', ended);
    socket.on('end', () => ended());
    socket.on('close', () => ended());
    socket.once(connectEvent, () => {
      this.#connected = true;
      this.#wake?.();
    });
    socket.on('data', (chunk: Buffer) => {
      this.#unread.push(chunk);
      this.#unreadBytes += chunk.length;
      if (this.#unreadBytes > maxUnreadBytes) this.#socket.pause();
      this.#wake?.();
    });
  }

  #end(failure: Failure): void {
    if (this.failure !== undefined) return;
    this.failure = failure;
    this.#over.resolve(failure);
    this.#wake?.();
  }

  async #wait(deadline: Deadline): Promise<void> {
    const startedAt = performance.now();
    await new Promise<void>((resolve) => {
      let waiting = true;
      const timer = setTimeout(() => {
        // After a long turn of the event loop timers run before bytes that have arrived: let these in first.
        setImmediate(() => {
          if (waiting) this.fail(describeTimeout(this.contact, deadline.silenceMs));
        });
      }, deadline.waitMs);
      this.#wake = () => {
        waiting = false;
        this.#wake = undefined;
        clearTimeout(timer);
        resolve();
      };
    });
    deadline.spend(performance.now() - startedAt);
  }
}

/**
 * How long a reply may be waited for, in all and for the next byte. Only time spent waiting for the server counts: a
 * slow consumer makes no good server late.
 */
export class Deadline {
  readonly silenceMs: number;
  readonly #whole: Deadline | undefined;
  #leftMs: number;

  constructor(totalMs: number, silenceMs = totalMs, whole?: Deadline) {
    this.#leftMs = totalMs;
    this.silenceMs = Math.min(silenceMs, totalMs);
    this.#whole = whole;
  }

  /** One for a step of it: what that spends is spent of the whole. */
  step(mostMs: number): Deadline {
    return new Deadline(Math.min(mostMs, this.waitMs), mostMs, this);
  }

  /** How long the next wait may last. */
  get waitMs(): number {
    return Math.max(0, Math.min(this.#leftMs, this.silenceMs));
  }

  spend(ms: number): void {
    this.#leftMs -= ms;
    this.#whole?.spend(ms);
  }

  /** What was received adds the time that the slowest of good servers would have taken for it. */
  earn(receivedBytes: number): void {
    this.#leftMs += (receivedBytes / slowestBytesPerSilence) * this.silenceMs;
  }
}

/** What a server has to send, on average, in each `silenceMs`. */
const slowestBytesPerSilence = 64 * 1024;
