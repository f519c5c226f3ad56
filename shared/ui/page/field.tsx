import type { ComponentChildren } from 'preact';
import { type Route, setQuery } from './route.ts';

interface FieldProps {
  readonly id: string;
  readonly label: string;
  readonly hint?: string | undefined;
  readonly error?: string | undefined;
  /** What it is, for its style; a `flag` has its label behind it. */
  readonly kind?: string;
  readonly children: ComponentChildren;
}

/** A control with its label, its hint and what is wrong with it. */
export function Field({ id, label, hint, error, kind = '', children }: FieldProps) {
  const name = <label for={id}>{label}</label>;
  return (
    <div class={`field ${kind}${error ? ' wrong' : ''}`}>
      {kind.startsWith('flag') ? (
        <div class="check">
          {children}
          {name}
        </div>
      ) : (
        <>
          {name}
          {children}
        </>
      )}
      {hint && (
        <p class="hint" id={`${id}-hint`}>
          {hint}
        </p>
      )}
      {error && (
        <p class="field-error" id={`${id}-error`}>
          {error}
        </p>
      )}
    </div>
  );
}

/** By what a screen reader tells a field's hint and error. */
export function describedBy({ id, hint, error }: Pick<FieldProps, 'id' | 'hint' | 'error'>) {
  const ids = [hint && `${id}-hint`, error && `${id}-error`].filter(Boolean).join(' ');
  return { 'aria-invalid': Boolean(error), ...(ids === '' ? {} : { 'aria-describedby': ids }) };
}

export type Option = readonly [value: string, label: string];

interface SelectProps {
  readonly id: string;
  readonly value: string;
  /** A value that is none of them is offered as well. */
  readonly options: readonly Option[];
  readonly change: (value: string) => void;
  readonly disabled?: boolean;
}

export function Select({ options, value, change, ...rest }: SelectProps) {
  const isKnown = options.some(([option]) => option === value);
  return (
    <select {...rest} value={value} onChange={({ currentTarget }) => change(currentTarget.value)}>
      {[...(isKnown ? [] : [[value, value] as const]), ...options].map(([option, label]) => (
        <option key={option} value={option}>
          {label}
        </option>
      ))}
    </select>
  );
}

interface QueryChoiceProps {
  readonly label: string;
  /** The parameter of the address that it is. */
  readonly name: string;
  readonly query: Route['query'];
  readonly options: readonly Option[];
  /** What a change takes out of the address. */
  readonly clears?: Readonly<Record<string, ''>>;
}

/** A filter of the address that is one of some. */
export function QueryChoice({ label, name, query, options, clears = {} }: QueryChoiceProps) {
  const id = `filter-${name}`;
  return (
    <Field id={id} label={label}>
      <Select
        id={id}
        value={query.get(name) ?? ''}
        options={options}
        change={(value) => setQuery({ ...clears, [name]: value })}
      />
    </Field>
  );
}

/** Nothing, or one of these names. */
export function anyOf(names: readonly string[]): readonly Option[] {
  return [['', 'All'], ...[...new Set(names)].sort().map((name) => [name, name] as const)];
}

/** What is searched for, as it stands in the address. */
export function SearchField({
  query,
  ...rest
}: {
  query: Route['query'];
  placeholder: string;
  maxLength?: number;
}) {
  return (
    <Field id="filter-q" label="Search" kind="grow">
      <input
        id="filter-q"
        type="search"
        value={query.get('q') ?? ''}
        onInput={({ currentTarget }) => setQuery({ q: currentTarget.value, page: '' })}
        {...rest}
      />
    </Field>
  );
}
