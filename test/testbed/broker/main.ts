import { startBroker } from './broker.ts';
import { serveControl } from './control.ts';

/**
 * The broker as a process of its own, given its queues as JSON. Prints one line
 * `{"connectionString", "port", "controlUrl"}` when it is ready, and ends on SIGTERM.
 */
const broker = await startBroker({ queues: JSON.parse(process.argv[2] ?? '[]') });
const controlPort = await serveControl(broker);
process.on('SIGTERM', () => process.exit(0));
const { connectionString, port } = broker;
console.log(JSON.stringify({ connectionString, port, controlUrl: `http://127.0.0.1:${controlPort}` }));
