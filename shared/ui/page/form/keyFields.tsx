import type { Draft } from './draftColumns.ts';
import { idOf } from './fieldView.tsx';

interface KeyFieldsProps {
  readonly draft: Draft;
  readonly errorOf: (column: string) => string | undefined;
  readonly change: (update: (draft: Draft) => Draft) => void;
}

const names = [
  { column: 'customer', label: 'Customer', hint: 'Whose mailbox it is.' },
  { column: 'connection', label: 'Connection name', hint: 'As orders, or invoices-2026.' },
] as const;

/** What a new connection is called; it keeps these names. */
export function KeyFields({ draft, errorOf, change }: KeyFieldsProps) {
  return (
    <div class="fields keys">
      {names.map(({ column, label, hint }) => {
        const id = idOf(column);
        const error = errorOf(column);
        return (
          <div key={column} class={`field${error === undefined ? '' : ' wrong'}`}>
            <label for={id}>{label}</label>
            <input
              id={id}
              value={draft.key[column]}
              autocomplete="off"
              autocapitalize="none"
              spellcheck={false}
              maxLength={63}
              aria-invalid={error !== undefined}
              aria-describedby={error === undefined ? `${id}-hint` : `${id}-hint ${id}-error`}
              onInput={({ currentTarget: { value } }) =>
                change((before) => ({ ...before, key: { ...before.key, [column]: value } }))
              }
            />
            <p class="hint" id={`${id}-hint`}>
              {hint}
            </p>
            {error !== undefined && (
              <p class="field-error" id={`${id}-error`}>
                {error}
              </p>
            )}
          </div>
        );
      })}
    </div>
  );
}
