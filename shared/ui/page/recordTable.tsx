import { useState } from 'preact/hooks';
import { giveUpUndelivered, readUndelivered, resendUndelivered, serverNow } from './api.ts';
import { Facts, Parts, Sender } from './journal/mailRow.tsx';
import { Confirm } from './modal.tsx';
import type { Undelivered } from './model.ts';
import { useLoaded, useNow } from './polled.ts';
import { hrefOf } from './route.ts';
import { useShell } from './shell.ts';
import { Opener, Table } from './table.tsx';
import { ahead, counted, exact, span } from './words.ts';

interface RecordTableProps {
  readonly records: readonly Undelivered[];
  readonly showsConnection: boolean;
  readonly reload: () => void;
}

/** Undelivered mails, each with what can be done with it. */
export function RecordTable({ records, showsConnection, reload }: RecordTableProps) {
  const nowMs = useNow(serverNow);
  return (
    <Table
      kind={`undelivered${showsConnection ? '' : ' of-one'}`}
      caption="Undelivered mails, newest first"
      columns={['Mail', ...(showsConnection ? ['Connection'] : []), 'Age', 'Tries', 'Next try', '']}
    >
      {records.map((record) => (
        <RecordRow
          key={record.id}
          record={record}
          nowMs={nowMs}
          showsConnection={showsConnection}
          reload={reload}
        />
      ))}
    </Table>
  );
}

interface RecordRowProps extends Omit<RecordTableProps, 'records'> {
  readonly record: Undelivered;
  readonly nowMs: number;
}

function RecordRow({ record, nowMs, showsConnection, reload }: RecordRowProps) {
  const { notify, fail } = useShell();
  const [isBusy, setIsBusy] = useState(false);
  const [asks, setAsks] = useState(false);
  const [isOpen, setIsOpen] = useState(false);
  const subject = record.emailSubject || '(no subject)';
  const isAbandoned = record.status === 'abandoned';
  const columns = showsConnection ? 6 : 5;
  const act = async (work: (id: string) => Promise<void>, done: string): Promise<void> => {
    setIsBusy(true);
    try {
      await work(record.id);
      notify(done);
    } catch (caught) {
      fail(caught);
    }
    setIsBusy(false);
    reload();
  };
  return (
    <tbody class={isAbandoned ? 'failing' : ''}>
      <tr>
        <th scope="row">
          <Opener panel={`record-${record.id}`} isOpen={isOpen} open={setIsOpen} text={subject} />
          <Sender from={record.emailFrom} date={record.emailDate} />
          <span class="sub">
            {record.partsLeft} of {counted(record.partCount, 'part')} left · queue {record.queueName}
          </span>
        </th>
        {showsConnection && (
          <td data-label="Connection">
            <a href={hrefOf('show', record)}>
              {record.customer}/{record.connection}
            </a>
          </td>
        )}
        <td data-label="Age" title={exact(record.storedAt)}>
          {span(nowMs - Date.parse(record.storedAt))}
        </td>
        <td data-label="Tries">{record.tries.toLocaleString('en')}</td>
        <td data-label="Next try" title={exact(record.nextTryAt)}>
          {isAbandoned ? 'Abandoned' : ahead(record.nextTryAt, nowMs)}
        </td>
        <td class="actions">
          <button
            type="button"
            disabled={isBusy}
            onClick={() => act(resendUndelivered, '1 mail will be sent within a minute.')}
          >
            Resend <span class="hidden">{subject}</span>
          </button>
          <button type="button" class="danger" disabled={isBusy} onClick={() => setAsks(true)}>
            Give up… <span class="hidden">{subject}</span>
          </button>
          {asks && (
            <Confirm
              title="Give this mail up?"
              text={
                <>
                  “<bdi>{subject}</bdi>” is removed with what it holds, and is never sent. This can’t be taken
                  back.
                </>
              }
              action="Give up for good"
              isDangerous
              confirm={() => act(giveUpUndelivered, '1 mail given up.')}
              close={() => setAsks(false)}
            />
          )}
        </td>
      </tr>
      {record.lastError !== '' && (
        <tr class="why">
          <td colSpan={columns}>{record.lastError}</td>
        </tr>
      )}
      <tr class="details" id={`record-${record.id}`} hidden={!isOpen}>
        {isOpen && (
          <td colSpan={columns}>
            <RecordDetails record={record} />
          </td>
        )}
      </tr>
    </tbody>
  );
}

function RecordDetails({ record }: { record: Undelivered }) {
  const { data, error } = useLoaded(record.id, () => readUndelivered(record.id));
  return (
    <div class="mail-details">
      <Facts
        facts={[
          ['interchangeId', record.interchangeId],
          ['Message-ID', record.emailMessageId],
          ['Last try', record.lastTryAt && exact(record.lastTryAt)],
        ]}
      />
      {error !== undefined && <p class="field-error">{error.message}</p>}
      {data !== undefined && <Parts parts={data.parts} label="Parts still to be sent" />}
    </div>
  );
}
