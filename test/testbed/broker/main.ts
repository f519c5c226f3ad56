import type { AddressInfo } from 'node:net';
import { parseArgs } from 'node:util';
import { startBroker } from './broker.ts';
import { serveControl } from './control.ts';

/**
 * The broker as a process of its own: `[--port n] [--control-port n] [--key k] [--queues '[{"name": …}]']`. Prints
 * one line `{"connectionString", "port", "controlUrl"}` when it is ready, and ends on SIGTERM.
 */
const { values } = parseArgs({
  options: {
    port: { type: 'string' },
    'control-port': { type: 'string', default: '0' },
    key: { type: 'string' },
    queues: { type: 'string', default: '[]' },
  },
});
const broker = await startBroker({
  queues: JSON.parse(values.queues),
  ...(values.port === undefined ? {} : { port: Number(values.port) }),
  ...(values.key === undefined ? {} : { key: values.key }),
});
const control = await serveControl(broker, Number(values['control-port']));
const { port: controlPort } = control.address() as AddressInfo;
process.on('SIGTERM', () => process.exit(0));
const { connectionString, port } = broker;
console.log(JSON.stringify({ connectionString, port, controlUrl: `http://127.0.0.1:${controlPort}` }));
