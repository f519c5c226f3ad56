import net from 'node:net';
import { setTimeout as late } from 'node:timers/promises';
import type { MailboxOptions } from '../../../shared/mailbox/mailbox.ts';
import { type Listening, listening } from '../../testbed/listening.ts';
import { passwords, timeoutsOf } from '../outcomes.ts';

export { timeoutsOf } from '../outcomes.ts';

export interface Command {
  readonly tag: string;
  /** Upper case, with UID before it: `UID FETCH`. */
  readonly name: string;
  readonly args: string;
  /** How often this command came before, over all connections. */
  readonly earlier: number;
}

export interface Wire {
  send(text: string | Buffer): void;
  /** FIN, after what was sent. */
  end(): void;
  /** RST. */
  reset(): void;
  /** The next line that comes is no command. */
  readLine(): Promise<string>;
}

export interface ScriptedImapServer extends Listening {
  readonly commands: readonly Command[];
  readonly connections: number;
}

/** What the server says, TAG in it being the command's; undefined: what it usually says. */
export type Answer =
  | string
  | ((command: Command, wire: Wire) => string | undefined | Promise<string | undefined>);

export interface Script {
  /** Absent: the usual one. `false`: none at all. */
  readonly greeting?: string | false;
  readonly capabilities?: string;
  readonly mails?: readonly Buffer[];
  /** In place of the usual ones, by `stepOf` the command. */
  readonly answers?: Readonly<Record<string, Answer>>;
  /** Hears of all other commands. Returns true when it has answered, or means to stay silent. */
  readonly onCommand?: (command: Command, wire: Wire) => boolean | Promise<boolean>;
  /** The server is slow: so much later it deals with this command. */
  readonly lateMs?: (command: Command) => number;
  /** The server's output is cut off here, in all: `cut` then ends the connection. */
  readonly cutAfterBytes?: number;
  readonly cut?: 'end' | 'reset';
}

/** A small IMAP server for the faults that a real one won't produce on demand. */
export async function startScriptedImapServer(script: Script = {}): Promise<ScriptedImapServer> {
  const commands: Command[] = [];
  let connections = 0;
  const server = net.createServer((socket) => {
    connections += 1;
    serve(socket, script, commands);
  });
  return {
    ...(await listening(server)),
    commands,
    get connections() {
      return connections;
    },
  };
}

function serve(socket: net.Socket, script: Script, commands: Command[]): void {
  const capabilities = script.capabilities ?? 'IMAP4rev1 SASL-IR ID NAMESPACE UIDPLUS AUTH=PLAIN';
  const mails = script.mails ?? [
    Buffer.from('Subject: one\r\n\r\n1\r\n'),
    Buffer.from('Subject: two\r\n\r\n2\r\n'),
  ];
  let sentBytes = 0;
  let onLine: ((line: string) => void) | undefined;
  const wire: Wire = {
    send: (text) => {
      const bytes = Buffer.isBuffer(text) ? text : Buffer.from(text, 'latin1');
      const left = (script.cutAfterBytes ?? Number.POSITIVE_INFINITY) - sentBytes;
      sentBytes += bytes.length;
      if (socket.destroyed || left <= 0) return;
      if (bytes.length < left) {
        socket.write(bytes);
        return;
      }
      if (script.cut === 'reset') socket.write(bytes.subarray(0, left), () => socket.resetAndDestroy());
      else socket.end(bytes.subarray(0, left));
    },
    end: () => socket.end(),
    reset: () => socket.resetAndDestroy(),
    readLine: () =>
      new Promise((resolve) => {
        onLine = resolve;
      }),
  };
  const answer = async (line: string): Promise<void> => {
    const [, tag = '', name = '', args = ''] = /^(\S+) ((?:UID )?\S+) ?(.*)$/i.exec(line) ?? [];
    const command = {
      ...{ tag, name: name.toUpperCase(), args },
      earlier: commands.filter((one) => one.name === name.toUpperCase()).length,
    };
    commands.push(command);
    const lateMs = script.lateMs?.(command) ?? 0;
    if (lateMs > 0) await late(lateMs);
    const given = script.answers?.[stepOf(command)];
    const said = typeof given === 'function' ? await given(command, wire) : given;
    if (said !== undefined) {
      wire.send(said.replaceAll('TAG', tag));
      return;
    }
    if ((await script.onCommand?.(command, wire)) === true) return;
    wire.send(usualAnswer(command, mails, capabilities));
    if (command.name === 'LOGOUT') socket.end();
  };
  let buffered = '';
  socket.on('data', (bytes: Buffer) => {
    buffered += bytes.toString('latin1');
    for (let end = buffered.indexOf('\r\n'); end >= 0; end = buffered.indexOf('\r\n')) {
      const line = buffered.slice(0, end);
      buffered = buffered.slice(end + 2);
      const reader = onLine;
      onLine = undefined;
      if (reader === undefined) void answer(line);
      else reader(line);
    }
  });
  if (script.greeting !== false) wire.send(script.greeting ?? `* OK [CAPABILITY ${capabilities}] ready\r\n`);
}

