import { useEffect, useRef, useState } from 'preact/hooks';
import { hasStatus } from './api.ts';
import type { Shell } from './shell.ts';

export interface Polled<T> {
  /** The last that was loaded; undefined before the first. */
  readonly data: T | undefined;
  /** When what is shown was loaded, by this machine's monotonic clock; undefined before the first. */
  readonly loadedAtMs: number | undefined;
  /** Why the last try failed; undefined where it didn't. */
  readonly error: Error | undefined;
  readonly change: (update: (data: T) => T) => void;
  /** Loads at once. */
  readonly reload: () => void;
}

/** Between two loads, so that what is shown is never older than fifteen seconds. */
const pauseMs = 5_000;

/**
 * Loads again and again while the page is seen. `load` must have a deadline. What is wrong is for the caller to say
 * where the data would stand; only a key is asked for.
 */
export function usePolled<T>(load: () => Promise<T>, { fail }: Pick<Shell, 'fail'>): Polled<T> {
  return useLoads('', load, (error) => {
    if (hasStatus(error, 401)) fail(error);
    return true;
  });
}

/** What is loaded once for a `key`, and again by `reload`; undefined: not yet. */
export function useLoaded<T>(key: string | undefined, load: () => Promise<T>): Polled<T> {
  return useLoads(key, load, () => false);
}

/** Whether it is loaded once more in a while, `goesOn` says, which is told of an error. */
function useLoads<T>(
  key: string | undefined,
  load: () => Promise<T>,
  goesOn: (error?: unknown) => boolean,
): Polled<T> {
  const [state, setState] = useState<Pick<Polled<T>, 'data' | 'loadedAtMs' | 'error'>>(nothing);
  const [generation, setGeneration] = useState(0);
  const latest = useRef({ load, goesOn });
  latest.current = { load, goesOn };

  useEffect(() => {
    if (key === undefined) return undefined;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let isOver = false;
    let isLoading = false;
    let failure: unknown;
    const run = async (): Promise<void> => {
      if (isLoading) return;
      isLoading = true;
      clearTimeout(timer);
      const loadedAtMs = performance.now();
      try {
        const data = await latest.current.load();
        if (isOver) return;
        failure = undefined;
        setState({ data, loadedAtMs, error: undefined });
      } catch (error) {
        if (isOver) return;
        failure = error;
        setState((before) => ({ ...before, error: toError(error) }));
      }
      isLoading = false;
      if (latest.current.goesOn(failure) && !document.hidden) timer = setTimeout(run, pauseMs);
    };
    const follow = () => {
      clearTimeout(timer);
      if (!document.hidden && latest.current.goesOn()) run();
    };
    document.addEventListener('visibilitychange', follow);
    // What is known stays meanwhile.
    setState((before) => ({ ...before, error: undefined }));
    run();
    return () => {
      isOver = true;
      clearTimeout(timer);
      document.removeEventListener('visibilitychange', follow);
    };
  }, [key, generation]);

  return {
    ...state,
    change: (update) =>
      setState((before) => (before.data === undefined ? before : { ...before, data: update(before.data) })),
    reload: () => setGeneration((before) => before + 1),
  };
}

const nothing = { data: undefined, loadedAtMs: undefined, error: undefined };

/** The time, told anew each second. */
export function useNow(now: () => number): number {
  const [time, setTime] = useState(now);
  useEffect(() => {
    const timer = setInterval(() => setTime(now()), 1_000);
    return () => clearInterval(timer);
  }, [now]);
  return time;
}

export function toError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
