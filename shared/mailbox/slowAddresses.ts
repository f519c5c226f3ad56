import * as net from 'node:net';

/**
 * How long each address of a host but the last may take to connect. Node gives them 250 ms, so that a host whose first
 * address is slow and whose last leads nowhere is never reached. Some six of them fit the deadline of a connect.
 */
export const addressMs = 4_000;

/** Holds for every connection of the process: to mail servers, to those that give tokens, to Azure. */
export function allowSlowAddresses(): void {
  net.setDefaultAutoSelectFamilyAttemptTimeout(addressMs);
}
