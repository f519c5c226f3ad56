import { type Route, setQuery } from '../route.ts';
import { type Filter, filterRows, type Row, type StatusKind, statusNames } from '../status.ts';

export const noFilter: Filter = { customer: '', status: '', text: '', cause: '' };
const kinds = Object.keys(statusNames) as StatusKind[];

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

interface FilterBarProps {
  readonly rows: readonly Row[];
  readonly filter: Filter;
}

export function FilterBar({ rows, filter }: FilterBarProps) {
  const customers = [...new Set(rows.map(({ connection }) => connection.customer))].sort();
  return (
    <search class="filters">
      <div class="field grow">
        <label for="filter-text">Search</label>
        <input
          id="filter-text"
          type="search"
          placeholder="Name, host, user, error…"
          value={filter.text}
          onInput={({ currentTarget }) => setQuery({ q: currentTarget.value, page: '' })}
        />
      </div>
      <div class="field">
        <label for="filter-customer">Customer</label>
        <select
          id="filter-customer"
          value={filter.customer}
          onChange={({ currentTarget }) => setQuery({ customer: currentTarget.value, page: '' })}
        >
          <option value="">All</option>
          {customers.map((customer) => (
            <option key={customer} value={customer}>
              {customer}
            </option>
          ))}
        </select>
      </div>
      <div class="field">
        <label for="filter-status">Status</label>
        <select
          id="filter-status"
          value={filter.status}
          onChange={({ currentTarget }) => setQuery({ status: currentTarget.value, page: '' })}
        >
          <option value="">All</option>
          {kinds.map((kind) => (
            <option key={kind} value={kind}>
              {`${statusNames[kind]} (${filterRows(rows, { ...noFilter, status: kind }).length.toLocaleString('en')})`}
            </option>
          ))}
        </select>
      </div>
    </search>
  );
}
