import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

export interface Login {
  readonly port: number;
  readonly user: string;
  readonly password: string;
}

/**
 * What no program can beat: all mails asked for at once and their bytes thrown away. LOGIN, SELECT, FETCH, LOGOUT:
 * four round trips. Answers the bytes that came.
 */
export async function fetchRawImap({ port, user, password }: Login): Promise<number> {
  const session = await startSession(port);
  await session.until(/^\* OK/);
  await session.command(`a1 LOGIN ${user} "${password}"`, /a1 OK/);
  const selected = await session.command('a2 SELECT INBOX', /a2 OK/);
  const isEmpty = /^\* 0 EXISTS/m.test(selected);
  if (!isEmpty) await session.command('a3 UID FETCH 1:* (UID BODY.PEEK[])', /^a3 OK/m);
  await session.command('a4 LOGOUT', /a4 OK/);
  session.end();
  return session.bytes();
}

/** The same by POP3, without deleting: USER, PASS, STAT, and all RETR with QUIT in one write. */
export async function fetchRawPop3({ port, user, password }: Login): Promise<number> {
  const session = await startSession(port);
  await session.until(/^\+OK/);
  await session.command(`USER ${user}`, /^\+OK/);
  await session.command(`PASS ${password}`, /^\+OK/);
  const [, count = '0'] = /^\+OK (\d+)/.exec(await session.command('STAT', /^\+OK.*\r\n/)) ?? [];
  const retrievals = Array.from({ length: Number(count) }, (_, index) => `RETR ${index + 1}\r\n`);
  await session.rest(`${retrievals.join('')}QUIT`);
  return session.bytes();
}

/** Logs in and out, so that the server knows what is in the mailbox. */
export async function openMailbox(protocol: 'IMAP' | 'POP3', { port, user, password }: Login): Promise<void> {
  const session = await startSession(port);
  if (protocol === 'IMAP') {
    await session.until(/^\* OK/);
    await session.command(`a1 LOGIN ${user} "${password}"`, /a1 OK/);
    await session.command('a2 SELECT INBOX', /a2 OK/);
    await session.command('a3 UID FETCH 1:* (UID RFC822.SIZE)', /a3 OK/);
    await session.rest('a4 LOGOUT');
    return;
  }
  await session.until(/^\+OK/);
  await session.command(`USER ${user}`, /^\+OK/);
  await session.command(`PASS ${password}`, /^\+OK/);
  await session.command('LIST', /^\.\r\n/m);
  await session.rest('QUIT');
}

interface Session {
  /** Sends a line and waits for the answer's last line; the end of the answer. */
  command(line: string, last: RegExp): Promise<string>;
  until(last: RegExp): Promise<string>;
  /** Sends the last line and reads on until the server closes. */
  rest(line: string): Promise<void>;
  bytes(): number;
  end(): void;
}

/** Of an answer only its end is looked at; the rest is what is thrown away. */
const tailBytes = 2_048;

async function startSession(port: number): Promise<Session> {
  const socket = connect(port, '127.0.0.1').setNoDelay(true);
  const closed = once(socket, 'close');
  let bytes = 0;
  let tail = '';
  let waiting: { readonly last: RegExp; readonly resolve: (tail: string) => void } | undefined;
  let fail: (error: Error) => void = () => undefined;
  const look = () => {
    if (waiting?.last.test(tail) !== true || !tail.endsWith('\r\n')) return;
    const { resolve } = waiting;
    waiting = undefined;
    resolve(tail);
  };
  socket.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (waiting === undefined) return;
    const end = chunk.subarray(-tailBytes).toString('latin1');
    tail = (chunk.length >= tailBytes ? end : tail + end).slice(-2 * tailBytes);
    look();
  });
  socket.on('error', (error) => fail(error));
  socket.on('close', () => fail(new Error('The mail server closed the connection.')));
  const until = (last: RegExp) =>
    new Promise<string>((resolve, reject) => {
      fail = reject;
      waiting = { last, resolve };
      look();
    });
  return {
    until,
    command(line, last) {
      tail = '';
      write(socket, line);
      return until(last);
    },
    async rest(line) {
      waiting = undefined;
      write(socket, line);
      await closed;
    },
    bytes: () => bytes,
    end: () => socket.destroy(),
  };
}

function write(socket: Socket, line: string): void {
  socket.write(`${line}\r\n`);
}
