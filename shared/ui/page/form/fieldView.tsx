import { useState } from 'preact/hooks';
import { describedBy, Field, Select } from '../field.tsx';
import type { Connection } from '../model.ts';
import { every } from '../words.ts';
import { leavePort, setFlag, setText } from './draft.ts';
import { type Draft, type FormField, idOf, type TextField } from './fields.ts';

interface FieldViewProps {
  readonly field: FormField;
  readonly draft: Draft;
  readonly stored: Connection | undefined;
  /** The API's sentence for this column. */
  readonly error: string | undefined;
  /** Those of the mailbox, as far as they are known. */
  readonly folders: readonly string[];
  readonly change: (update: (draft: Draft) => Draft) => void;
}

/** One field with its label, its hint and what is wrong with it. */
export function FieldView(props: FieldViewProps) {
  const { field, draft, error } = props;
  if (field.shownWhen?.(draft) === false) return null;
  const id = idOf(field.column);
  const fixed = field.fixed?.(draft);
  const hint = hintOf(props, fixed);
  const common = { id, disabled: fixed !== undefined, ...describedBy({ id, hint, error }) };
  return (
    <Field id={id} label={field.label} hint={hint} error={error} kind={`${field.kind} ${field.column}`}>
      <Control {...props} common={common} />
    </Field>
  );
}

type ControlProps = FieldViewProps & {
  readonly common: ReturnType<typeof describedBy> & { readonly id: string; readonly disabled: boolean };
};

function Control(props: ControlProps) {
  const { field, draft, change, common } = props;
  if (field.kind === 'flag') {
    const isFixed = common.disabled && field.fixedTo !== undefined;
    return (
      <input
        {...common}
        type="checkbox"
        checked={isFixed ? field.fixedTo : draft.flags[field.column]}
        onChange={({ currentTarget: { checked } }) =>
          change((before) => setFlag(before, field.column, checked))
        }
      />
    );
  }
  if (field.kind !== 'choice') return <Text {...props} field={field} />;
  return (
    <Select
      {...common}
      value={draft.texts[field.column]}
      options={field.options}
      change={(chosen) => change((before) => setText(before, field.column, chosen))}
    />
  );
}

function Text({ field, draft, change, stored, folders, common: own }: ControlProps & { field: TextField }) {
  const common = {
    ...own,
    value: draft.texts[field.column],
    spellcheck: false,
    autocapitalize: 'none' as const,
    placeholder: isStored(field, stored) ? '••••••••' : (field.placeholder ?? ''),
    onInput: ({ currentTarget: { value } }: { currentTarget: HTMLInputElement | HTMLTextAreaElement }) =>
      change((before) => setText(before, field.column, value)),
  };
  if (field.kind === 'area') return <textarea {...common} rows={4} />;
  if (field.kind === 'secret') return <Secret label={field.label} common={common} />;
  const isFolder = field.column === 'folder' || field.column === 'moveToFolder';
  const hasChoices = isFolder && folders.length > 0;
  return (
    <div class={field.unit === undefined ? '' : 'with-unit'}>
      <input
        {...common}
        inputMode={field.kind === 'number' ? 'numeric' : 'text'}
        autocomplete="off"
        list={hasChoices ? `${common.id}-choices` : undefined}
        onBlur={() => field.column === 'port' && change(leavePort)}
      />
      {hasChoices && (
        <datalist id={`${common.id}-choices`}>
          {folders.map((name) => (
            <option key={name} value={name} />
          ))}
        </datalist>
      )}
      {field.unit !== undefined && <span aria-hidden="true">{field.unit}</span>}
    </div>
  );
}

/** What is typed is hidden until it is asked for; what is stored is never known here. */
function Secret({ label, common }: { label: string; common: ControlProps['common'] & { value: string } }) {
  const [isShown, setIsShown] = useState(false);
  return (
    <div class="secret-input">
      {/* A browser's own password for this page is none of the mailbox's. */}
      {isShown ? (
        <input {...common} type="text" autocomplete="off" />
      ) : (
        <input {...common} type="password" autocomplete="new-password" />
      )}
      {common.value !== '' && (
        <button type="button" class="quiet" aria-pressed={isShown} onClick={() => setIsShown(!isShown)}>
          {isShown ? 'Hide' : 'Show'} <span class="hidden">{label}</span>
        </button>
      )}
    </div>
  );
}

function isStored({ column }: FormField, stored: Connection | undefined): boolean {
  return stored?.[`${column}Set`] === true;
}

function hintOf(
  { field, draft, stored }: Pick<FieldViewProps, 'field' | 'draft' | 'stored'>,
  fixed: string | undefined,
): string | undefined {
  if (fixed !== undefined) return fixed;
  const blanks = field.kind === 'flag' ? undefined : outerBlanks(draft.texts[field.column]);
  if (blanks !== undefined) return blanks;
  if (field.kind === 'secret') {
    return isStored(field, stored) ? 'Stored, and never shown. Leave it empty to keep it.' : field.hint;
  }
  if (field.column === 'pollingIntervalSeconds') {
    const words = every(Number(draft.texts.pollingIntervalSeconds));
    return words === '' ? 'At least 60.' : `At least 60. Now ${words}.`;
  }
  return field.hint;
}

/** Copied text often brings a blank along that nobody sees. */
function outerBlanks(text: string): string | undefined {
  if (text.trim() === text || text.trim() === '') return undefined;
  const where = text.trimStart() === text ? 'ends' : text.trimEnd() === text ? 'begins' : 'begins and ends';
  return `It ${where} with a blank. Is that meant?`;
}
