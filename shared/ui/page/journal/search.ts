import { useEffect, useRef, useState } from 'preact/hooks';
import { hasStatus, type ListFilter } from '../api.ts';
import type { JournalPage } from '../model.ts';
import { toError } from '../polled.ts';
import { useShell } from '../shell.ts';

export interface Search<T> {
  /** Undefined before the first answer, and where the search has failed. */
  readonly page: JournalPage<T> | undefined;
  /** Why the search, or its next page, could not be loaded. */
  readonly error: Error | undefined;
  readonly isLoading: boolean;
  readonly loadMore: () => void;
  readonly reload: () => void;
}

/**
 * What is found for a filter; `loadMore` adds the next page. Another `key` begins anew, a moment after it was typed,
 * and asks then for the filter, whose times may hang on the clock.
 */
export function useSearch<T>(
  find: (filter: ListFilter) => Promise<JournalPage<T>>,
  key: string,
  readFilter: () => ListFilter,
): Search<T> {
  const { fail } = useShell();
  const [page, setPage] = useState<JournalPage<T>>();
  const [error, setError] = useState<Error>();
  const [isLoading, setIsLoading] = useState(true);
  const [generation, setGeneration] = useState(0);
  /** What was asked last: an answer to anything before it comes too late. */
  const latest = useRef<ListFilter>(undefined);
  const reading = useRef(readFilter);
  reading.current = readFilter;

  const run = async (asked: ListFilter, before: readonly T[]): Promise<void> => {
    latest.current = asked;
    setIsLoading(true);
    setError(undefined);
    try {
      const found = await find(asked);
      if (latest.current !== asked) return;
      setPage({ ...found, found: [...before, ...found.found] });
    } catch (caught) {
      if (latest.current !== asked) return;
      if (hasStatus(caught, 401)) fail(caught);
      if (before.length === 0) setPage(undefined);
      setError(toError(caught));
    }
    setIsLoading(false);
  };

  useEffect(() => {
    setIsLoading(true);
    const timer = setTimeout(() => run(reading.current(), []), generation === 0 && !page ? 0 : 300);
    return () => {
      latest.current = undefined;
      clearTimeout(timer);
    };
  }, [key, generation]);

  return {
    page,
    error,
    isLoading,
    loadMore: () => {
      if (latest.current && page?.next) void run({ ...latest.current, after: page.next }, page.found);
    },
    reload: () => setGeneration((before) => before + 1),
  };
}
