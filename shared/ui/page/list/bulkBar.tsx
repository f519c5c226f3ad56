import { useState } from 'preact/hooks';
import type { BulkAction, Connections } from '../connections.ts';
import { Confirm } from '../modal.tsx';
import { exportConnections } from '../transfer/transfer.ts';
import { counted } from '../words.ts';
import type { Row } from './rows.ts';

interface BulkBarProps {
  readonly chosen: readonly Row[];
  readonly connections: Connections;
  /** Only these stay selected. */
  readonly keep: (ids: ReadonlySet<string>) => void;
}

/** What can be done with all that are selected. */
export function BulkBar({ chosen, connections, keep }: BulkBarProps) {
  const [asks, setAsks] = useState(false);
  const busy = chosen.filter(({ id }) => connections.busy.has(id)).length;
  const isBusy = busy > 0;
  const keys = chosen.map(({ connection }) => connection);
  const act = async (action: BulkAction) => keep(await connections.doAll(keys, action));
  return (
    <section class="bulk" aria-label="Selected connections">
      <p>
        {counted(chosen.length, 'connection')} selected
        {isBusy && `, ${busy.toLocaleString('en')} still to do`}
      </p>
      <div class="buttons">
        <button type="button" disabled={isBusy} onClick={() => act('poll')}>
          Poll
        </button>
        <button type="button" disabled={isBusy} onClick={() => act('enable')}>
          Enable
        </button>
        <button type="button" disabled={isBusy} onClick={() => setAsks(true)}>
          Disable…
        </button>
        <button type="button" onClick={() => exportConnections(keys)}>
          Export
        </button>
        <button type="button" class="quiet" onClick={() => keep(new Set())}>
          Select none
        </button>
      </div>
      {asks && (
        <Confirm
          title={`Disable ${counted(chosen.length, 'connection')}?`}
          text="Their mailboxes are polled no more until they are enabled."
          action="Disable"
          confirm={() => act('disable')}
          close={() => setAsks(false)}
        />
      )}
    </section>
  );
}
