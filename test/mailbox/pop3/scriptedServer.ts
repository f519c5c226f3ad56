import * as net from 'node:net';
import { setTimeout as delay, setImmediate } from 'node:timers/promises';
import * as tls from 'node:tls';
import type { Certificate } from '../../testbed/certificates.ts';
import { type Listening, listening } from '../../testbed/listening.ts';

/** How a connection's bytes reach the client, counted from its first byte. */
export interface Delivery {
  /** Every piece has this many bytes. */
  readonly chunkBytes?: number;
  /** The server sends no faster, a KiB or less at a time. */
  readonly bytesPerSecond?: () => number;
  /** Every answer is so late. */
  readonly delayMs?: number;
  /** One cut, before the byte of this number. */
  readonly cutAt?: number;
  /** After so many bytes the connection ends by FIN or RST, or falls silent. */
  readonly dropAt?: number;
  readonly drop?: 'fin' | 'rst' | 'silence';
}

export interface Script {
  readonly mails?: readonly Buffer[];
  /** UIDL of each mail; undefined leaves its line out. False: the server has no UIDL. */
  readonly uidls?: readonly (string | undefined)[] | false;
  /** The lines of CAPA. False: the server has no CAPA. */
  readonly capa?: readonly string[] | false;
  readonly greeting?: string | Buffer;
  readonly delivery?: Delivery;
  /** TLS from the first byte. */
  readonly tls?: Certificate;
  /** STLS is offered with this certificate. */
  readonly stls?: Certificate;
  /** What commands are answered with in place of the usual way: by the whole line, or by its first word. */
  readonly answer?: Readonly<Record<string, Answer>> | ((command: string) => Answer | undefined);
}

/** Bytes, nothing, or the end of the connection. */
type Answer = string | Buffer | 'silence' | 'fin' | 'rst';

/** A server for faults that a real one won't produce. */
export interface ScriptedServer extends Listening {
  /** Every line that came, in order, of all connections. */
  readonly commands: readonly string[];
  readonly connections: () => number;
  /** How many mails a QUIT has deleted. */
  readonly deleted: () => number;
  /** The most bytes that any connection has been sent. */
  readonly sentBytes: () => number;
}

export const fullCapabilities = ['TOP', 'UIDL', 'RESP-CODES', 'PIPELINING', 'USER', 'SASL PLAIN'];

export async function startScriptedServer(script: Script): Promise<ScriptedServer> {
  const seen: Seen = { commands: [], connections: 0, deleted: 0, sentBytes: 0 };
  const server = net.createServer((socket) => {
    seen.connections += 1;
    socket.setNoDelay(true);
    new ScriptedConnection(script, seen).serve(
      script.tls === undefined ? socket : serverTls(socket, script.tls),
    );
  });
  return {
    ...(await listening(server)),
    commands: seen.commands,
    connections: () => seen.connections,
    deleted: () => seen.deleted,
    sentBytes: () => seen.sentBytes,
  };
}

interface Seen {
  readonly commands: string[];
  connections: number;
  deleted: number;
  sentBytes: number;
}

class ScriptedConnection {
  readonly #script: Script;
  readonly #seen: Seen;
  readonly #marked = new Set<number>();
  #socket: net.Socket | undefined;
  #received = '';
  #sentBytes = 0;
  #dropped = false;
  #sending: Promise<void> = Promise.resolve();

  constructor(script: Script, seen: Seen) {
    this.#script = script;
    this.#seen = seen;
  }

