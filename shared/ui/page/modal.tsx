import type { ComponentChildren } from 'preact';
import { useLayoutEffect, useRef, useState } from 'preact/hooks';

interface ModalProps {
  readonly title: string;
  /** Absent: it can't be closed without an answer. */
  readonly close?: () => void;
  readonly children: ComponentChildren;
}

/** A dialog over the page; the browser keeps the focus inside and gives it back afterwards. */
export function Modal({ title, close, children }: ModalProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  useLayoutEffect(() => {
    const shown = dialog.current;
    shown?.showModal();
    return () => shown?.close();
  }, []);
  return (
    <dialog
      ref={dialog}
      aria-labelledby="modal-title"
      onCancel={(event) => {
        event.preventDefault();
        close?.();
      }}
      onClose={({ currentTarget }) => {
        // A second Escape closes it, whatever is said to the first.
        if (close === undefined && currentTarget.isConnected) currentTarget.showModal();
      }}
    >
      <h2 id="modal-title">{title}</h2>
      {children}
    </dialog>
  );
}

interface ConfirmProps {
  readonly title: string;
  readonly text: ComponentChildren;
  readonly action: string;
  readonly isDangerous?: boolean;
  readonly confirm: () => Promise<unknown>;
  readonly close: () => void;
}

/** Asks before something that can't be taken back. */
export function Confirm({ title, text, action, isDangerous = false, confirm, close }: ConfirmProps) {
  const [isBusy, setIsBusy] = useState(false);
  const go = async (): Promise<void> => {
    setIsBusy(true);
    await confirm();
    close();
  };
  return (
    <Modal title={title} close={close}>
      <p>{text}</p>
      <div class="buttons">
        <button type="button" onClick={close}>
          Cancel
        </button>
        <button type="button" class={isDangerous ? 'danger' : 'primary'} disabled={isBusy} onClick={go}>
          {action}
        </button>
      </div>
    </Modal>
  );
}
