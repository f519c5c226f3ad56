import { parseArgs } from 'node:util';
import { startProxy } from './proxy.ts';

/**
 * The proxy as a process of its own: `--target host:port --delay ms [--handshake]`. Prints `{"port": n}` when it is
 * ready; ends on SIGTERM.
 */
const { values } = parseArgs({
  options: {
    target: { type: 'string' },
    delay: { type: 'string', default: '0' },
    handshake: { type: 'boolean', default: false },
  },
});
const [, targetHost, targetPort] = /^(.+):(\d+)$/.exec(values.target ?? '') ?? [];
if (targetHost === undefined) throw new Error('Say where the proxy leads: --target host:port');

const proxy = await startProxy({
  targetHost,
  targetPort: Number(targetPort),
  oneWayDelayMs: Number(values.delay),
  delaysHandshake: values.handshake,
});
process.on('SIGTERM', () => process.exit(0));
console.log(JSON.stringify({ port: proxy.port }));