  serve(socket: net.Socket, greet = true): void {
    this.#socket = socket;
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      if (socket === this.#socket) this.#receive(chunk.toString('utf8'));
    });
    if (greet) this.#send(this.#script.greeting ?? '+OK ready\r\n');
  }

  #receive(text: string): void {
    this.#received += text;
    for (let end = this.#received.indexOf('\n'); end !== -1; end = this.#received.indexOf('\n')) {
      const line = this.#received.slice(0, end).replace(/\r$/, '');
      this.#received = this.#received.slice(end + 1);
      this.#seen.commands.push(line);
      this.#obey(line);
    }
  }

  #obey(line: string): void {
    const [command = '', argument = ''] = line.split(' ', 2);
    const { answer } = this.#script;
    const own = typeof answer === 'function' ? answer(line) : (answer?.[line] ?? answer?.[command]);
    if (own === 'silence') return;
    if (own === 'fin' || own === 'rst') this.#sending = this.#sending.then(() => this.#drop(own));
    else if (own !== undefined) this.#send(own);
    else if (command === 'STLS') this.#startTls();
    else this.#send(this.#answer(command.toUpperCase(), Number(argument)), command === 'QUIT');
  }

  #startTls(): void {
    const certificate = this.#script.stls;
    const plain = this.#socket;
    if (certificate === undefined || plain === undefined) {
      this.#send('-ERR no TLS here\r\n');
      return;
    }
    this.#send('+OK begin\r\n');
    this.#sending = this.#sending.then(() => {
      plain.removeAllListeners('data');
      this.serve(serverTls(plain, certificate), false);
    });
  }

  #answer(command: string, id: number): string | Buffer {
    const { mails = [], uidls, capa } = this.#script;
    const mail = this.#marked.has(id) ? undefined : mails[id - 1];
    const numbers = mails.map((_, index) => index + 1).filter((number) => !this.#marked.has(number));
    switch (command) {
      case 'CAPA':
        return capa === false ? '-ERR what?\r\n' : multiLine(capa ?? fullCapabilities);
      case 'USER':
      case 'PASS':
        return '+OK\r\n';
      case 'LIST':
        return multiLine(numbers.map((number) => `${number} ${mails[number - 1]?.length ?? 0}`));
      case 'UIDL':
        if (uidls === false) return '-ERR what?\r\n';
        return multiLine(
          numbers.flatMap((number) => {
            const uidl = uidls === undefined ? `uid-${number}` : uidls[number - 1];
            return uidl === undefined ? [] : [`${number} ${uidl}`];
          }),
        );
      case 'RETR':
        if (mail === undefined) return '-ERR no such message\r\n';
        return withBody(`+OK ${mail.length} octets`, mail);
      case 'TOP':
        if (mail === undefined) return '-ERR no such message\r\n';
        return withBody('+OK', mail.subarray(0, mail.indexOf('\r\n\r\n') + 4));
      case 'DELE':
        if (mail === undefined) return '-ERR no such message\r\n';
        this.#marked.add(id);
        return '+OK marked\r\n';
      case 'QUIT':
        this.#seen.deleted += this.#marked.size;
        return '+OK bye\r\n';
      default:
        return '-ERR what?\r\n';
    }
  }

  #send(answer: string | Buffer, last = false): void {
    const bytes = typeof answer === 'string' ? Buffer.from(answer, 'utf8') : answer;
    this.#sending = this.#sending.then(async () => {
      const { delayMs, bytesPerSecond, cutAt, chunkBytes, dropAt, drop } = this.#script.delivery ?? {};
      if (delayMs !== undefined) await delay(delayMs);
      for (const piece of this.#cut(bytes)) {
        if (this.#dropped || this.#socket?.destroyed) return;
        this.#socket?.write(piece);
        this.#sentBytes += piece.length;
        this.#seen.sentBytes = Math.max(this.#seen.sentBytes, this.#sentBytes);
        if (bytesPerSecond !== undefined) await delay((1_000 * piece.length) / bytesPerSecond());
        // The client, in the same process, reads what has come before the next piece follows.
        const turns = cutAt === this.#sentBytes || chunkBytes !== undefined ? 2 : 0;
        for (let turn = 0; turn < turns; turn += 1) await setImmediate();
        if (dropAt !== undefined && this.#sentBytes >= dropAt) this.#drop(drop ?? 'fin');
      }
      if (last && !this.#dropped) this.#socket?.end();
    });
  }

  #cut(bytes: Buffer): Buffer[] {
    const { chunkBytes, bytesPerSecond, cutAt, dropAt } = this.#script.delivery ?? {};
    const from = this.#sentBytes;
    const until = dropAt === undefined ? bytes.length : Math.min(bytes.length, Math.max(0, dropAt - from));
    const cuts = [cutAt === undefined ? 0 : cutAt - from, until].filter((at) => at > 0 && at <= until);
    const step = chunkBytes ?? (bytesPerSecond === undefined ? Number.POSITIVE_INFINITY : 1_024);
    const pieces: Buffer[] = [];
    for (let at = 0; at < until; ) {
      const end = Math.min(at + step, ...cuts.filter((cut) => cut > at));
      pieces.push(bytes.subarray(at, end));
      at = end;
    }
    return pieces;
  }

  #drop(how: 'fin' | 'rst' | 'silence'): void {
    this.#dropped = true;
    if (how === 'fin') this.#socket?.end();
    if (how === 'rst') this.#socket?.resetAndDestroy();
  }
}

export function multiLine(lines: readonly string[]): string {
  return ['+OK', ...lines, '.', ''].join('\r\n');
}

function withBody(status: string, mail: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`${status}\r\n`), stuff(mail), Buffer.from('.\r\n')]);
}

/** Dot-stuffing by the letter of RFC 1939, byte by byte. */
export function stuff(mail: Buffer): Buffer {
  return Buffer.from(mail.toString('latin1').replace(/(^|\r\n)\./g, '$1..'), 'latin1');
}

function serverTls(socket: net.Socket, { key, certificate }: Certificate): net.Socket {
  return new tls.TLSSocket(socket, { isServer: true, key, cert: certificate });
}
