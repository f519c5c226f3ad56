import { useState } from 'preact/hooks';
import { type Filter, filterRows, type Row, type StatusKind, statusNames } from '../status.ts';

export interface FilterState {
  readonly filter: Filter;
  /** From 0. */
  readonly page: number;
  readonly setFilter: (filter: Filter) => void;
  readonly setPage: (page: number) => void;
}

export const noFilter: Filter = { customer: '', status: '', text: '' };

/** Lives above the pages, so that coming back to the list finds it as it was. */
export function useFilter(): FilterState {
  const [filter, set] = useState<Filter>(noFilter);
  const [page, setPage] = useState(0);
  const setFilter = (changed: Filter): void => {
    set(changed);
    setPage(0);
  };
  return { filter, page, setFilter, setPage };
}

interface FilterBarProps {
  readonly rows: readonly Row[];
  readonly filter: Filter;
  readonly setFilter: (filter: Filter) => void;
}

export function FilterBar({ rows, filter, setFilter }: FilterBarProps) {
  const customers = [...new Set(rows.map(({ connection }) => connection.customer))].sort();
  const kinds = Object.keys(statusNames) as StatusKind[];
  return (
    <search class="filters">
      <div class="field grow">
        <label for="filter-text">Search</label>
        <input
          id="filter-text"
          type="search"
          placeholder="Name, host, user, error…"
          value={filter.text}
          onInput={({ currentTarget }) => setFilter({ ...filter, text: currentTarget.value })}
        />
      </div>
      <div class="field">
        <label for="filter-customer">Customer</label>
        <select
          id="filter-customer"
          value={filter.customer}
          onChange={({ currentTarget }) => setFilter({ ...filter, customer: currentTarget.value })}
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
          onChange={({ currentTarget }) =>
            setFilter({ ...filter, status: kinds.find((kind) => kind === currentTarget.value) ?? '' })
          }
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
