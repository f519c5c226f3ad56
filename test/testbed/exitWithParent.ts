// Loaded with --import into a Node child whose stdin is a pipe from its parent: when the parent dies, however
// it dies, the pipe ends and the child goes too.
process.stdin.on('end', () => process.exit(1));
process.stdin.on('error', () => process.exit(1));
process.stdin.resume();
