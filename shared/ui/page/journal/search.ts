import { useEffect, useState } from 'preact/hooks';
import type { JournalFilter } from '../api.ts';
import type { JournalPage } from '../model.ts';
import { useShell } from '../shell.ts';

export interface Search<T> {
  /** Undefined before the first answer. */
  readonly page: JournalPage<T> | undefined;
  readonly error: Error | undefined;
  readonly isLoading: boolean;
  readonly loadMore: () => void;
  readonly reload: () => void;
}

/** What is found for a filter; `loadMore` adds the next page. A new filter begins anew, a moment after it was typed. */
export function useSearch<T>(
  find: (filter: JournalFilter) => Promise<JournalPage<T>>,
  filter: JournalFilter,
): Search<T> {
  const { fail } = useShell();
  const [page, setPage] = useState<JournalPage<T>>();
  const [error, setError] = useState<Error>();
  const [isLoading, setIsLoading] = useState(true);
  const [generation, setGeneration] = useState(0);
  const key = JSON.stringify(filter);

  const run = async (asked: JournalFilter, before: readonly T[], isOver: () => boolean): Promise<void> => {
    setIsLoading(true);
    setError(undefined);
    try {
      const found = await find(asked);
      if (isOver()) return;
      setPage({ ...found, found: [...before, ...found.found] });
    } catch (caught) {
      if (isOver()) return;
      setError(caught instanceof Error ? caught : new Error(String(caught)));
      fail(caught);
    }
    setIsLoading(false);
  };

  useEffect(() => {
    let isOver = false;
    const asked = JSON.parse(key) as JournalFilter;
    setIsLoading(true);
    const timer = setTimeout(() => void run(asked, [], () => isOver), generation === 0 && !page ? 0 : 300);
    return () => {
      isOver = true;
      clearTimeout(timer);
    };
  }, [key, generation]);

  return {
    page,
    error,
    isLoading,
    loadMore: () => {
      if (page?.next !== undefined) void run({ ...filter, after: page.next }, page.found, () => false);
    },
    reload: () => setGeneration((before) => before + 1),
  };
}
