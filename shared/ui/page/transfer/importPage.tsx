import { useState } from 'preact/hooks';
import { ApiError, hasStatus, readConnection, saveConnection } from '../api.ts';
import type { Connections } from '../connections.ts';
import { Field } from '../field.tsx';
import { nameOf } from '../model.ts';
import { toError } from '../polled.ts';
import { hrefOf } from '../route.ts';
import { useShell } from '../shell.ts';
import { counted } from '../words.ts';
import { type Exported, fromFile } from './transfer.ts';

/** Entries that are opened in the form, since something of them is missing. */
export const taken = new Map<string, Exported>();

type Outcome =
  | { readonly kind: 'added' | 'replaced' | 'there' }
  | { readonly kind: 'refused'; readonly sentences: readonly string[] };

/** Adds the connections of a file, and says of each what became of it. */
export function ImportPage({ connections }: { connections: Connections }) {
  const { fail } = useShell();
  const [entries, setEntries] = useState<readonly Exported[]>();
  const [error, setError] = useState('');
  const [replaces, setReplaces] = useState(false);
  const [isBusy, setIsBusy] = useState(false);
  const [outcomes, setOutcomes] = useState<ReadonlyMap<string, Outcome>>(new Map());

  const choose = async (file: File | undefined): Promise<void> => {
    setOutcomes(new Map());
    setEntries(undefined);
    setError('');
    if (file === undefined) return;
    const read = file.size > 20_000_000 ? 'This file is too large.' : fromFile(await file.text());
    if (typeof read === 'string') setError(read);
    else setEntries(read);
  };

  const run = async (all: readonly Exported[]): Promise<void> => {
    setIsBusy(true);
    for (const entry of all) {
      const outcome = await importOne(entry, replaces).catch((caught: unknown): Outcome => {
        if (hasStatus(caught, 401)) fail(caught);
        const columns = caught instanceof ApiError ? caught.columns.map(({ message }) => message) : [];
        return { kind: 'refused', sentences: columns.length > 0 ? columns : [toError(caught).message] };
      });
      if (outcome.kind === 'refused') taken.set(nameOf(entry), entry);
      setOutcomes((before) => new Map(before).set(nameOf(entry), outcome));
    }
    setIsBusy(false);
    connections.reload();
  };

  const done = [...outcomes.values()];
  const count = (kind: Outcome['kind']) => done.filter((outcome) => outcome.kind === kind).length;
  return (
    <>
      <p class="back">
        <a href="#/">← Connections</a>
      </p>
      <div class="heading">
        <h1 tabIndex={-1}>Import connections</h1>
      </div>
      <div class="fields">
        <div class="field area">
          <label for="import-file">File</label>
          <input
            id="import-file"
            type="file"
            accept=".json,application/json"
            aria-describedby="import-hint"
            onChange={({ currentTarget }) => choose(currentTarget.files?.[0])}
          />
          <p class="hint" id="import-hint">
            As Export has made it: JSON, without secrets. A connection whose password stands in no app setting
            or vault is opened in the form, to enter it.
          </p>
          {error !== '' && (
            <p class="field-error" role="alert">
              {error}
            </p>
          )}
        </div>
        <Field
          id="import-replace"
          label="Replace those that are there already"
          hint="Their secrets stay, unless the server changes."
          kind="flag"
        >
          <input
            id="import-replace"
            type="checkbox"
            checked={replaces}
            onChange={({ currentTarget }) => setReplaces(currentTarget.checked)}
          />
        </Field>
      </div>
      {entries !== undefined && (
        <>
          <div class="bar">
            <p class="outcome" role="status">
              {done.length === 0
                ? `${counted(entries.length, 'connection')} in this file.`
                : `${count('added')} added, ${count('replaced')} replaced, ${count('there')} left as they are, ${count('refused')} refused.`}
            </p>
            <div class="buttons">
              <button type="button" class="primary" disabled={isBusy} onClick={() => run(entries)}>
                {isBusy ? 'Importing…' : 'Import'}
              </button>
            </div>
          </div>
          <ul class="runs imported">
            {entries.map((entry) => (
              <li
                key={nameOf(entry)}
                class={outcomes.get(nameOf(entry))?.kind === 'refused' ? 'failing' : ''}
              >
                <span>{nameOf(entry)}</span>
                <ImportOutcome entry={entry} outcome={outcomes.get(nameOf(entry))} />
              </li>
            ))}
          </ul>
        </>
      )}
    </>
  );
}

const outcomeWords = {
  added: 'Added.',
  replaced: 'Replaced.',
  there: 'Was there already, and is left as it is.',
};

function ImportOutcome({ entry, outcome }: { entry: Exported; outcome: Outcome | undefined }) {
  if (outcome?.kind !== 'refused') return <span>{outcome && outcomeWords[outcome.kind]}</span>;
  return (
    <span>
      {outcome.sentences.join(' ')} <a href={hrefOf('take', entry)}>Open in the form</a>
    </span>
  );
}

async function importOne(entry: Exported, replaces: boolean): Promise<Outcome> {
  const { customer, connection, ...columns } = entry;
  try {
    await saveConnection(entry, columns, undefined);
    return { kind: 'added' };
  } catch (error) {
    if (!hasStatus(error, 412)) throw error;
    if (!replaces) return { kind: 'there' };
  }
  const { etag } = await readConnection({ customer, connection });
  await saveConnection(entry, columns, etag);
  return { kind: 'replaced' };
}
