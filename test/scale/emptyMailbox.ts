import { createServer } from 'node:net';
import { type Listening, listening } from '../testbed/listening.ts';

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
export async function startEmptyMailbox(): Promise<Listening> {
  const server = createServer((socket) => {
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
  return await listening(server);
}
