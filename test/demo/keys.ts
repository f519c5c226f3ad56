/**
 * Calls `onKey` with each key that is pressed, on a terminal without waiting for Enter; from a pipe, with each
 * character. Ctrl-C interrupts the process as it would otherwise. Does nothing where stdin is closed.
 */
export function listenForKeys(stdin: NodeJS.ReadStream, onKey: (key: string) => void): void {
  if (stdin.isTTY) {
    stdin.setRawMode(true);
    process.on('exit', () => stdin.setRawMode(false));
  }
  stdin.setEncoding('utf8');
  stdin.on('data', (text) => {
    // An arrow key and its like come as several characters that begin with Escape.
    if (String(text).startsWith('\x1b')) return;
    for (const key of String(text)) {
      if (key === '\x03') process.kill(process.pid, 'SIGINT');
      else onKey(key);
    }
  });
  stdin.on('error', () => undefined);
}