function usualAnswer({ tag, name, args }: Command, mails: readonly Buffer[], capabilities: string): string {
  const ok = `${tag} OK done\r\n`;
  switch (name) {
    case 'CAPABILITY':
      return `* CAPABILITY ${capabilities}\r\n${ok}`;
    case 'LOGIN':
    case 'AUTHENTICATE':
      return `${tag} OK [CAPABILITY ${capabilities}] logged in\r\n`;
    case 'SELECT':
      return `* FLAGS (\\Seen \\Deleted)\r\n* ${mails.length} EXISTS\r\n* OK [UIDVALIDITY 7] ok\r\n* OK [PERMANENTFLAGS (\\Seen \\Deleted \\*)] ok\r\n${tag} OK [READ-WRITE] selected\r\n`;
    case 'UID SEARCH':
      return `* SEARCH ${mails.map((_, index) => index + 1).join(' ')}\r\n${ok}`;
    case 'UID FETCH':
      return uidsIn(args, mails.length)
        .map((uid) => fetchRow(uid, args, mails[uid - 1]))
        .concat(ok)
        .join('');
    case 'LOGOUT':
      return `* BYE bye\r\n${ok}`;
    default:
      return ok;
  }
}

/** One FETCH row as the command asked for it, latin1. */
export function fetchRow(uid: number, args: string, mail: Buffer = Buffer.alloc(0), flags = ''): string {
  if (!args.includes('BODY.PEEK[]')) {
    return `* ${uid} FETCH (UID ${uid} FLAGS (${flags}) INTERNALDATE "24-Nov-2026 10:00:00 +0000" RFC822.SIZE ${mail.length})\r\n`;
  }
  const [, start, length] = /BODY\.PEEK\[\]<(\d+)\.(\d+)>/.exec(args) ?? [];
  const piece = start === undefined ? mail : mail.subarray(Number(start), Number(start) + Number(length));
  const origin = start === undefined ? '' : `<${start}>`;
  const text = piece.toString('latin1');
  return `* ${uid} FETCH (UID ${uid} FLAGS (${flags}) BODY[]${origin} {${piece.length}}\r\n${text})\r\n`;
}

/** One FETCH row with header fields, as a filter asks for them. */
export function headerRow(uid: number, header: string, attributes = `UID ${uid}`): string {
  return `* ${uid} FETCH (${attributes} BODY[HEADER.FIELDS (SUBJECT)] {${header.length}}\r\n${header})\r\n`;
}

/** Answers a fetch by what `row` says of each mail that is asked for. */
export function rows(row: (uid: number, command: Command) => string): (command: Command) => string {
  return (command) =>
    `${uidsIn(command.args)
      .map((uid) => row(uid, command))
      .join('')}TAG OK done\r\n`;
}

/** Sends no faster than this, a KiB at a time, until all is sent or `isOver` says so. */
export async function sendSlowly(
  wire: Wire,
  bytes: Buffer,
  bytesPerSecond: () => number,
  isOver: () => boolean = () => false,
): Promise<void> {
  const pieceBytes = 1_024;
  for (let from = 0; from < bytes.length && !isOver(); from += pieceBytes) {
    wire.send(bytes.subarray(from, from + pieceBytes));
    await new Promise((resolve) => setTimeout(resolve, (1_000 * pieceBytes) / bytesPerSecond()).unref());
  }
}

/** The UIDs of a command's sequence set. */
export function uidsIn(args: string, last = Number.POSITIVE_INFINITY): number[] {
  const [set = ''] = args.split(' ');
  return set.split(',').flatMap((range) => {
    const [first = 0, end = first] = range.split(':').map(Number);
    return Array.from({ length: Math.min(end, last) - first + 1 }, (_, index) => first + index);
  });
}

/** Options for a server on this machine, with deadlines fit for tests. */
export function optionsFor(port: number, changes: Partial<MailboxOptions> = {}): MailboxOptions {
  return {
    protocol: 'imap',
    host: '127.0.0.1',
    port,
    security: 'plain',
    username: 'anna',
    credential: { kind: 'password', password: passwords.imap },
    folder: 'INBOX',
    deleteMails: false,
    timeouts: timeoutsOf(10_000),
    wholeBytes: 2 * 1024 * 1024,
    streamBytes: 12 * 1024 * 1024,
    ...changes,
  };
}

export const aMail: Buffer = Buffer.from('Subject: a mail\r\n\r\nwith a body\r\n');
export const threeMails: readonly Buffer[] = ['one', 'two', 'three'].map((name) =>
  Buffer.from(`Subject: ${name}\r\n\r\n${name}\r\n`),
);

export function smallMails(count: number): Buffer[] {
  return Array.from({ length: count }, (_, index) => Buffer.from(`Subject: ${index + 1}\r\n\r\nbody\r\n`));
}

/** Gives `use` the server and stops it after. */
export async function withServer<T>(
  script: Script,
  use: (server: ScriptedImapServer) => Promise<T>,
): Promise<T> {
  const server = await startScriptedImapServer(script);
  try {
    return await use(server);
  } finally {
    await server.stop();
  }
}

/** Does `fault` in place of an answer to this step; with `half`, in the middle of one. */
export function faultAt(step: string, fault: (wire: Wire) => void, half = ''): Script {
  const answer: Answer = (_command, wire) => {
    if (half !== '') wire.send(half);
    fault(wire);
    return '';
  };
  return { mails: [aMail], answers: { [step]: answer } };
}

/** As the command's name, with the kinds of fetch told apart. */
export function stepOf({ name, args }: Command): string {
  if (name !== 'UID FETCH') return name;
  if (args.includes('HEADER.FIELDS')) return 'HEADERS';
  return args.includes('BODY') ? 'FETCH' : 'MEASURE';
}
