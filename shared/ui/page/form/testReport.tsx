import type { MailPreview, TestStepName } from '../../../http/testOutcome.ts';
import type { TestOutcome } from '../api.ts';
import { Sender } from '../journal/mailRow.tsx';
import { counted } from '../words.ts';

const stepNames: Readonly<Record<TestStepName, string>> = {
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
    <div class={`report ${test.ok ? 'good' : 'bad'}`}>
      {test.ok ? <p>It works: {waitingIn(test)}</p> : <p>{test.error}</p>}
      {test.steps !== undefined && (
        <ol class="steps" aria-label="Steps of the test">
          {test.steps.map(({ step, result, text }) => (
            <li key={step} class={result}>
              <span aria-hidden="true">{marks[result]}</span>
              <span class="hidden">{markWords[result]}: </span>
              <b>{stepNames[step]}</b>
              {/* That of a step that failed stands above. */}
              {result !== 'failed' && <span>{text}</span>}
            </li>
          ))}
        </ol>
      )}
      {test.ok && test.preview.length > 0 && <Preview mails={test.preview} />}
    </div>
  );
}

type GoodTest = TestOutcome & { readonly ok: true };

/** Filters decide on each mail, and were tried on the first ones alone. */
export function isFiltered({ preview }: GoodTest): boolean {
  return preview.some(({ isTaken }) => isTaken !== undefined);
}

function waitingIn(test: GoodTest): string {
  const { mails, preview } = test;
  if (!isFiltered(test)) return `${counted(mails, 'mail')} to fetch.`;
  const taken = preview.filter(({ isTaken }) => isTaken).length;
  const looked = preview.length === mails ? 'them' : `the first ${preview.length}`;
  return `${counted(mails, 'unread mail')}; of ${looked} the filters take ${taken}.`;
}

/** By POP3 the headers alone can be looked at. */
function partsIn({ parts, isCut }: MailPreview): string {
  if (parts.length === 0 && isCut) return 'Its header alone was looked at';
  const names = parts.map(({ fileName, contentType }) => `${fileName} (${contentType})`).join(', ');
  return isCut ? `${names} and perhaps more: only its begin was looked at` : names;
}

function Preview({ mails }: { mails: readonly MailPreview[] }) {
  const isJudged = mails.some(({ isTaken }) => isTaken !== undefined);
  return (
    <details class="preview" open={isJudged}>
      <summary>
        {`The first ${mails.length === 1 ? 'one' : mails.length}, ${isJudged ? `and whether the filters take ${mails.length === 1 ? 'it' : 'them'}` : 'as they would be sent'}`}
      </summary>
      <ol>
        {mails.map((mail, index) => (
          <li key={index}>
            {mail.isTaken !== undefined && (
              <span class={`judged ${mail.isTaken ? 'taken' : 'left-out'}`}>
                {mail.isTaken ? 'Taken' : 'Left out'}
              </span>
            )}{' '}
            <b>
              <bdi>{mail.subject || '(no subject)'}</bdi>
            </b>
            <Sender from={mail.from} date={mail.date} />
            {mail.isTaken !== false && <span class="sub">{partsIn(mail)}</span>}
          </li>
        ))}
      </ol>
    </details>
  );
}
