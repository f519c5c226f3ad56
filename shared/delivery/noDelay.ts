import { subscribe } from 'node:diagnostics_channel';
import { Socket } from 'node:net';

let isOn = false;

/**
 * Sends small packets at once from sockets made from now on: Nagle's algorithm and delayed acknowledgements
 * together cost tens of milliseconds for each step of AMQP's handshake. The Service Bus SDK has no option for
 * it and hands out no socket; Node announces each one that is made.
 */
export function sendWithoutDelay(): void {
  if (isOn) return;
  isOn = true;
  subscribe('net.client.socket', (made) => {
    const socket = typeof made === 'object' && made !== null && 'socket' in made ? made.socket : undefined;
    if (socket instanceof Socket) socket.setNoDelay(true);
  });
}
