// Loaded with --import into a Node child whose stdin is a pipe from its parent: when the parent dies, however
// it dies, the pipe ends and the child goes too.
import { flushCompileCache } from 'node:module';

process.stdin.on('end', () => process.exit(1));
process.stdin.on('error', () => process.exit(1));
process.stdin.resume();
process.stdin.unref();

// Node writes its compile cache when a process ends by itself, and this one is killed.
setTimeout(flushCompileCache, 2_500).unref();
