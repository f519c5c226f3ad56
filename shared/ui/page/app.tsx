import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import { ApiError, forgetKey, hasKey, hasStatus, listUndelivered, readVersion, serverNow } from './api.ts';
import { useConnections } from './connections.ts';
import { ConnectionPage } from './form/connectionPage.tsx';
import { MailsPage } from './journal/mailsPage.tsx';
import { KeyDialog } from './keyDialog.tsx';
import { ConnectionList } from './list/connectionList.tsx';
import { sortRows } from './list/rows.ts';
import { nameOf } from './model.ts';
import { useLoaded, usePolled } from './polled.ts';
import { type Route, useRoute } from './route.ts';
import { type Notice, type Shell, ShellContext } from './shell.ts';
import { ShowPage } from './show/showPage.tsx';
import { ImportPage } from './transfer/importPage.tsx';
import { UndeliveredPage } from './undelivered.tsx';

const fadeMs = 12_000;
/** Undelivered mails that are counted beside their page’s name. */
const maxBadge = 100;
const titles = {
  list: 'Connections',
  connections: 'Connections',
  mails: 'Mails',
  undelivered: 'Undelivered',
  new: 'New connection',
  import: 'Import connections',
} as const;

export function App() {
  const route = useRoute();
  const [notice, setNotice] = useState<Notice>();
  const [asksKey, setAsksKey] = useState(false);
  const shell = useMemo<Shell>(
    () => ({
      notify: (text) => setNotice({ kind: 'done', text }),
      fail: (error) => {
        if (hasStatus(error, 401)) return setAsksKey(true);
        setNotice({ kind: 'trouble', text: sentenceOf(error) });
      },
    }),
    [],
  );
  const connections = useConnections(shell);
  const undelivered = usePolled(() => listUndelivered({}, maxBadge), shell);
  // It is only said where it is known.
  const { data: version } = useLoaded(asksKey ? undefined : 'version', readVersion);
  const waiting = undelivered.data?.undelivered.length ?? 0;
  const rows = useMemo(
    () => (connections.data === undefined ? undefined : sortRows(connections.data, serverNow())),
    [connections.data],
  );
  useTitle(route);
  useFading(notice, setNotice);

  return (
    <ShellContext.Provider value={shell}>
      <header class="top">
        <p class="product">Email Inbound Adapter</p>
        <nav aria-label="Pages">
          {(['connections', 'mails', 'undelivered'] as const).map((section) => (
            <a
              key={section}
              href={section === 'connections' ? '#/' : `#/${section}`}
              aria-current={isOf(route, section)}
            >
              {titles[section]}
              {section === 'undelivered' && waiting > 0 && (
                <span class="badge">
                  {waiting.toLocaleString('en')}
                  {undelivered.data?.next === undefined ? '' : '+'}
                </span>
              )}
            </a>
          ))}
        </nav>
        {hasKey() && (
          <button
            type="button"
            class="quiet"
            onClick={() => {
              forgetKey();
              location.reload();
            }}
          >
            Forget key
          </button>
        )}
      </header>
      <main>
        {route.page === 'list' && <ConnectionList route={route} rows={rows} connections={connections} />}
        {route.page === 'mails' && !asksKey && <MailsPage route={route} connections={connections.data} />}
        {route.page === 'undelivered' && !asksKey && (
          <UndeliveredPage route={route} connections={connections.data} changed={undelivered.reload} />
        )}
        {route.page === 'import' && <ImportPage connections={connections} />}
        {route.page === 'show' && (
          <ShowPage key={nameOf(route.key)} shown={route.key} connections={connections} isReady={!asksKey} />
        )}
        {isForm(route) && (
          <ConnectionPage
            key={'key' in route ? `${route.page}/${nameOf(route.key)}` : route.page}
            route={route}
            connections={connections}
            isReady={!asksKey}
          />
        )}
      </main>
      <footer>{version && `Version ${version}`}</footer>
      <div class={isForm(route) ? 'connection-page' : ''}>
        <Toast notice={notice} close={() => setNotice(undefined)} />
      </div>
      {asksKey && (
        <KeyDialog
          done={() => {
            setAsksKey(false);
            connections.reload();
            undelivered.reload();
          }}
        />
      )}
    </ShellContext.Provider>
  );
}

function isForm(route: Route): boolean {
  return route.page === 'new' || route.page === 'copy' || route.page === 'edit' || route.page === 'take';
}

type Section = 'connections' | 'mails' | 'undelivered';

function isOf({ page }: Route, section: Section): 'page' | undefined {
  const own: Section = page === 'mails' || page === 'undelivered' ? page : 'connections';
  return own === section ? 'page' : undefined;
}

function Toast({ notice, close }: { notice: Notice | undefined; close: () => void }) {
  return (
    <div class="toasts" role="status">
      {notice !== undefined && (
        <div class={`toast ${notice.kind}`}>
          <p>{notice.text}</p>
          <button type="button" class="quiet" onClick={close}>
            Close
          </button>
        </div>
      )}
    </div>
  );
}

/** What was said goes when the reader goes on, and good news also by itself. */
function useFading(notice: Notice | undefined, set: (notice: undefined) => void): void {
  useEffect(() => {
    if (notice === undefined) return undefined;
    const saidAtMs = performance.now();
    const goOn = () => {
      // A page that is left with a last word has just said it.
      if (performance.now() - saidAtMs > 500) set(undefined);
    };
    const timer = notice.kind === 'done' ? setTimeout(() => set(undefined), fadeMs) : undefined;
    addEventListener('hashchange', goOn);
    return () => {
      clearTimeout(timer);
      removeEventListener('hashchange', goOn);
    };
  }, [notice, set]);
}

/** Names the tab, and puts the reader at the new page's heading, as a browser does for a new document. */
function useTitle(route: Route): void {
  const isFirst = useRef(true);
  const name = 'key' in route ? nameOf(route.key) : titles[route.page];
  useLayoutEffect(() => {
    document.title = `${name} · Email Inbound Adapter`;
    if (isFirst.current) {
      isFirst.current = false;
      return;
    }
    scrollTo(0, 0);
    const heading = document.querySelector('main h1');
    if (heading instanceof HTMLElement) heading.focus({ preventScroll: true });
  }, [name, route.page]);
}

function sentenceOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (!(error instanceof ApiError) || error.columns.length === 0) return error.message;
  return error.columns.map(({ message }) => message).join(' ');
}
