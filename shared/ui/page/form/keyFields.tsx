import { describedBy, Field } from '../field.tsx';
import { type Draft, idOf, keyFields } from './fields.ts';

interface KeyFieldsProps {
  readonly draft: Draft;
  readonly errorOf: (column: string) => string | undefined;
  readonly change: (update: (draft: Draft) => Draft) => void;
}

/** What a new connection is called; it keeps these names. */
export function KeyFields({ draft, errorOf, change }: KeyFieldsProps) {
  return (
    <div class="fields keys">
      {keyFields.map(({ column, ...rest }) => {
        const field = { ...rest, id: idOf(column), error: errorOf(column) };
        return (
          <Field key={column} {...field}>
            <input
              id={field.id}
              {...describedBy(field)}
              value={draft.key[column]}
              autocomplete="off"
              autocapitalize="none"
              spellcheck={false}
              maxLength={63}
              onInput={({ currentTarget: { value } }) =>
                change((before) => ({ ...before, key: { ...before.key, [column]: value } }))
              }
            />
          </Field>
        );
      })}
    </div>
  );
}
