import { anyOf, QueryChoice, SearchField } from '../field.tsx';
import { type Route, setQuery } from '../route.ts';
import { type StatusKind, statusNames } from '../status.ts';
import { type Filter, filterRows, type Row } from './rows.ts';

const kinds = Object.keys(statusNames) as StatusKind[];
const firstPage = { page: '' } as const;

/** The filter that stands in the address. */
export function readFilter({ query }: Route): Filter {
  return {
    customer: query.get('customer') ?? '',
    status: kinds.find((kind) => kind === query.get('status')) ?? '',
    text: query.get('q') ?? '',
    cause: query.get('cause') ?? '',
  };
}

export function clearFilter(): void {
  setQuery({ customer: '', status: '', q: '', cause: '', page: '' });
}

export function FilterBar({ rows, query }: { rows: readonly Row[]; query: Route['query'] }) {
  const nameOf = (kind: StatusKind) =>
    `${statusNames[kind]} (${filterRows(rows, { customer: '', text: '', status: kind }).length.toLocaleString('en')})`;
  return (
    <search class="filters">
      <SearchField query={query} placeholder="Name, host, user, error…" />
      <QueryChoice
        label="Customer"
        name="customer"
        query={query}
        options={anyOf(rows.map(({ connection }) => connection.customer))}
        clears={firstPage}
      />
      <QueryChoice
        label="Status"
        name="status"
        query={query}
        options={[['', 'All'], ...kinds.map((kind) => [kind, nameOf(kind)] as const)]}
        clears={firstPage}
      />
    </search>
  );
}
