import { useState } from 'preact/hooks';
import type { Connection } from '../model.ts';
import { every } from '../words.ts';
import { leavePort, setFlag, setText } from './draft.ts';
import type { Draft } from './draftColumns.ts';
import type { ChoiceField, Field, FlagField, TextField } from './fields.ts';

interface FieldViewProps {
  readonly field: Field;
  readonly draft: Draft;
  readonly stored: Connection | undefined;
  /** The API's sentence for this column. */
  readonly error: string | undefined;
  /** Those of the mailbox, as far as they are known. */
  readonly folders: readonly string[];
  readonly change: (update: (draft: Draft) => Draft) => void;
}

export function idOf(column: string): string {
  return `field-${column}`;
}

/** One field with its label, its hint and what is wrong with it. */
export function FieldView(props: FieldViewProps) {
  const { field, draft, error } = props;
  if (field.shownWhen?.(draft) === false) return null;
  const id = idOf(field.column);
  const fixed = field.fixed?.(draft);
  const hint = hintOf(props, fixed);
  return (
    <div class={`field ${field.kind} ${field.column}${error === undefined ? '' : ' wrong'}`}>
      {field.kind === 'flag' ? (
        <div class="check">
          <Control {...props} fixed={fixed} />
          <label for={id}>{field.label}</label>
        </div>
      ) : (
        <>
          <label for={id}>{field.label}</label>
          <Control {...props} fixed={fixed} />
        </>
      )}
      {hint !== undefined && (
        <p class="hint" id={`${id}-hint`}>
          {hint}
        </p>
      )}
      {error !== undefined && (
        <p class="field-error" id={`${id}-error`}>
          {error}
        </p>
      )}
    </div>
  );
}

type ControlProps = FieldViewProps & { readonly fixed: string | undefined };

function Control(props: ControlProps) {
  const { field } = props;
  if (field.kind === 'flag') return <Flag {...props} field={field} />;
  if (field.kind === 'choice') return <Choice {...props} field={field} />;
  return <Text {...props} field={field} />;
}

function Flag({ field, draft, change, fixed, ...rest }: ControlProps & { field: FlagField }) {
  const isFixed = fixed !== undefined && field.fixedTo !== undefined;
  return (
    <input
      {...commonOf({ field, draft, change, fixed, ...rest })}
      type="checkbox"
      checked={isFixed ? field.fixedTo : draft.flags[field.column]}
      onChange={({ currentTarget }) => {
        const { checked } = currentTarget;
        change((before) => setFlag(before, field.column, checked));
      }}
    />
  );
}

function Choice({ field, draft, change, ...rest }: ControlProps & { field: ChoiceField }) {
  const value = draft.texts[field.column];
  const isKnown = field.options.some(([option]) => option === value);
  return (
    <select
      {...commonOf({ field, draft, change, ...rest })}
      value={value}
      onChange={({ currentTarget }) => {
        const chosen = currentTarget.value;
        change((before) => setText(before, field.column, chosen));
      }}
    >
      {!isKnown && <option value={value}>{value}</option>}
      {field.options.map(([option, label]) => (
        <option key={option} value={option}>
          {label}
        </option>
      ))}
    </select>
  );
}

function Text({ field, draft, change, stored, folders, ...rest }: ControlProps & { field: TextField }) {
  const common = {
    ...commonOf({ field, draft, change, stored, folders, ...rest }),
    value: draft.texts[field.column],
    spellcheck: false,
    autocapitalize: 'none' as const,
    placeholder: field.kind === 'secret' ? placeholderOf(field, stored) : (field.placeholder ?? ''),
    onInput: ({ currentTarget: { value } }: { currentTarget: HTMLInputElement | HTMLTextAreaElement }) =>
      change((before) => setText(before, field.column, value)),
  };
  if (field.kind === 'area') return <textarea {...common} rows={4} />;
  if (field.kind === 'secret') return <Secret label={field.label} common={common} />;
  const isFolder = field.column === 'folder' || field.column === 'moveToFolder';
  const hasChoices = isFolder && folders.length > 0;
  const input = (
    <input
      {...common}
      inputMode={field.kind === 'number' ? 'numeric' : 'text'}
      autocomplete="off"
      list={hasChoices ? `${common.id}-choices` : undefined}
      onBlur={() => field.column === 'port' && change(leavePort)}
    />
  );
  if (hasChoices) {
    return (
      <>
        {input}
        <datalist id={`${common.id}-choices`}>
          {folders.map((name) => (
            <option key={name} value={name} />
          ))}
        </datalist>
      </>
    );
  }
  if (field.unit === undefined) return input;
  return (
    <div class="with-unit">
      {input}
      <span aria-hidden="true">{field.unit}</span>
    </div>
  );
}

/** What is typed is hidden until it is asked for; what is stored is never known here. */
function Secret({
  label,
  common,
}: {
  label: string;
  common: ReturnType<typeof commonOf> & { value: string };
}) {
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

function commonOf({ field, draft, error, fixed, stored }: ControlProps) {
  const id = idOf(field.column);
  const hint = hintOf({ field, draft, stored }, fixed) === undefined ? '' : `${id}-hint`;
  const described = error === undefined ? hint : `${hint} ${id}-error`.trim();
  return {
    id,
    disabled: fixed !== undefined,
    'aria-invalid': error !== undefined,
    ...(described === '' ? {} : { 'aria-describedby': described }),
  };
}

function isStored({ column }: Field, stored: Connection | undefined): boolean {
  return stored?.[`${column}Set`] === true;
}

function placeholderOf(field: Field, stored: Connection | undefined): string {
  return isStored(field, stored) ? '••••••••' : '';
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
