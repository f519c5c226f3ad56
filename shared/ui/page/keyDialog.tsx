import { useState } from 'preact/hooks';
import { hasStatus, useKey as keepKey } from './api.ts';
import { Modal } from './modal.tsx';
import { toError } from './polled.ts';

/** Asks for the function key, which this browser session then keeps. */
export function KeyDialog({ done }: { done: () => void }) {
  const [key, setKey] = useState('');
  const [error, setError] = useState('');
  const [isBusy, setIsBusy] = useState(false);

  const enter = async (event: Event): Promise<void> => {
    event.preventDefault();
    setIsBusy(true);
    setError('');
    try {
      // What a page or a chat has put around it, and nobody sees.
      await keepKey(key.replace(/[^ -~]/g, '').trim());
      done();
    } catch (caught) {
      setError(
        hasStatus(caught, 401)
          ? 'The app refused this key. Check that it is a host key or a key of its functions.'
          : toError(caught).message,
      );
      setIsBusy(false);
    }
  };

  return (
    <Modal title="Function key">
      <form onSubmit={enter} noValidate>
        <p id="key-hint">
          The function app asks for a key: in the Azure portal under <b>App keys</b>. It is kept until this
          tab is closed.
        </p>
        <div class="field">
          <label for="key">Key</label>
          <input
            id="key"
            type="password"
            autocomplete="off"
            required
            value={key}
            aria-describedby="key-hint key-error"
            aria-invalid={error !== ''}
            onInput={({ currentTarget }) => setKey(currentTarget.value)}
          />
          <p id="key-error" class="field-error" role="alert">
            {error}
          </p>
        </div>
        <div class="buttons">
          <button type="submit" class="primary" disabled={isBusy || key.trim() === ''}>
            {isBusy ? 'Checking…' : 'Continue'}
          </button>
        </div>
      </form>
    </Modal>
  );
}
