let isApplied = false;

/**
 * Puts app settings into `process.env`; the function it returns takes them out again. Throws when those of another
 * host are in place: an app reads `process.env`, so two hosts at a time need two processes.
 */
export function applyEnv(env: Readonly<Record<string, string>>): () => void {
  if (isApplied) {
    throw new Error('A host runs in this process: stop it first, or use startHostProcess for this one.');
  }
  isApplied = true;
  const before = Object.keys(env).map((name) => [name, process.env[name]] as const);
  Object.assign(process.env, env);
  return () => {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
    isApplied = false;
  };
}
