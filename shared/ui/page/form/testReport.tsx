import type { MailPreview, TestOutcome } from '../api.ts';
import { counted, exact } from '../words.ts';

const stepNames: Readonly<Record<string, string>> = {
  name: 'Name',
  connection: 'Connection',
  certificate: 'Certificate',
  login: 'Login',
  folder: 'Folder',
  queue: 'Queue',
  mails: 'Mails',
};
const marks = { ok: '✓', warning: '!', failed: '✗' } as const;
const markWords = { ok: 'well', warning: 'look at it', failed: 'failed' } as const;

/** What a test of the connection has come to, step by step. */
export function TestReport({ test }: { test: TestOutcome }) {
  return (
    <div class={test.ok ? 'good' : 'bad'}>
      {test.ok ? <p>It works: {counted(test.mails, 'mail')} to fetch.</p> : <p>{test.error}</p>}
      {test.steps !== undefined && (
        <ol class="steps" aria-label="Steps of the test">
          {test.steps.map(({ step, result, text }) => (
            <li key={step} class={result}>
              <span aria-hidden="true">{marks[result]}</span>
              <span class="hidden">{markWords[result]}: </span>
              <b>{stepNames[step] ?? step}</b>
              <span>{text}</span>
            </li>
          ))}
        </ol>
      )}
      {test.ok && test.preview !== undefined && test.preview.length > 0 && <Preview mails={test.preview} />}
    </div>
  );
}

function Preview({ mails }: { mails: readonly MailPreview[] }) {
  return (
    <details class="preview">
      <summary>{`The first ${mails.length === 1 ? 'one' : mails.length}, as they would be sent`}</summary>
      <ol>
        {mails.map(({ subject, from, date, parts, isCut }, index) => (
          <li key={index}>
            <b>{subject || '(no subject)'}</b>
            <span class="sub">{[from, date && exact(date)].filter(Boolean).join(' · ')}</span>
            <span class="sub">
              {parts.map(({ fileName, contentType }) => `${fileName} (${contentType})`).join(', ')}
              {isCut && ' and perhaps more: only its begin was looked at'}
            </span>
          </li>
        ))}
      </ol>
    </details>
  );
}
