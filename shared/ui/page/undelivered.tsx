import { useRef, useState } from 'preact/hooks';
import { forEachOf } from '../../wait/parallel.ts';
import {
  allUndelivered,
  giveUpUndelivered,
  listUndelivered,
  type UndeliveredPage as RecordPage,
  resendUndelivered,
} from './api.ts';
import { OwnerChoice } from './journal/mailsPage.tsx';
import { Waiting } from './list/connectionList.tsx';
import { Confirm } from './modal.tsx';
import type { Connection, Undelivered } from './model.ts';
import { type Polled, usePolled } from './polled.ts';
import { RecordTable } from './recordTable.tsx';
import { type Route, setQuery } from './route.ts';
import { useShell } from './shell.ts';
import { counted } from './words.ts';

const atOnce = 4;
/** What one click on “all” may be about. */
const mostAtOnce = 5_000;

interface UndeliveredPageProps {
  readonly route: Route;
  readonly connections: readonly Connection[] | undefined;
  /** Told how many there are, after a change. */
  readonly changed: () => void;
}

/** What can be done with all of a filter. */
const actions = {
  resend: {
    verb: 'Resend',
    text: 'All of them are tried again within a minute, abandoned ones too. A queue with duplicate detection drops what it has already.',
    action: 'Resend all',
    isDangerous: false,
    work: resendUndelivered,
    done: 'will be sent within a minute',
  },
  giveUp: {
    verb: 'Give up',
    text: 'They are removed with what they hold, and are never sent. This can’t be taken back.',
    action: 'Give up for good',
    isDangerous: true,
    work: giveUpUndelivered,
    done: 'given up',
  },
} as const;

/** Mails that were picked up and could not be sent: the catastrophic retry's records. */
export function UndeliveredPage({ route: { query }, ...rest }: UndeliveredPageProps) {
  // Another filter is another page.
  return <FilteredPage key={query.toString()} query={query} {...rest} />;
}

function FilteredPage({
  query,
  connections,
  changed,
}: Omit<UndeliveredPageProps, 'route'> & { query: Route['query'] }) {
  const shell = useShell();
  const { notify, fail } = shell;
  const filter = { customer: query.get('customer') ?? '', connection: query.get('connection') ?? '' };
  /** The interchangeId of the only one that is meant; empty: all of the filter. */
  const mail = query.get('mail') ?? '';
  const [pages, setPages] = useState(1);
  const [asks, setAsks] = useState<keyof typeof actions>();
  /** The ids of its records: to find them all are read, once. */
  const found = useRef<readonly string[]>(undefined);
  const records: Polled<RecordPage> = usePolled(async () => {
    if (mail === '') return await listUndelivered(filter, Math.min(pages * 100, 1_000));
    const isMeant = ({ interchangeId }: Undelivered) => interchangeId === mail;
    if (found.current === undefined) {
      const undelivered = (await allUndelivered(filter, mostAtOnce)).filter(isMeant);
      found.current = undelivered.map(({ id }) => id);
      return { undelivered };
    }
    // An id without its end sorts just before it.
    const again = found.current.map((id) => listUndelivered({ after: id.slice(0, -1) }, 1));
    return { undelivered: (await Promise.all(again)).flatMap((page) => page.undelivered).filter(isMeant) };
  }, shell);
  const { data, error, reload } = records;
  const doAll = async ({ work, done }: (typeof actions)[keyof typeof actions]): Promise<void> => {
    try {
      const meant = mail === '' ? await allUndelivered(filter, mostAtOnce) : (data?.undelivered ?? []);
      await forEachOf(meant, atOnce, ({ id }) => work(id));
      notify(`${counted(meant.length, 'mail')} ${done}.`);
    } catch (caught) {
      fail(caught);
    }
    reload();
    changed();
  };
  const asked = asks && actions[asks];
  const hasSome = data !== undefined && data.undelivered.length > 0;
  const what = filter.connection || filter.customer || mail ? 'of this filter' : 'there are';

  return (
    <>
      <div class="heading">
        <div>
          <h1 tabIndex={-1}>Undelivered</h1>
          <p class="summary" role="status">
            {data !== undefined ? summaryOf(data) : error === undefined ? 'Loading…' : ''}
          </p>
        </div>
        <div class="buttons">
          <button type="button" class="danger" disabled={!hasSome} onClick={() => setAsks('giveUp')}>
            Give all up…
          </button>
          <button type="button" class="primary" disabled={!hasSome} onClick={() => setAsks('resend')}>
            Resend all
          </button>
        </div>
      </div>
      <search class="filters">
        <OwnerChoice query={query} connections={connections} />
        {mail !== '' && (
          <p class="one-mail">
            One mail only.{' '}
            <button type="button" class="quiet" onClick={() => setQuery({ mail: '' })}>
              Show all
            </button>
          </p>
        )}
      </search>
      {error !== undefined && data !== undefined && (
        <p class="banner trouble" role="alert">
          What you see is not up to date: {error.message}
        </p>
      )}
      {data === undefined && <Waiting error={error} retry={reload} />}
      {data !== undefined && !hasSome && (
        <div class="empty">
          <h2>{what === 'there are' ? 'Everything was delivered' : 'None of this filter waits'}</h2>
          <p>
            A mail that was picked up and could not be pushed to its queue waits here, and is tried again by
            itself.
          </p>
        </div>
      )}
      {hasSome && (
        <RecordTable
          records={data.undelivered}
          showsConnection
          reload={() => {
            reload();
            changed();
          }}
        />
      )}
      {data?.next !== undefined && pages < 10 && (
        <p class="pager">
          <button
            type="button"
            onClick={() => {
              setPages(pages + 1);
              reload();
            }}
          >
            Older ones
          </button>
        </p>
      )}
      {asked && (
        <Confirm
          {...asked}
          title={`${asked.verb} all that ${what}?`}
          confirm={() => doAll(asked)}
          close={() => setAsks(undefined)}
        />
      )}
    </>
  );
}

function summaryOf({ undelivered, next }: RecordPage): string {
  const abandoned = undelivered.filter(({ status }) => status === 'abandoned').length;
  const newest = next === undefined ? '' : 'the newest ';
  const kept = abandoned === 0 ? '' : ` · ${abandoned.toLocaleString('en')} abandoned`;
  return `${newest}${counted(undelivered.length, 'mail')}${kept}`;
}
