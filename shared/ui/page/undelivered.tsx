import { useState } from 'preact/hooks';
import { maxUndelivered, resendUndelivered, serverNow } from './api.ts';
import { Waiting } from './list/connectionList.tsx';
import { Confirm } from './modal.tsx';
import type { Undelivered } from './model.ts';
import { type Polled, useNow } from './polled.ts';
import { hrefOf } from './route.ts';
import { useShell } from './shell.ts';
import { ahead, counted, exact, span } from './words.ts';

const atOnce = 4;

/** Mails that were picked up and could not be sent: the catastrophic retry's records. */
export function UndeliveredPage({ undelivered }: { undelivered: Polled<readonly Undelivered[]> }) {
  const { data, error, reload } = undelivered;
  const { notify, fail } = useShell();
  const nowMs = useNow(serverNow);
  const [asksAll, setAsksAll] = useState(false);
  const [sending, setSending] = useState<ReadonlySet<string>>(new Set());

  const resend = async (ids: readonly string[]): Promise<void> => {
    setSending(new Set(ids));
    try {
      const waiting = [...ids];
      const work = async (): Promise<void> => {
        for (let id = waiting.shift(); id !== undefined; id = waiting.shift()) await resendUndelivered(id);
      };
      await Promise.all(Array.from({ length: atOnce }, work));
      notify(`${counted(ids.length, 'mail')} will be sent within a minute.`);
    } catch (caught) {
      fail(caught);
    }
    setSending(new Set());
    reload();
  };

  return (
    <>
      <div class="heading">
        <div>
          <h1 tabIndex={-1}>Undelivered</h1>
          <p class="summary" role="status">
            {data === undefined ? 'Loading…' : summaryOf(data)}
          </p>
        </div>
        <button
          type="button"
          class="primary"
          disabled={data === undefined || data.length === 0 || sending.size > 0}
          onClick={() => setAsksAll(true)}
        >
          Resend all
        </button>
      </div>
      {error !== undefined && data !== undefined && (
        <p class="banner trouble" role="alert">
          What you see is not up to date: {error.message}
        </p>
      )}
      {data === undefined && <Waiting error={error} retry={reload} />}
      {data?.length === 0 && (
        <div class="empty">
          <h2>Everything was delivered</h2>
          <p>
            A mail that was picked up and could not be pushed to its queue waits here, and is tried again by
            itself.
          </p>
        </div>
      )}
      {data !== undefined && data.length > 0 && (
        <table class="rows undelivered">
          <caption class="hidden">Undelivered mails, newest first</caption>
          <thead>
            <tr>
              <th scope="col">Mail</th>
              <th scope="col">Connection</th>
              <th scope="col">Age</th>
              <th scope="col">Tries</th>
              <th scope="col">Next try</th>
              <th scope="col">
                <span class="hidden">Actions</span>
              </th>
            </tr>
          </thead>
          {data.map((record) => (
            <RecordRow
              key={record.id}
              record={record}
              nowMs={nowMs}
              isSending={sending.has(record.id)}
              resend={() => resend([record.id])}
            />
          ))}
        </table>
      )}
      {asksAll && data !== undefined && (
        <Confirm
          title={`Resend ${counted(data.length, 'mail')}?`}
          text="All of them are tried again within a minute, abandoned ones too. A queue with duplicate detection drops what it has already."
          action="Resend all"
          confirm={() => resend(data.map(({ id }) => id))}
          close={() => setAsksAll(false)}
        />
      )}
    </>
  );
}

interface RecordRowProps {
  readonly record: Undelivered;
  readonly nowMs: number;
  readonly isSending: boolean;
  readonly resend: () => void;
}

function RecordRow({ record, nowMs, isSending, resend }: RecordRowProps) {
  const subject = record.emailSubject || '(no subject)';
  const isAbandoned = record.status === 'abandoned';
  return (
    <tbody class={isAbandoned ? 'failing' : ''}>
      <tr>
        <th scope="row">
          {subject}
          <span class="sub">
            {record.partsLeft} of {counted(record.partCount, 'part')} left · queue {record.queueName}
          </span>
        </th>
        <td data-label="Connection">
          <a href={hrefOf('edit', record)}>
            {record.customer}/{record.connection}
          </a>
        </td>
        <td data-label="Age" title={exact(record.storedAt)}>
          {span(nowMs - Date.parse(record.storedAt))}
        </td>
        <td data-label="Tries">{record.tries.toLocaleString('en')}</td>
        <td data-label="Next try" title={exact(record.nextTryAt)}>
          {isAbandoned ? 'Abandoned' : ahead(record.nextTryAt, nowMs)}
        </td>
        <td class="actions">
          <button type="button" disabled={isSending} onClick={resend}>
            {isSending ? 'Resending…' : 'Resend'} <span class="hidden">{subject}</span>
          </button>
        </td>
      </tr>
      {record.lastError !== '' && (
        <tr class="why">
          <td colSpan={6}>{record.lastError}</td>
        </tr>
      )}
    </tbody>
  );
}

function summaryOf(records: readonly Undelivered[]): string {
  const abandoned = records.filter(({ status }) => status === 'abandoned').length;
  const newest = records.length >= maxUndelivered ? 'the newest ' : '';
  const kept = abandoned === 0 ? '' : ` · ${abandoned.toLocaleString('en')} abandoned`;
  return `${newest}${counted(records.length, 'mail')}${kept}`;
}
