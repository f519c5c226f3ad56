/**
 * Shows the app at work on this machine: a mail server, storage, a Service Bus broker and a Functions host,
 * all real but the last two, and the app's own bundle. See `helpText` for what it can be told.
 */
import { DemoError, type DemoTask, helpText, readArguments } from './arguments.ts';
import { openTerminal, type Terminal } from './terminal.ts';

const exitCodes = { failed: 1, wrongUse: 2, interrupted: 130 } as const;
const terminal = openTerminal(process.stdout, process.env);
const interrupted = Promise.withResolvers<void>();
let endsByItself = false;

// Before anything is started: the parts are ended by this process's exit, however it comes about.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    if (!endsByItself) process.exit(exitCodes.interrupted);
    endsByItself = false;
    interrupted.resolve();
  });
}
process.stdout.on('error', () => process.exit(exitCodes.failed));
process.on('uncaughtException', fail);
process.on('unhandledRejection', fail);

try {
  process.exit(await perform(readArguments(process.argv.slice(2), process.env), terminal));
} catch (error) {
  fail(error);
}

async function perform(task: DemoTask, to: Terminal): Promise<number> {
  // The parts are loaded late, so that a wrong argument is answered at once.
  switch (task.kind) {
    case 'help':
      to.line(helpText);
      return 0;
    case 'show':
      return (await import('./show.ts')).show(to, task.outFolder);
    case 'watch': {
      const { watch } = await import('./watch.ts');
      endsByItself = true;
      return watch(to, task, interrupted.promise);
    }
    case 'own-mailbox': {
      const { checkDeletes, readConnectionFile } = await import('./connectionFile.ts');
      const connection = readConnectionFile(task.file, process.env);
      checkDeletes(connection.config, task.mayDelete);
      return (await import('./ownMailbox.ts')).pollOwnMailbox(to, connection, task.outFolder);
    }
  }
}

function fail(error: unknown): never {
  const sentence = error instanceof Error ? error.message || error.name : String(error);
  process.stderr.write(`${sentence}\n`);
  process.exit(error instanceof DemoError ? exitCodes.wrongUse : exitCodes.failed);
}
