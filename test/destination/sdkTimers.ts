import { createRequire } from 'node:module';

/**
 * Has the SDK give up by itself after five seconds what is never answered, such as an attach, and not after its minute,
 * for which it would keep the process of a test file. What the app itself leaves open keeps it all the same.
 */
export function shortenSdkTimers(): void {
  const constants: unknown = createRequire(import.meta.url)('rhea-promise/dist/lib/util/constants.js');
  if (
    typeof constants !== 'object' ||
    constants === null ||
    !('defaultOperationTimeoutInSeconds' in constants)
  )
    throw new Error('The time of the SDK for an operation is not where it was.');
  constants.defaultOperationTimeoutInSeconds = 5;
}
