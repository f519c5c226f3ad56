import type { FoundMail } from '../../../journal/found.ts';
import { findMails, serverNow } from '../api.ts';
import { Waiting } from '../list/connectionList.tsx';
import type { Connection, JournalPage } from '../model.ts';
import { useNow } from '../polled.ts';
import { type Route, setQuery } from '../route.ts';
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
        <div class="field grow">
          <label for="mails-q">Search</label>
          <input
            id="mails-q"
            type="search"
            value={q}
            maxLength={256}
            placeholder={
              page?.journal === 'ids' ? 'A whole Message-ID' : 'Message-ID, subject, address, file name…'
            }
            onInput={({ currentTarget }) => setQuery({ q: currentTarget.value })}
          />
        </div>
        <OwnerChoice customer={customer} connection={connection} connections={connections} />
        <div class="field">
          <label for="mails-window">Time</label>
          <select
            id="mails-window"
            value={window.name}
            onChange={({ currentTarget }) => setQuery({ window: currentTarget.value, from: '', to: '' })}
          >
            {windows.map(({ name, words }) => (
              <option key={name} value={name}>
                {words}
              </option>
            ))}
          </select>
        </div>
        {window.name === 'between' && (
          <>
            <Moment label="From" name="from" value={query.get('from') ?? ''} />
            <Moment label="To" name="to" value={query.get('to') ?? ''} />
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
        <table class={`rows mails${showsConnection ? '' : ' of-one'}`}>
          <caption class="hidden">Mails, newest first</caption>
          <thead>
            <tr>
              <th scope="col">Time</th>
              <th scope="col">Mail</th>
              {showsConnection && <th scope="col">Connection</th>}
              <th scope="col">Size</th>
              <th scope="col">Outcome</th>
            </tr>
          </thead>
          {page.found.map((mail) => (
            <MailRow
              key={`${mail.interchangeId} ${mail.at}`}
              mail={mail}
              nowMs={nowMs}
              showsConnection={showsConnection}
            />
          ))}
        </table>
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

/** Why there is no subject, or no journal at all. */
export function JournalNote({ page }: { page: JournalPage<unknown> | undefined }) {
  if (page?.journal === 'ids') {
    return (
      <p class="banner">
        The app setting JOURNAL is ids: subjects, addresses and file names are not kept, and a Message-ID only
        as a hash. Search for a whole Message-ID.
      </p>
    );
  }
  if (page?.journal !== 'off') return null;
  return (
    <p class="banner">
      The app setting JOURNAL is off: nothing is kept of mails and runs. Older lines may still be found here.
    </p>
  );
}

function summaryOf({ found, next }: JournalPage<FoundMail>, words: string): string {
  const more = next === undefined ? '' : ' and more';
  return `${counted(found.length, 'mail')}${more} · ${words.toLowerCase()}`;
}

interface OwnerChoiceProps {
  readonly customer?: string | undefined;
  readonly connection?: string | undefined;
  readonly connections: readonly Connection[] | undefined;
}

/** Whose mails are told: a customer's, or a connection's, as the address filters them. */
export function OwnerChoice({ customer = '', connection = '', connections = [] }: OwnerChoiceProps) {
  const ofCustomer = connections.filter((each) => customer === '' || each.customer === customer);
  const sorted = (names: readonly string[]) => [...new Set(names)].sort();
  return (
    <>
      <Choice
        label="Customer"
        name="customer"
        value={customer}
        options={sorted(connections.map((each) => each.customer))}
      />
      <Choice
        label="Connection"
        name="connection"
        value={connection}
        options={sorted(ofCustomer.map((each) => each.connection))}
      />
    </>
  );
}

interface ChoiceProps {
  readonly label: string;
  readonly name: string;
  readonly value: string;
  readonly options: readonly string[];
}

/** A filter of the address that is one of some names. */
function Choice({ label, name, value, options }: ChoiceProps) {
  const id = `choose-${name}`;
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <select
        id={id}
        value={value}
        onChange={({ currentTarget }) => setQuery({ [name]: currentTarget.value })}
      >
        <option value="">All</option>
        {value !== '' && !options.includes(value) && <option value={value}>{value}</option>}
        {options.map((option) => (
          <option key={option} value={option}>
            {option}
          </option>
        ))}
      </select>
    </div>
  );
}

function Moment({ label, name, value }: { label: string; name: string; value: string }) {
  return (
    <div class="field">
      <label for={`mails-${name}`}>{label}</label>
      <input
        id={`mails-${name}`}
        type="datetime-local"
        value={value}
        onInput={({ currentTarget }) => setQuery({ [name]: currentTarget.value })}
      />
    </div>
  );
}
