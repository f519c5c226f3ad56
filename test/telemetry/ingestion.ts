import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { buffer } from 'node:stream/consumers';
import { gunzipSync } from 'node:zlib';
import { listening } from '../testbed/listening.ts';

/** One item as Application Insights takes it in. */
export interface Envelope {
  readonly tags: Readonly<Record<string, string>>;
  readonly data: {
    readonly baseType: 'MetricData' | 'RemoteDependencyData' | 'RequestData' | 'MessageData';
    readonly baseData: BaseData;
  };
}

interface BaseData {
  readonly id?: string;
  readonly name?: string;
  readonly success?: boolean;
  readonly message?: string;
  readonly severityLevel?: string;
  readonly properties: Readonly<Record<string, string>>;
  readonly metrics?: readonly { readonly name: string; readonly value: number; readonly count: number }[];
}

export type Ingestion = Awaited<ReturnType<typeof startIngestion>>;

/** With a key of its own: what can't be sent the exporter keeps on disk, by key. */
export function connectionStringFor(port: number): string {
  return `InstrumentationKey=${randomUUID()};IngestionEndpoint=http://127.0.0.1:${port}/`;
}

/** `silent`: takes requests and never answers them. A number: refuses them with that status. */
export type IngestionMode = 'answering' | 'silent' | number;

/** An ingestion endpoint on this machine that keeps what it is sent. With `tls` it speaks https, by that certificate. */
export async function startIngestion(
  mode: IngestionMode = 'answering',
  tls?: { readonly key: string; readonly cert: string },
) {
  const envelopes: Envelope[] = [];
  const paths = new Set<string>();
  /** The `authorization` header of each request. */
  const authorizations: (string | undefined)[] = [];
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    paths.add(`${request.method} ${request.url}`);
    const body = await readBody(request);
    authorizations.push(request.headers.authorization);
    if (ingestion.mode === 'silent') return;
    if (ingestion.mode !== 'answering') {
      response.writeHead(ingestion.mode, ingestion.mode === 429 ? { 'retry-after': '600' } : {});
      return void response.end();
    }
    const items = JSON.parse(body) as Envelope[];
    envelopes.push(...items);
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ itemsReceived: items.length, itemsAccepted: items.length, errors: [] }));
  };
  const server = tls === undefined ? createServer(answer) : createTlsServer(tls, answer);
  const { port, stop } = await listening(server);
  const ofType = (type: Envelope['data']['baseType']) =>
    envelopes.filter(({ data }) => data.baseType === type);
  const ingestion = {
    /** What becomes of requests from now on. */
    mode,
    connectionString:
      tls === undefined
        ? connectionStringFor(port)
        : connectionStringFor(port).replace('http://127.0.0.1', 'https://localhost'),
    envelopes,
    paths,
    authorizations,
    /** Drops what was kept so far. */
    forget: () => void envelopes.splice(0),
    ofType,
    /** The data points of a metric whose dimensions hold all of these. */
    metric: (name: string, dimensions: Readonly<Record<string, string>> = {}) =>
      ofType('MetricData').flatMap(({ data: { baseData } }) => {
        const point = baseData.metrics?.find((metric) => metric.name === name);
        const isAsked = Object.entries(dimensions).every(
          ([key, value]) => baseData.properties[key] === value,
        );
        return point && isAsked ? [point] : [];
      }),
    stop,
  };
  return ingestion;
}

async function readBody(request: IncomingMessage): Promise<string> {
  const bytes = await buffer(request);
  return (request.headers['content-encoding'] === 'gzip' ? gunzipSync(bytes) : bytes).toString('utf8');
}
