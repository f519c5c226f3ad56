import type { Log, LogFields } from './log.ts';

/** Warnings of one run, of which the first `maxLines` are logged: a mailbox full of odd mail must not fill the log. */
export function boundedWarnings(
  log: Log,
  maxLines: number,
  fields: LogFields,
): (sentence: string, more?: LogFields) => void {
  let lines = 0;
  return (sentence, more) => {
    lines += 1;
    if (lines <= maxLines) log.warn(sentence, { ...fields, ...more });
    if (lines === maxLines) log.warn('Further warnings about mails of this run are left out.', fields);
  };
}
