import { createDefaultHttpClient, type HttpClient } from '@azure/core-rest-pipeline';
import type { TokenCredential } from '@azure/identity';
import {
  type AzureMonitorExporterOptions,
  AzureMonitorLogExporter,
  AzureMonitorMetricExporter,
  AzureMonitorTraceExporter,
} from '@azure/monitor-opentelemetry-exporter';

export interface ExporterOptions {
  readonly connectionString: string;
  /** Where the resource takes nothing without an identity. */
  readonly credential?: TokenCredential;
  /** From the first byte of a request to its answer. */
  readonly requestMs: number;
  /** Called with a sentence when telemetry is refused, or gets no token. */
  readonly onRefusal: (sentence: string) => void;
}

/**
 * What can't be sent at once the exporter keeps on disk and sends later. The pipeline's own retries would wait for
 * as long as the endpoint asks, with everything behind the request.
 */
const retryOptions = { maxRetries: 0 };

/** The exporters to the ingestion endpoint of a resource, without the library's own statistics about itself. */
export function createExporters({ connectionString, credential, requestMs, onRefusal }: ExporterOptions) {
  const options: AzureMonitorExporterOptions = {
    connectionString,
    retryOptions,
    httpClient: boundedClient(requestMs, (status) => onRefusal(refusalOf(status, credential !== undefined))),
    ...(credential === undefined ? {} : { credential: reporting(credential, onRefusal) }),
    ...localEndpoint(connectionString),
  };
  // They can be told so by the environment only, which they read when they are made.
  process.env.APPLICATION_INSIGHTS_NO_STATSBEAT ??= 'true';
  process.env.APPLICATIONINSIGHTS_OPENTELEMETRY_RESOURCE_METRIC_DISABLED ??= 'true';
  return {
    spans: new AzureMonitorTraceExporter(options),
    metrics: new AzureMonitorMetricExporter(options),
    logs: new AzureMonitorLogExporter(options),
  };
}

/** The exporter makes https of any http; a server on this machine, for tests, is taken at its word. */
export function localEndpoint(
  connectionString: string,
): Pick<AzureMonitorExporterOptions, 'host' | 'allowInsecureConnection'> {
  const url = /(?:^|;)\s*IngestionEndpoint\s*=\s*(http:[^;\s]+)/i.exec(connectionString)?.[1];
  if (url === undefined || !URL.canParse(url)) return {};
  const { hostname, origin } = new URL(url);
  if (!/^(localhost|127(\.\d{1,3}){3}|\[::1\])$/.test(hostname)) return {};
  return { host: origin, allowInsecureConnection: true };
}

/** Without it a request to an endpoint that takes it and never answers would hold up all others, for good. */
function boundedClient(timeoutMs: number, onRefused: (status: number) => void): HttpClient {
  const inner = createDefaultHttpClient();
  return {
    async sendRequest(request) {
      request.timeout = timeoutMs;
      const response = await inner.sendRequest(request);
      if ([400, 401, 402, 403, 404].includes(response.status)) onRefused(response.status);
      return response;
    },
  };
}

function reporting(inner: TokenCredential, onRefusal: ExporterOptions['onRefusal']): TokenCredential {
  return {
    async getToken(scopes, options) {
      try {
        return await inner.getToken(scopes, options);
      } catch (error) {
        onRefusal(
          `Telemetry is not sent: ${error instanceof Error ? error.message : 'no token'} Application Insights asks for one, as APPLICATIONINSIGHTS_AUTHENTICATION_STRING says.`,
        );
        throw error;
      }
    },
  };
}

function refusalOf(status: number, hasIdentity: boolean): string {
  const refused = `Application Insights refused telemetry (HTTP ${status}).`;
  if (status === 402) return `${refused} The resource's daily cap is reached: raise it, or send less.`;
  if (status === 401 || status === 403) {
    return hasIdentity
      ? `${refused} Give the app's identity the role Monitoring Metrics Publisher on the resource.`
      : `${refused} If the resource takes no telemetry without an identity, set APPLICATIONINSIGHTS_AUTHENTICATION_STRING to Authorization=AAD.`;
  }
  return `${refused} Copy APPLICATIONINSIGHTS_CONNECTION_STRING anew from the resource.`;
}
