import { useLayoutEffect, useRef, useState } from 'preact/hooks';
import { keyPattern, keyRule } from '../../../connection/columns.ts';
import { ApiError, saveConnection, type Tagged, type TestOutcome, testConnection } from '../api.ts';
import { Confirm } from '../modal.tsx';
import type { ColumnError, Connection } from '../model.ts';
import { useLeaveGuard } from '../route.ts';
import { useShell } from '../shell.ts';
import { counted } from '../words.ts';
import { toBody } from './draft.ts';
import {
  advancedFields,
  advancedGroups,
  type Draft,
  type FormField,
  idOf,
  keyFields,
  mainFields,
  type TextColumn,
} from './fields.ts';
import { FieldView } from './fieldView.tsx';
import { KeyFields } from './keyFields.tsx';
import { ProviderChoice } from './providerChoice.tsx';
import { isFiltered, TestReport } from './testReport.tsx';
import { inFormWords } from './words.ts';

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
  | { readonly kind: 'wrong'; readonly errors: readonly ColumnError[]; readonly isNew: boolean }
  | { readonly kind: 'conflict' };

export function ConnectionForm({ start, stored, saved, reload }: ConnectionFormProps) {
  const { fail } = useShell();
  const [draft, setDraft] = useState(start);
  const [outcome, setOutcome] = useState<Outcome>();
  const [isAdvanced, setIsAdvanced] = useState(false);
  /** What the last test has found in this mailbox. */
  const [folders, setFolders] = useState<readonly string[]>([]);
  /** What is said before mails are deleted; undefined while it is not asked. */
  const [asksDelete, setAsksDelete] = useState<string>();
  const form = useRef<HTMLFormElement>(null);
  /** A test's answer is about the draft that it was asked for. */
  const latest = useRef(draft);
  latest.current = draft;
  const isNew = stored === undefined;
  const isBusy = outcome?.kind === 'testing' || outcome?.kind === 'saving';
  const errors = outcome?.kind === 'wrong' ? outcome.errors : [];
  const errorOf = (column: string) => errors.find((error) => error.column === column)?.message;
  const wrongNames = wrongKeys(draft);
  useLeaveGuard(JSON.stringify(draft) !== JSON.stringify(start), 'Leave without saving your changes?');

  const reject = (wrong: readonly ColumnError[]): void => {
    if (wrong.some(({ column }) => advancedFields.some((field) => field.column === column)))
      setIsAdvanced(true);
    setOutcome({ kind: 'wrong', errors: wrong.map(inFormWords), isNew: true });
  };
  // Once they are drawn: the first wrong field is where to go on.
  useLayoutEffect(() => {
    if (outcome?.kind !== 'wrong' || !outcome.isNew) return;
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
    setAsksDelete(undefined);
    setOutcome({ kind: 'saving' });
    try {
      // With a name that can't be, the API says what else is wrong, and stores nothing.
      const key = wrongNames.length === 0 ? draft.key : { customer: '!', connection: '!' };
      saved((await saveConnection(key, toBody(draft, stored?.connection), stored?.etag)).connection);
    } catch (error) {
      if (wrongNames.length === 0 || !(error instanceof ApiError) || error.status === 401)
        return explain(error);
      const others = error.columns.filter(({ column }) => column !== 'customer' && column !== 'connection');
      reject([...wrongNames, ...others]);
    }
  };

  /** Undefined where nothing can be said, or the draft is another meanwhile. */
  const test = async (): Promise<TestOutcome | undefined> => {
    setOutcome({ kind: 'testing' });
    // A test needs no name yet; one that nobody has brings no stored secret into it.
    const unsaved = { customer: 'unsaved', connection: `unsaved-${Math.random().toString(36).slice(2)}` };
    const key = wrongNames.length === 0 ? draft.key : unsaved;
    try {
      const found = await testConnection(key, toBody(draft, stored?.connection));
      if (latest.current !== draft) return undefined;
      setFolders(found.folders ?? []);
      setOutcome({ kind: 'tested', test: found });
      return found;
    } catch (error) {
      if (latest.current === draft) explain(error);
      return undefined;
    }
  };

  /** What is deleted can't be brought back: who has not deleted by this connection before is asked first. */
  const submit = async (): Promise<void> => {
    if (!deletesAnew(draft, stored && start) || wrongNames.length > 0) return await save();
    const found = await test();
    if (found === undefined) return;
    setAsksDelete(
      found.ok
        ? `${isFiltered(found) ? `Those that the filters take, of ${counted(found.mails, 'unread mail')},` : counted(found.mails, 'mail')} will be sent and DELETED from the server at the next poll, and every one that comes after.`
        : `How many mails wait could not be asked: ${found.error} Every mail of this mailbox will be sent and DELETED from the server.`,
    );
  };

  const change = (update: (draft: Draft) => Draft): void => {
    const changed = update(draft);
    setDraft(changed);
    if (outcome?.kind === 'tested' || outcome?.kind === 'testing') setOutcome(undefined);
    if (!['host', 'username'].every((column) => isSame(draft, changed, column))) setFolders([]);
    if (outcome?.kind === 'wrong') {
      const left = outcome.errors.filter(({ column }) => isSame(draft, changed, column));
      setOutcome(left.length === 0 ? undefined : { kind: 'wrong', errors: left, isNew: false });
    }
    if (changed.texts.authType === 'oauth2' && draft.texts.authType !== 'oauth2') setIsAdvanced(true);
  };
  const common = { draft, stored: stored?.connection, folders, change };
  const view = (field: FormField) => (
    <FieldView key={field.column} field={field} error={errorOf(field.column)} {...common} />
  );

  return (
    <form
      class="connection"
      ref={form}
      noValidate
      autocomplete="off"
      onSubmit={(event) => {
        event.preventDefault();
        if (!isBusy) submit();
      }}
    >
      {/* What is changed while it is saved would be in no save. */}
      <fieldset class="all" disabled={outcome?.kind === 'saving'}>
        {isNew && <KeyFields draft={draft} errorOf={errorOf} change={change} />}
        <ProviderChoice draft={draft} change={change} />
        <div class="fields">{mainFields.map(view)}</div>
        <details open={isAdvanced} onToggle={({ currentTarget }) => setIsAdvanced(currentTarget.open)}>
          <summary>Advanced</summary>
          {advancedGroups.map(({ title, fields: ofGroup }) => (
            <fieldset key={title} class="fields">
              <legend>{title}</legend>
              {ofGroup.map(view)}
            </fieldset>
          ))}
        </details>
      </fieldset>
      <div class="bar">
        <div role="status" class="outcome">
          {outcome !== undefined && <OutcomeView outcome={outcome} reload={reload} />}
        </div>
        <div class="buttons">
          <a class="button quiet cancel" href={isNew ? '#/' : location.hash.replace('/edit/', '/show/')}>
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
      {asksDelete !== undefined && (
        <Confirm
          title="Mails will be deleted"
          text={asksDelete}
          action={isNew ? 'Add, send and delete' : 'Save, send and delete'}
          isDangerous
          confirm={save}
          close={() => setAsksDelete(undefined)}
        />
      )}
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
      return <TestReport test={outcome.test} />;
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

function isSame(before: Draft, after: Draft, column: string): boolean {
  const valueIn = (draft: Draft): unknown => ({ ...draft.texts, ...draft.flags, ...draft.key })[column];
  return valueIn(before) === valueIn(after);
}

/** What decides which mails a connection takes. */
const takes = [
  'hostType',
  'host',
  'username',
  'folder',
  'fromFilter',
  'toFilter',
  'subjectFilter',
] as const satisfies readonly TextColumn[];

/** Whether it deletes mails that it would not have deleted as it is stored. */
function deletesAnew(draft: Draft, stored: Draft | undefined): boolean {
  const deletes = ({ texts, flags }: Draft) => texts.hostType === 'POP3' || flags.deleteMessages;
  if (!deletes(draft)) return false;
  return !(
    stored !== undefined &&
    deletes(stored) &&
    takes.every((column) => stored.texts[column] === draft.texts[column])
  );
}

function wrongKeys({ key }: Draft): ColumnError[] {
  return keyFields
    .filter(({ column }) => !keyPattern.test(key[column]))
    .map(({ column, label }) => ({ column, message: `${label} must be ${keyRule}.` }));
}
