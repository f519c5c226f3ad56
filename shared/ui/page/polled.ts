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
  const [state, setState] = useState<{ data?: T; loadedAtMs?: number; error?: Error }>({});
  const [generation, setGeneration] = useState(0);
  const latest = useRef({ load, fail });
  latest.current = { load, fail };

  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let isOver = false;
    let isLoading = false;
    const run = async (): Promise<void> => {
      if (isLoading) return;
      isLoading = true;
      clearTimeout(timer);
      const loadedAtMs = performance.now();
      try {
        const data = await latest.current.load();
        if (!isOver) setState({ data, loadedAtMs });
      } catch (error) {
        if (!isOver) {
          if (hasStatus(error, 401)) latest.current.fail(error);
          setState(({ error: _, ...before }) => ({ ...before, error: toError(error) }));
        }
      }
      isLoading = false;
      if (!isOver && !document.hidden) timer = setTimeout(run, pauseMs);
    };
    const follow = () => {
      clearTimeout(timer);
      if (!document.hidden) run();
    };
    document.addEventListener('visibilitychange', follow);
    run();
    return () => {
      isOver = true;
      clearTimeout(timer);
      document.removeEventListener('visibilitychange', follow);
    };
  }, [generation]);

  return {
    data: state.data,
    loadedAtMs: state.loadedAtMs,
    error: state.error,
    change: (update) =>
      setState((before) => (before.data === undefined ? before : { ...before, data: update(before.data) })),
    reload: () => setGeneration((before) => before + 1),
  };
}

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
