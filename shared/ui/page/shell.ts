import { createContext } from 'preact';
import { useContext } from 'preact/hooks';

export interface Notice {
  readonly kind: 'done' | 'trouble';
  readonly text: string;
}

/** What every part of the page may ask of the whole. */
export interface Shell {
  readonly notify: (text: string) => void;
  /** Says what went wrong, or asks for a key where that is what is missing. */
  readonly fail: (error: unknown) => void;
}

export const ShellContext = createContext<Shell>({ notify: () => undefined, fail: () => undefined });

export function useShell(): Shell {
  return useContext(ShellContext);
}
