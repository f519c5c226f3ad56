import rhea, { type Typed } from 'rhea';

/*
 * AMQP values with their types (AMQP 1.0, 1.6). rhea's own decoding drops the type: an int comes back as a uint,
 * and a consumer in a typed language would see another type than was sent.
 */

/** rhea's reader and writer, which its typings leave out. */
interface Codec {
  readonly Reader: new (buffer: Buffer) => { readonly position: number; read(): Typed };
  readonly Writer: new () => { write(value: Typed): void; toBuffer(): Buffer };
  Map32(items: readonly Typed[]): Typed;
  described(descriptor: Typed, value: Typed): Typed;
  is_map(value: Typed): boolean;
  unwrap(value: Typed): unknown;
}

const codec = rhea.types as unknown as Codec;
const timestampCode = 0x83;
const longCode = 0x81;

/** A map's entries in their order. */
export type TypedEntries = readonly (readonly [name: string, value: Typed])[];

export const {
  wrap_int: int,
  wrap_long: long,
  wrap_symbol: symbol,
  wrap_uuid: uuid,
  wrap_string: text,
} = rhea.types;

export function timestamp(date: Date): Typed {
  return rhea.types.wrap_timestamp(date.getTime());
}

/** An AMQP array, which .NET reads as `DateTime[]`. A list it would not take. */
export function timestampArray(dates: readonly Date[]): Typed {
  return rhea.types.wrap_array([...dates], timestampCode, undefined);
}

/** An AMQP array, which .NET reads as `long[]`. */
export function longArray(values: readonly number[]): Typed {
  return rhea.types.wrap_array([...values], longCode, undefined);
}

/** A list behind a numeric descriptor. */
export function describedList(code: number, items: readonly unknown[]): Typed {
  return codec.described(rhea.types.wrap_ulong(code), rhea.types.wrap_list([...items]));
}

/** A map behind a numeric descriptor, as a message's section is one. Annotations have symbols for keys. */
export function describedMap(code: number, entries: TypedEntries, key: (name: string) => Typed): Typed {
  const items = entries.flatMap(([name, value]) => [key(name), value]);
  return codec.described(rhea.types.wrap_ulong(code), codec.Map32(items));
}

/** The values that stand one behind the other in the buffer, and where. Binary ones are views, not copies. */
export function* typedValues(buffer: Buffer): Generator<{ value: Typed; start: number; end: number }> {
  const reader = new codec.Reader(buffer);
  while (reader.position < buffer.length) {
    const start = reader.position;
    const value = reader.read();
    if (reader.position > buffer.length) throw new Error('An AMQP value is cut short.');
    yield { value, start, end: reader.position };
  }
}

export function writeTyped(value: Typed): Buffer {
  const writer = new codec.Writer();
  writer.write(value);
  return writer.toBuffer();
}

/** The entries of a map; none for anything else. */
export function entriesOf(value: unknown): TypedEntries {
  if (!isTyped(value) || !codec.is_map(value)) return [];
  const items: readonly unknown[] = Array.isArray(value.value) ? value.value : [];
  const entries: [string, Typed][] = [];
  for (let at = 0; at + 1 < items.length; at += 2) {
    const item = items[at + 1];
    if (isTyped(item)) entries.push([String(plain(items[at])), item]);
  }
  return entries;
}

/** The entry of that name in a map. */
export function entryOf(map: unknown, name: string): Typed | undefined {
  return entriesOf(map).find(([key]) => key === name)?.[1];
}

/** The first entries, with those of the same name replaced by the second's, which are added otherwise. */
export function merge(entries: TypedEntries, over: TypedEntries): TypedEntries {
  return [...new Map([...entries, ...over])];
}

/** The bare value, whatever it was wrapped in. */
export function plain(value: unknown): unknown {
  return isTyped(value) ? codec.unwrap(value) : value;
}

/** By its shape: the SDK and the broker may each have a copy of rhea. */
function isTyped(value: unknown): value is Typed {
  return typeof value === 'object' && value !== null && 'type' in value && 'value' in value;
}
