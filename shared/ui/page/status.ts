import { type Connection, textOf } from './model.ts';

export type StatusKind = 'failing' | 'running' | 'ok' | 'skipped' | 'disabled' | 'new';

export const statusNames: Readonly<Record<StatusKind, string>> = {
  failing: 'Failing',
  running: 'Running',
  ok: 'OK',
  skipped: 'Skipped',
  new: 'Not run yet',
  disabled: 'Disabled',
};

export interface Status {
  readonly kind: StatusKind;
  readonly label: string;
  /** More of it, where there is more; else empty. */
  readonly note: string;
  /** Whether something is wrong, also while the next try runs. */
  readonly isFailing: boolean;
  /** Why it fails, in full; empty where nothing is wrong. */
  readonly error: string;
}

/** As old as this, a running run's heartbeat tells that it has died. */
const staleHeartbeatMs = 120_000;

export function statusOf(connection: Connection, nowMs: number): Status {
  const { state } = connection;
  const failures = state.consecutiveFailures ?? 0;
  const error = state.lastError ?? '';
  if (textOf(connection, 'enabled').toLowerCase() === 'false') {
    return { kind: 'disabled', label: statusNames.disabled, note: '', isFailing: false, error: '' };
  }
  const note = failures > 1 ? `${failures.toLocaleString('en')} times in a row` : '';
  const status = (kind: StatusKind, label = statusNames[kind]): Status => {
    // A run that was skipped says something only where the lease has been taken for long.
    const isFailing = kind === 'failing' || failures > 0 || (kind === 'skipped' && error !== '');
    return { kind, label, note: isFailing ? note : '', isFailing, error: isFailing ? error : '' };
  };
  switch (state.lastStatus) {
    case 'failed':
      return status('failing', 'Failed');
    case 'running': {
      const isAlive = nowMs - Date.parse(state.heartbeatAt ?? '') <= staleHeartbeatMs;
      if (isAlive) return status('running');
      const died = 'The run ended without saying how; the next one starts by itself.';
      return { ...status('failing', 'Died'), error: died };
    }
    case 'ok':
    case 'skipped':
      return status(state.lastStatus);
    default:
      return status('new');
  }
}
