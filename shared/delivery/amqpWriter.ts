import { types } from 'rhea-promise';

/** What is used here of rhea's writer, which its typings declare but do not offer on `types`. */
declare class AmqpWriter {
  constructor(buffer?: Buffer);
  buffer: Buffer;
  ensure(sizeBytes: number): void;
  write_uint(value: number, width: number): void;
  write_bytes(bytes: Buffer): void;
  write_variable_width(type: { readonly width: number }, value: unknown): void;
}

const firstBytes = 1_024;
let isLean = false;

/**
 * Has the Service Bus SDK's AMQP library, rhea, encode with fewer copies from now on. Its own writer copies
 * each body before it writes it, and takes zeroed memory from the system for the smallest frame: almost a
 * tenth of a drain's CPU, by its profile. What it writes stays the same, byte for byte.
 */
export function encodeLeanly(): void {
  if (isLean) return;
  isLean = true;
  const original: unknown = Reflect.get(types, 'Writer');
  // Another version of rhea may have none. It is fast enough without.
  if (typeof original !== 'function') return;
  Reflect.set(types, 'Writer', leanWriter(original as typeof AmqpWriter));
}

function leanWriter(original: typeof AmqpWriter): typeof AmqpWriter {
  return class LeanWriter extends original {
    constructor(buffer: Buffer = Buffer.allocUnsafe(firstBytes)) {
      super(buffer);
    }

    override ensure(sizeBytes: number): void {
      if (this.buffer.length >= sizeBytes) return;
      const larger = Buffer.allocUnsafe(Math.max(this.buffer.length * 2, sizeBytes));
      this.buffer.copy(larger);
      this.buffer = larger;
    }

    override write_variable_width(type: { readonly width: number }, value: unknown): void {
      if (Buffer.isBuffer(value)) {
        this.write_uint(value.length, type.width);
        this.write_bytes(value);
      } else {
        super.write_variable_width(type, value);
      }
    }
  };
}
