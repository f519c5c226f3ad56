import { randomBytes } from 'node:crypto';

/** A new delivery tag; 16 bytes, which the SDK shows as the lock token. */
export function newDeliveryTag(): Buffer {
  return randomBytes(16);
}

/** Between a delivery tag and the UUID of its lock token: .NET flips the first three groups. Its own inverse. */
export function flipGuid(bytes: Buffer): Buffer {
  const flipped = Buffer.from(bytes);
  flipped.subarray(0, 4).reverse();
  flipped.subarray(4, 6).reverse();
  flipped.subarray(6, 8).reverse();
  return flipped;
}
