import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gunzipSync } from 'node:zlib';

/** One item as Application Insights takes it in. */
export interface Envelope {
  readonly tags: Readonly<Record<string, string>>;
  readonly data: {
    readonly baseType: 'MetricData' | 'RemoteDependencyData' | 'RequestData' | 'MessageData';
    readonly baseData: BaseData;
  };
}

export interface BaseData {
  readonly id?: string;
  readonly name?: string;
  readonly success?: boolean;
  readonly message?: string;
  readonly severityLevel?: string;
  readonly properties: Readonly<Record<string, string>>;
  readonly metrics?: readonly { readonly name: string; readonly value: number; readonly count: number }[];
}

/** An ingestion endpoint on this machine that keeps what it is sent. */
export interface Ingestion {
  readonly connectionString: string;
  readonly envelopes: readonly Envelope[];
  readonly paths: ReadonlySet<string>;
  ofType(baseType: Envelope['data']['baseType']): readonly Envelope[];
  /** The data points of a metric whose dimensions hold all of these. */
  metric(name: string, dimensions?: Readonly<Record<string, string>>): readonly MetricPoint[];
  stop(): Promise<void>;
}

export interface MetricPoint {
  readonly value: number;
  readonly count: number;
  readonly dimensions: Readonly<Record<string, string>>;
}

/** With a key of its own: what can't be sent the exporter keeps on disk, by key. */
export function connectionStringFor(port: number): string {
  return `InstrumentationKey=${randomUUID()};IngestionEndpoint=http://127.0.0.1:${port}/`;
}

/** `silent`: takes connections and never answers. */
export async function startIngestion(mode: 'answering' | 'silent' = 'answering'): Promise<Ingestion> {
  const envelopes: Envelope[] = [];
  const paths = new Set<string>();
  const server = createServer(async (request, response) => {
    paths.add(`${request.method} ${request.url}`);
    const body = await readBody(request);
    if (mode === 'silent') return;
    const items = JSON.parse(body) as Envelope[];
    envelopes.push(...items);
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ itemsReceived: items.length, itemsAccepted: items.length, errors: [] }));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const ofType: Ingestion['ofType'] = (type) => envelopes.filter(({ data }) => data.baseType === type);
  return {
    connectionString: connectionStringFor((server.address() as AddressInfo).port),
    envelopes,
    paths,
    ofType,
    metric: (name, dimensions = {}) =>
      ofType('MetricData').flatMap(({ data: { baseData } }) => {
        const point = baseData.metrics?.find((metric) => metric.name === name);
        const isAsked = Object.entries(dimensions).every(
          ([key, value]) => baseData.properties[key] === value,
        );
        return point && isAsked ? [{ ...point, dimensions: baseData.properties }] : [];
      }),
    async stop() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const bytes = Buffer.concat(chunks);
  return (request.headers['content-encoding'] === 'gzip' ? gunzipSync(bytes) : bytes).toString('utf8');
}
