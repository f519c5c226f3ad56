import { chooseProvider } from './draft.ts';
import type { Draft } from './draftColumns.ts';
import { providerOf, providers } from './providers.ts';

interface ProviderChoiceProps {
  readonly draft: Draft;
  readonly change: (update: (draft: Draft) => Draft) => void;
}

/** Sets host, port and login for a provider that is known, and says what it needs. */
export function ProviderChoice({ draft, change }: ProviderChoiceProps) {
  const provider = providerOf(draft.texts.host);
  return (
    <div class="fields provider">
      <div class="field area">
        <label for="provider">Provider</label>
        <select
          id="provider"
          value={provider?.name ?? ''}
          aria-describedby="provider-hint"
          onChange={({ currentTarget }) => {
            const chosen = providers.find(({ name }) => name === currentTarget.value);
            if (chosen !== undefined) change((before) => chooseProvider(before, chosen));
          }}
        >
          <option value="">Another server</option>
          {providers.map(({ name }) => (
            <option key={name} value={name}>
              {name}
            </option>
          ))}
        </select>
        <p class="hint" id="provider-hint">
          {provider?.needs ?? 'Sets host, port and login of one that is known.'}
        </p>
      </div>
    </div>
  );
}
