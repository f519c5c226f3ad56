import type { FoundMail } from '../../../journal/found.ts';
import { findMails, serverNow } from '../api.ts';
import { anyOf, Field, QueryChoice, SearchField } from '../field.tsx';
import { Waiting } from '../list/connectionList.tsx';
import type { Connection, JournalPage } from '../model.ts';
import { useNow } from '../polled.ts';
import { type Route, setQuery } from '../route.ts';
import { Table } from '../table.tsx';
import { counted } from '../words.ts';
import { MailRow } from './mailRow.tsx';
import { type Search, useSearch } from './search.ts';
import { readWindow, timesOf, windows } from './window.ts';

interface MailsPageProps {
  readonly route: Route;
  readonly connections: readonly Connection[] | undefined;
}

/** Where is my mail? What left the unread ones, by search, connection and time. */
export function MailsPage({ route: { query }, connections }: MailsPageProps) {
  const nowMs = useNow(serverNow);
  const [q, customer, connection] = ['q', 'customer', 'connection'].map((name) => query.get(name) ?? '');
  const window = readWindow(query);
  const search = useSearch(findMails, query.toString(), () => ({
    q,
    customer,
    connection,
    ...timesOf(query),
  }));
  const { page, isLoading } = search;

  return (
    <>
      <div class="heading">
        <div>
          <h1 tabIndex={-1}>Mails</h1>
          <p class="summary" role="status">
            {isLoading ? 'Searching…' : page === undefined ? '' : summaryOf(page, window.words)}
          </p>
        </div>
        <button type="button" disabled={isLoading} onClick={search.reload}>
          Search again
        </button>
      </div>
      <search class="filters mails-filters">
        <SearchField
          query={query}
          maxLength={256}
          placeholder={
            page?.journal === 'ids' ? 'A whole Message-ID' : 'Message-ID, subject, address, file name…'
          }
        />
        <OwnerChoice query={query} connections={connections} />
        <QueryChoice
          label="Time"
          name="window"
          query={query}
          options={windows.map(({ name, words }) => [name, words])}
          clears={{ from: '', to: '' }}
        />
        {window.name === 'between' && (
          <>
            <Moment label="From" name="from" query={query} />
            <Moment label="To" name="to" query={query} />
          </>
        )}
      </search>
      <JournalNote page={page} />
      <Mails
        search={search}
        nowMs={nowMs}
        showsConnection
        isFiltered={Boolean(q || customer || connection)}
      />
    </>
  );
}

interface MailsProps {
  readonly search: Search<FoundMail>;
  readonly nowMs: number;
  readonly showsConnection: boolean;
  readonly isFiltered: boolean;
}

/** What a search for mails has found. */
export function Mails({ search, nowMs, showsConnection, isFiltered }: MailsProps) {
  const { page, error, isLoading, loadMore, reload } = search;
  if (page === undefined || (isLoading && page.found.length === 0)) {
    return <Waiting error={error} retry={reload} />;
  }
  return (
    <>
      {page.found.length === 0 && page.next === undefined && page.journal !== 'off' && (
        <div class="empty">
          <h2>{isFiltered ? 'No such mail was picked up' : 'No mail was picked up'}</h2>
          <p>
            {isFiltered
              ? 'In this time no mail that matches has left the unread ones of a mailbox. If it was sent, it has not reached the mailbox, or still waits there: look at the connection’s last run.'
              : 'In this time no mail has left the unread ones of a mailbox.'}
          </p>
        </div>
      )}
      {page.found.length > 0 && (
        <Table
          kind={`mails${showsConnection ? '' : ' of-one'}`}
          caption="Mails, newest first"
          columns={['Time', 'Mail', ...(showsConnection ? ['Connection'] : []), 'Size', 'Outcome']}
        >
          {page.found.map((mail) => (
            <MailRow
              key={`${mail.interchangeId} ${mail.at}`}
              mail={mail}
              nowMs={nowMs}
              showsConnection={showsConnection}
            />
          ))}
        </Table>
      )}
      {page.incomplete !== undefined && <p class="banner">{page.incomplete}</p>}
      {error !== undefined && (
        <p class="banner trouble" role="alert">
          {error.message}
        </p>
      )}
      {page.next !== undefined && (
        <p class="pager">
          <button type="button" disabled={isLoading} onClick={loadMore}>
            {isLoading ? 'Searching…' : 'Older ones'}
          </button>
        </p>
      )}
    </>
  );
}

const journalNotes = {
  full: undefined,
  ids: 'The app setting JOURNAL is ids: subjects, addresses and file names are not kept, and a Message-ID only as a hash. Search for a whole Message-ID.',
  off: 'The app setting JOURNAL is off: nothing is kept of mails and runs. Older lines may still be found here.',
};

/** Why there is no subject, or no journal at all. */
export function JournalNote({ page }: { page: JournalPage<unknown> | undefined }) {
  const note = page && journalNotes[page.journal];
  return note === undefined ? null : <p class="banner">{note}</p>;
}

function summaryOf({ found, next }: JournalPage<FoundMail>, words: string): string {
  const more = next === undefined ? '' : ' and more';
  return `${counted(found.length, 'mail')}${more} · ${words.toLowerCase()}`;
}

interface OwnerChoiceProps {
  readonly query: Route['query'];
  readonly connections: readonly Connection[] | undefined;
}

/** Whose mails are told: a customer's, or a connection's, as the address filters them. */
export function OwnerChoice({ query, connections = [] }: OwnerChoiceProps) {
  const customer = query.get('customer') ?? '';
  const ofCustomer = connections.filter((each) => customer === '' || each.customer === customer);
  return (
    <>
      <QueryChoice
        label="Customer"
        name="customer"
        query={query}
        options={anyOf(connections.map((each) => each.customer))}
      />
      <QueryChoice
        label="Connection"
        name="connection"
        query={query}
        options={anyOf(ofCustomer.map((each) => each.connection))}
      />
    </>
  );
}

function Moment({ label, name, query }: { label: string; name: string; query: Route['query'] }) {
  const id = `filter-${name}`;
  return (
    <Field id={id} label={label} kind="moment">
      <input
        id={id}
        type="datetime-local"
        value={query.get(name) ?? ''}
        onInput={({ currentTarget }) => setQuery({ [name]: currentTarget.value })}
      />
    </Field>
  );
}
