type Settings = Readonly<Record<string, string>>;

let applied:
  | { readonly env: Settings; readonly before: ReadonlyMap<string, string | undefined>; users: number }
  | undefined;

/**
 * Puts app settings into `process.env`; the function it returns takes them out again when the last host that
 * uses them is done. Throws when other settings are in place: an app reads `process.env`, so two sets need
 * two processes.
 */
export function applyEnv(env: Settings): () => void {
  if (applied !== undefined && JSON.stringify(applied.env) !== JSON.stringify(env)) {
    throw new Error(
      'A host with other settings runs in this process: stop it first, or use startHostProcess for this one.',
    );
  }
  applied ??= { env, before: new Map(Object.keys(env).map((name) => [name, process.env[name]])), users: 0 };
  applied.users += 1;
  Object.assign(process.env, env);
  let restored = false;
  return () => {
    if (restored || applied === undefined) return;
    restored = true;
    applied.users -= 1;
    if (applied.users > 0) return;
    for (const [name, value] of applied.before) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
    applied = undefined;
  };
}
