import type { Context } from '@opentelemetry/api';
import { type Logger, SeverityNumber } from '@opentelemetry/api-logs';
import type { Log, LogFields } from './log.ts';

/** Says everything twice: to `log`, and as a record that stands with the trace of `context`. */
export function alsoTo(logger: Logger, log: Log, context: () => Context): Log {
  const emit = (severityNumber: SeverityNumber, body: string, attributes: LogFields = {}): void =>
    logger.emit({ severityNumber, body, attributes: { ...attributes }, context: context() });
  return {
    info(sentence, fields) {
      log.info(sentence, fields);
      emit(SeverityNumber.INFO, sentence, fields);
    },
    warn(sentence, fields) {
      log.warn(sentence, fields);
      emit(SeverityNumber.WARN, sentence, fields);
    },
    error(sentence, fields) {
      log.error(sentence, fields);
      emit(SeverityNumber.ERROR, sentence, fields);
    },
  };
}
