// Loaded with --import into a host process that is measured: a signal collects garbage, so that what is idle can be
// told from what is only not collected yet; and SIGTERM ends it in order, which writes a profile out.
process.on('SIGUSR2', () => {
  globalThis.gc?.();
  globalThis.gc?.();
});
process.on('SIGTERM', () => process.exit(0));
