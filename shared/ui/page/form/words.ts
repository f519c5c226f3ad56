import type { ColumnError } from '../model.ts';
import { fields, keyFields } from './fields.ts';

const labels = new Map<string, string>([...keyFields, ...fields].map(({ column, label }) => [column, label]));

/** The API's sentence with the form's names in place of the columns'. */
export function inFormWords({ column, message }: ColumnError): ColumnError {
  const own = labels.get(column);
  const begun =
    own !== undefined && message.startsWith(`${column} `) ? own + message.slice(column.length) : message;
  // A name in camel case is a column's wherever it stands; others are words of the language as well.
  const spoken = begun.replace(
    /\b[a-z]+\d?(?:[A-Z][a-z]*\d?)+[A-Za-z]*\b/g,
    (name) => labels.get(name) ?? name,
  );
  return { column, message: spoken };
}
