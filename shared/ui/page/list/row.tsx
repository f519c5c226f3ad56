import { useState } from 'preact/hooks';
import type { Connections } from '../connections.ts';
import { type Connection, defaultPort, isPop3, textOf } from '../model.ts';
import { hrefOf } from '../route.ts';
import { ago, ahead, exact, schedule, span } from '../words.ts';
import { Chart } from './chart.tsx';
import { mailsToday } from './lastDay.ts';
import { DeleteDialog, MoreActions } from './moreActions.tsx';
import type { Row } from './rows.ts';
import { StatusMark } from './statusMark.tsx';

interface ConnectionRowProps {
  readonly row: Row;
  readonly nowMs: number;
  readonly connections: Connections;
  readonly isSelected: boolean;
  readonly select: (isOn: boolean) => void;
}

export function ConnectionRow({ row, nowMs, connections, isSelected, select }: ConnectionRowProps) {
  const { connection, status, id } = row;
  const { state, customer, connection: name } = connection;
  const [asksDelete, setAsksDelete] = useState(false);
  const cron = textOf(connection, 'cron');
  return (
    <tbody class={status.isFailing ? 'failing' : status.kind}>
      <tr>
        <th scope="row">
          <input
            type="checkbox"
            class="select"
            aria-label={`Select ${id}`}
            checked={isSelected}
            onChange={({ currentTarget }) => select(currentTarget.checked)}
          />
          <a href={hrefOf('show', connection)}>
            <span class="customer">{customer}/</span>
            {name}
          </a>
          <span class="sub">{serverOf(connection)}</span>
        </th>
        <td data-label="Status">
          <StatusMark status={status} />
        </td>
        <td data-label="Schedule">
          {cron === '' ? schedule(connection) : cron}
          {cron !== '' && <span class="sub">{textOf(connection, 'timeZone') || 'UTC'}</span>}
        </td>
        <td data-label="Last run" title={exact(state.lastRunStartedAt)}>
          {lastRun(row, nowMs)}
        </td>
        <td data-label="Last mail" title={exact(state.lastMailAt)}>
          {state.lastMailAt === undefined ? '–' : ago(state.lastMailAt, nowMs)}
          <span class="sub">{mailsToday(state.history, nowMs).toLocaleString('en')} today</span>
        </td>
        <td data-label="Next run" title={exact(state.nextRunAt)}>
          {status.kind === 'disabled' ? '–' : ahead(state.nextRunAt, nowMs)}
        </td>
        <td data-label="Last day">
          <Chart history={state.history} nowMs={nowMs} />
        </td>
        <td class="actions">
          <button
            type="button"
            disabled={connections.busy.has(id) || status.kind === 'disabled'}
            onClick={() => connections.poll(connection)}
          >
            {connections.busy.get(id) === 'polled' ? 'Polling…' : 'Poll now'} <span class="hidden">{id}</span>
          </button>
          <MoreActions row={row} connections={connections} askDelete={() => setAsksDelete(true)} />
          {asksDelete && (
            <DeleteDialog
              connection={connection}
              remove={() => connections.remove(connection)}
              close={() => setAsksDelete(false)}
            />
          )}
        </td>
      </tr>
      {status.error !== '' && (
        <tr class="why">
          <td colSpan={8}>{status.error}</td>
        </tr>
      )}
    </tbody>
  );
}

export function serverOf(connection: Connection): string {
  const protocol = isPop3(connection) ? 'POP3' : 'IMAP';
  const useSsl = textOf(connection, 'useSsl').toLowerCase() !== 'false';
  const port = textOf(connection, 'port') || defaultPort(protocol, useSsl);
  return `${protocol} · ${textOf(connection, 'host')}:${port}`;
}

export function lastRun({ connection, status }: Row, nowMs: number): string {
  const { lastRunStartedAt } = connection.state;
  if (status.kind !== 'running' || lastRunStartedAt === undefined) return ago(lastRunStartedAt, nowMs);
  return `for ${span(nowMs - Date.parse(lastRunStartedAt))}`;
}
