import type { ComponentChildren } from 'preact';

interface TableProps {
  readonly kind: string;
  readonly caption: string;
  /** Their names; the empty one has the actions. */
  readonly columns: readonly string[];
  readonly children: ComponentChildren;
}

/** Rows of a list, which are cards where the window is narrow. */
export function Table({ kind, caption, columns, children }: TableProps) {
  return (
    <table class={`rows ${kind}`}>
      <caption class="hidden">{caption}</caption>
      <thead>
        <tr>
          {columns.map((column) => (
            <th key={column} scope="col">
              {column || <span class="hidden">Actions</span>}
            </th>
          ))}
        </tr>
      </thead>
      {children}
    </table>
  );
}

interface OpenerProps {
  /** Of what it opens. */
  readonly panel: string;
  readonly isOpen: boolean;
  readonly open: (isOpen: boolean) => void;
  readonly text: string;
}

/** A row's name, which shows more of it. */
export function Opener({ panel, isOpen, open, text }: OpenerProps) {
  return (
    <button
      type="button"
      class="opener"
      aria-expanded={isOpen}
      aria-controls={panel}
      onClick={() => open(!isOpen)}
    >
      <bdi>{text}</bdi>
    </button>
  );
}
