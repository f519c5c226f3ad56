import { useEffect, useRef, useState } from 'preact/hooks';
import { keyPattern, keyRule } from '../../../connection/columns.ts';
import { ApiError, saveConnection, type Tagged, type TestOutcome, testConnection } from '../api.ts';
import type { ColumnError, Connection } from '../model.ts';
import { useShell } from '../shell.ts';
import { counted } from '../words.ts';
import { type fields, toBody } from './draft.ts';
import type { Draft } from './draftColumns.ts';
import { advancedFields, mainFields } from './fields.ts';
import { FieldView, idOf } from './fieldView.tsx';
import { KeyFields } from './keyFields.tsx';

interface ConnectionFormProps {
  readonly start: Draft;
  /** The connection that is changed; undefined for a new one. */
  readonly stored: Tagged | undefined;
  readonly saved: (connection: Connection) => void;
  readonly reload: () => void;
}

type Outcome =
  | { readonly kind: 'testing' | 'saving' }
  | { readonly kind: 'tested'; readonly test: TestOutcome }
  | { readonly kind: 'wrong'; readonly errors: readonly ColumnError[] }
  | { readonly kind: 'conflict' };

export function ConnectionForm({ start, stored, saved, reload }: ConnectionFormProps) {
  const { fail } = useShell();
  const [draft, setDraft] = useState(start);
  const [outcome, setOutcome] = useState<Outcome>();
  const [isAdvanced, setIsAdvanced] = useState(false);
  const form = useRef<HTMLFormElement>(null);
  const isNew = stored === undefined;
  const isBusy = outcome?.kind === 'testing' || outcome?.kind === 'saving';
  const errors = outcome?.kind === 'wrong' ? outcome.errors : [];
  const errorOf = (column: string) => errors.find((error) => error.column === column)?.message;

  const reject = (wrong: readonly ColumnError[]): void => {
    if (wrong.some(({ column }) => advancedFields.some((field) => field.column === column)))
      setIsAdvanced(true);
    setOutcome({ kind: 'wrong', errors: wrong });
  };
  // Once they are drawn: the first wrong field is where to go on.
  useEffect(() => {
    if (outcome?.kind !== 'wrong') return;
    const first = form.current?.querySelector('[aria-invalid=true]:not(:disabled)');
    if (first instanceof HTMLElement) first.focus();
  }, [outcome]);

  const explain = (error: unknown): void => {
    if (error instanceof ApiError && error.columns.length > 0) reject(error.columns);
    else if (!(error instanceof ApiError && error.status === 412)) {
      setOutcome(undefined);
      fail(error);
    } else if (isNew)
      reject([{ column: 'connection', message: 'There is a connection of this name already.' }]);
    else setOutcome({ kind: 'conflict' });
  };

  const save = async (): Promise<void> => {
    const wrong = wrongKeys(draft);
    if (wrong.length > 0) return reject(wrong);
    setOutcome({ kind: 'saving' });
    try {
      saved((await saveConnection(draft.key, toBody(draft, stored?.connection), stored?.etag)).connection);
    } catch (error) {
      explain(error);
    }
  };

  const test = async (): Promise<void> => {
    setOutcome({ kind: 'testing' });
    try {
      // A test needs no name yet; one that nobody has brings no stored secret into it.
      const key =
        wrongKeys(draft).length === 0
          ? draft.key
          : { customer: 'unsaved', connection: `unsaved-${Math.random().toString(36).slice(2)}` };
      setOutcome({ kind: 'tested', test: await testConnection(key, toBody(draft, stored?.connection)) });
    } catch (error) {
      explain(error);
    }
  };

  const change = (update: (draft: Draft) => Draft): void => setDraft(update);
  const view = (field: (typeof fields)[number]) => (
    <FieldView
      key={field.column}
      field={field}
      draft={draft}
      stored={stored?.connection}
      error={errorOf(field.column)}
      change={change}
    />
  );

  return (
    <form
      class="connection"
      ref={form}
      noValidate
      autocomplete="off"
      onSubmit={(event) => {
        event.preventDefault();
        if (!isBusy) save();
      }}
    >
      {isNew && <KeyFields draft={draft} errorOf={errorOf} change={change} />}
      <div class="fields">{mainFields.map(view)}</div>
      <details open={isAdvanced} onToggle={({ currentTarget }) => setIsAdvanced(currentTarget.open)}>
        <summary>Advanced</summary>
        <div class="fields">{advancedFields.map(view)}</div>
      </details>
      <div class="bar">
        <div role="status" class="outcome">
          {outcome !== undefined && <OutcomeView outcome={outcome} reload={reload} />}
        </div>
        <div class="buttons">
          <a class="button quiet cancel" href="#/">
            Cancel
          </a>
          <button type="button" disabled={isBusy} onClick={test}>
            Test connection
          </button>
          <button type="submit" class="primary" disabled={isBusy}>
            {isNew ? 'Add connection' : 'Save'}
          </button>
        </div>
      </div>
    </form>
  );
}

function OutcomeView({ outcome, reload }: { outcome: Outcome; reload: () => void }) {
  switch (outcome.kind) {
    case 'testing':
      return <p>Connecting…</p>;
    case 'saving':
      return <p>Saving…</p>;
    case 'tested':
      return outcome.test.ok ? (
        <p class="good">It works: {counted(outcome.test.mails, 'mail')} to fetch.</p>
      ) : (
        <p class="bad">{outcome.test.error}</p>
      );
    case 'conflict':
      return (
        <div class="bad">
          <p>Somebody has changed or deleted this connection meanwhile. Nothing was saved.</p>
          <button type="button" onClick={reload}>
            Reload it, without my changes
          </button>
        </div>
      );
    case 'wrong':
      return <WrongFields errors={outcome.errors} />;
  }
}

/** Those that stand at no field are said here in full. */
function WrongFields({ errors }: { errors: readonly ColumnError[] }) {
  const isAtField = ({ column }: ColumnError) => document.getElementById(idOf(column)) !== null;
  const others = errors.filter((error) => !isAtField(error));
  return (
    <div class="bad">
      <p>{errors.length === 1 ? 'One field is not right.' : `${errors.length} fields are not right.`}</p>
      {others.map(({ column, message }) => (
        <p key={column}>{message}</p>
      ))}
    </div>
  );
}

function wrongKeys({ key }: Draft): ColumnError[] {
  const wrong: ColumnError[] = [];
  for (const column of ['customer', 'connection'] as const) {
    const name = column === 'customer' ? 'Customer' : 'Connection name';
    if (!keyPattern.test(key[column])) wrong.push({ column, message: `${name} must be ${keyRule}.` });
  }
  return wrong;
}
