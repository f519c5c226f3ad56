/** Where a run's few lines go. Sentences only: no secret, no mail content. */
export interface Log {
  info(sentence: string, fields?: LogFields): void;
  warn(sentence: string, fields?: LogFields): void;
  error(sentence: string, fields?: LogFields): void;
}

export type LogFields = Readonly<Record<string, string | number | boolean>>;

/** The first `maxLines` warnings are logged, then `last`: a mailbox full of odd mail must not fill the log. */
export function boundedWarnings(
  log: Log,
  maxLines: number,
  last: string,
  fields?: LogFields,
): (sentence: string) => void {
  let lines = 0;
  return (sentence) => {
    lines += 1;
    if (lines <= maxLines) log.warn(sentence, fields);
    if (lines === maxLines) log.warn(last, fields);
  };
}
