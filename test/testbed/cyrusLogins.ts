import { chmodSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';

/**
 * Answers Cyrus's logins in place of saslauthd: four counted strings come (login name, password, service,
 * realm), a counted `OK` or `NO` goes.
 */
export async function serveLogins(path: string, passwords: ReadonlyMap<string, string>): Promise<Server> {
  const server = createServer((socket) => answer(socket, passwords));
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, resolve);
  });
  // Cyrus is another user.
  chmodSync(path, 0o777);
  server.unref();
  return server;
}

function answer(socket: Socket, passwords: ReadonlyMap<string, string>): void {
  let received = Buffer.alloc(0);
  socket.on('error', () => undefined);
  socket.on('data', (piece) => {
    received = Buffer.concat([received, piece]);
    const [user, password, service, realm] = countedStrings(received);
    if (user === undefined || password === undefined || service === undefined || realm === undefined) return;
    const right = passwords.get(user) === password;
    socket.end(Buffer.concat([Buffer.from([0, 2]), Buffer.from(right ? 'OK' : 'NO')]));
  });
}

function countedStrings(bytes: Buffer): string[] {
  const strings: string[] = [];
  let at = 0;
  while (at + 2 <= bytes.length) {
    const end = at + 2 + bytes.readUInt16BE(at);
    if (end > bytes.length) break;
    strings.push(bytes.toString('utf8', at + 2, end));
    at = end;
  }
  return strings;
}
