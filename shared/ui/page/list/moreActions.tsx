import { useId, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { listUndelivered } from '../api.ts';
import type { Connections } from '../connections.ts';
import { Confirm } from '../modal.tsx';
import type { Connection } from '../model.ts';
import { useLoaded } from '../polled.ts';
import { hrefOf } from '../route.ts';
import { counted } from '../words.ts';
import type { Row } from './rows.ts';

interface MoreActionsProps {
  readonly row: Row;
  readonly connections: Connections;
  readonly askDelete: () => void;
}

/** What is needed seldom, behind one button. */
export function MoreActions({ row: { connection, status, id }, connections, askDelete }: MoreActionsProps) {
  const [isOpen, setIsOpen] = useState(false);
  const root = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  const list = useRef<HTMLUListElement>(null);
  const panel = useId();
  // Before the frame is drawn: a key that comes with it counts.
  useLayoutEffect(() => {
    if (!isOpen) return undefined;
    list.current?.scrollIntoView({ block: 'nearest' });
    const closeOutside = ({ target }: Event) => {
      if (!(target instanceof Node && root.current?.contains(target))) setIsOpen(false);
    };
    const closeByKey = ({ key }: KeyboardEvent) => {
      if (key !== 'Escape') return;
      setIsOpen(false);
      button.current?.focus();
    };
    const closed = new AbortController();
    document.addEventListener('pointerdown', closeOutside, closed);
    document.addEventListener('focusin', closeOutside, closed);
    document.addEventListener('keydown', closeByKey, closed);
    return () => closed.abort();
  }, [isOpen]);
  const act = (action: () => unknown) => () => {
    setIsOpen(false);
    button.current?.focus();
    action();
  };

  return (
    <div class="more" ref={root}>
      <button
        type="button"
        ref={button}
        aria-expanded={isOpen}
        aria-controls={panel}
        onClick={() => setIsOpen(!isOpen)}
      >
        More <span class="hidden">for {id}</span>
      </button>
      <ul ref={list} id={panel} hidden={!isOpen}>
        <li>
          <a href={hrefOf('edit', connection)}>Edit</a>
        </li>
        <li>
          <button type="button" onClick={act(() => connections.toggle(connection))}>
            {status.kind === 'disabled' ? 'Enable' : 'Disable'}
          </button>
        </li>
        <li>
          <a href={hrefOf('copy', connection)}>Duplicate</a>
        </li>
        <li>
          <button type="button" class="danger" onClick={act(askDelete)}>
            Delete…
          </button>
        </li>
      </ul>
    </div>
  );
}

interface DeleteDialogProps {
  readonly connection: Connection;
  readonly remove: () => Promise<unknown>;
  readonly close: () => void;
}

/** Says how many of its mails still wait to be sent. */
export function DeleteDialog({ connection: { customer, connection }, remove, close }: DeleteDialogProps) {
  const { data, error } = useLoaded(`${customer}/${connection}`, () =>
    listUndelivered({ customer, connection }, 1_000),
  );
  const waits = data?.undelivered.length ?? 0;
  const count = `${data?.next === undefined ? '' : 'more than '}${counted(waits, 'mail')}`;
  const waiting =
    error !== undefined
      ? ' Whether mails of it still wait to be sent could not be asked.'
      : waits > 0
        ? ` ${count} of it ${waits === 1 ? 'still waits' : 'still wait'} to be sent, and will be.`
        : '';
  return (
    <Confirm
      title={`Delete ${customer}/${connection}?`}
      text={`Its settings and its state are removed, and its mailbox is polled no more. Mails on the server stay where they are.${waiting}`}
      action="Delete"
      isDangerous
      confirm={remove}
      close={close}
    />
  );
}
