import type { TestOutcome } from '../api.ts';
import { counted } from '../words.ts';
import type { Draft } from './draftColumns.ts';

interface TestReportProps {
  readonly test: TestOutcome;
  readonly change: (update: (draft: Draft) => Draft) => void;
}

/** What a test of the connection has come to. */
export function TestReport({ test }: TestReportProps) {
  return test.ok ? (
    <p class="good">It works: {counted(test.mails, 'mail')} to fetch.</p>
  ) : (
    <p class="bad">{test.error}</p>
  );
}
