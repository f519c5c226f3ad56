/** Where a run's few lines go. Sentences only: no secret, no mail content. */
export interface Log {
  info(sentence: string, fields?: LogFields): void;
  warn(sentence: string, fields?: LogFields): void;
  error(sentence: string, fields?: LogFields): void;
}

export type LogFields = Readonly<Record<string, string | number | boolean>>;

/** Warnings of one run, of which the first `maxLines` are logged: a mailbox full of odd mail must not fill the log. */
export function boundedWarnings(log: Log, maxLines: number, fields: LogFields): Log['warn'] {
  let lines = 0;
  return (sentence, more) => {
    lines += 1;
    if (lines <= maxLines) log.warn(sentence, { ...fields, ...more });
    if (lines === maxLines) log.warn('Further warnings about mails of this run are left out.', fields);
  };
}
