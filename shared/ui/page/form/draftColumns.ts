import type { ConfigColumnName, configColumns } from '../../../connection/columns.ts';
import type { Key } from '../model.ts';

type ColumnOf<Type extends string> = {
  [Name in ConfigColumnName]: (typeof configColumns)[Name]['type'] extends Type ? Name : never;
}[ConfigColumnName];

export type FlagColumn = ColumnOf<'boolean'>;
export type TextColumn = Exclude<ConfigColumnName, FlagColumn>;

/** What stands in the form. */
export interface Draft {
  readonly key: Key;
  readonly texts: Readonly<Record<TextColumn, string>>;
  readonly flags: Readonly<Record<FlagColumn, boolean>>;
  /** Whether the port is the user's own, and no longer follows the protocol. */
  readonly portTyped: boolean;
}
