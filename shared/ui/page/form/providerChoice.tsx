import { describedBy, Field, Select } from '../field.tsx';
import { chooseProvider } from './draft.ts';
import type { Draft } from './fields.ts';
import { providerOf, providers } from './providers.ts';

interface ProviderChoiceProps {
  readonly draft: Draft;
  readonly change: (update: (draft: Draft) => Draft) => void;
}

/** Sets host, port and login for a provider that is known, and says what it needs. */
export function ProviderChoice({ draft, change }: ProviderChoiceProps) {
  const provider = providerOf(draft.texts.host);
  const hint = provider?.needs ?? 'Sets host, port and login of one that is known.';
  const field = { id: 'provider', label: 'Provider', hint };
  return (
    <div class="fields provider">
      <Field {...field} kind="area">
        <Select
          id={field.id}
          {...describedBy(field)}
          value={provider?.name ?? ''}
          options={[['', 'Another server'], ...providers.map(({ name }) => [name, name] as const)]}
          change={(value) => {
            const chosen = providers.find(({ name }) => name === value);
            if (chosen !== undefined) change((before) => chooseProvider(before, chosen));
          }}
        />
      </Field>
    </div>
  );
}
