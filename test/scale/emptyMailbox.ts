import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { listenLocally } from '../testbed/child.ts';

const answers: Readonly<Record<string, string>> = {
  CAPA: '+OK\r\nUSER\r\nUIDL\r\n.\r\n',
  USER: '+OK\r\n',
  PASS: '+OK\r\n',
  STAT: '+OK 0 0\r\n',
  UIDL: '+OK\r\n.\r\n',
  LIST: '+OK\r\n.\r\n',
  QUIT: '+OK\r\n',
};

/** A POP3 server whose mailboxes are all empty; it costs next to nothing, so that what is measured is the poll. */
export async function startEmptyMailbox(): Promise<{ readonly port: number; stop(): Promise<void> }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => undefined);
    socket.write('+OK\r\n');
    let text = '';
    socket.on('data', (bytes) => {
      text += bytes.toString('latin1');
      for (let end = text.indexOf('\r\n'); end >= 0; end = text.indexOf('\r\n')) {
        const command = text.slice(0, 4).toUpperCase();
        text = text.slice(end + 2);
        socket.write(answers[command] ?? '-ERR\r\n');
        if (command === 'QUIT') socket.end();
      }
    });
  });
  return {
    port: await listenLocally(server),
    async stop() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
