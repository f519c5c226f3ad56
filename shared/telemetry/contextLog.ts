import type { InvocationContext } from '@azure/functions';
import type { Log, LogFields } from './log.ts';

/** Logs through the Functions host, so that it stands with the invocation wherever the host sends its log. */
export function logTo(context: Pick<InvocationContext, 'info' | 'warn' | 'error'>): Log {
  return {
    info: (sentence, fields) => context.info(format(sentence, fields)),
    warn: (sentence, fields) => context.warn(format(sentence, fields)),
    error: (sentence, fields) => context.error(format(sentence, fields)),
  };
}

function format(sentence: string, fields: LogFields | undefined): string {
  return fields === undefined ? sentence : `${sentence} ${JSON.stringify(fields)}`;
}
