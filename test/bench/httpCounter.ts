import { once } from 'node:events';
import { Agent, createServer, request as httpRequest, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Hands HTTP requests on to a port of this machine, and remembers which they were. */
export interface HttpCounter {
  readonly port: number;
  /** `PUT /path`, in order, without the query. */
  readonly requests: string[];
  stop(): Promise<void>;
}

export async function startHttpCounter(targetPort: number): Promise<HttpCounter> {
  const requests: string[] = [];
  const agent = new Agent({ keepAlive: true });
  const server: Server = createServer((incoming, outgoing) => {
    const { method = 'GET', url = '/', headers } = incoming;
    requests.push(`${method} ${url.split('?')[0]}`);
    const onward = httpRequest(
      { host: '127.0.0.1', port: targetPort, method, path: url, headers, agent },
      (answer) => {
        outgoing.writeHead(answer.statusCode ?? 502, answer.rawHeaders);
        answer.pipe(outgoing);
      },
    );
    onward.on('error', () => outgoing.destroy());
    incoming.pipe(onward);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    requests,
    async stop() {
      server.closeAllConnections();
      server.close();
      agent.destroy();
    },
  };
}
