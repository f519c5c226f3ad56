import {
  type AzureMonitorExporterOptions,
  AzureMonitorLogExporter,
  AzureMonitorMetricExporter,
  AzureMonitorTraceExporter,
} from '@azure/monitor-opentelemetry-exporter';

export interface Exporters {
  readonly spans: AzureMonitorTraceExporter;
  readonly metrics: AzureMonitorMetricExporter;
  readonly logs: AzureMonitorLogExporter;
}

/** What can't be sent at once the exporter keeps on disk and sends later, so there is no need to wait for it. */
const retryOptions = { maxRetries: 1, retryDelayInMs: 500 };

/** The exporter can be told these by the environment only, which it reads when it is made. */
const quiet = {
  APPLICATION_INSIGHTS_NO_STATSBEAT: 'true',
  APPLICATIONINSIGHTS_OPENTELEMETRY_RESOURCE_METRIC_DISABLED: 'true',
};

/**
 * The exporters to the ingestion endpoint of the connection string, without the library's own statistics
 * about itself. Throws when the connection string is not valid.
 */
export function createExporters(connectionString: string): Exporters {
  const options: AzureMonitorExporterOptions = {
    connectionString,
    retryOptions,
    ...localEndpoint(connectionString),
  };
  return withEnvironment(quiet, () => ({
    spans: new AzureMonitorTraceExporter(options),
    metrics: new AzureMonitorMetricExporter(options),
    logs: new AzureMonitorLogExporter(options),
  }));
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

function withEnvironment<T>(values: Readonly<Record<string, string>>, make: () => T): T {
  const added = Object.entries(values).filter(([name]) => process.env[name] === undefined);
  for (const [name, value] of added) process.env[name] = value;
  try {
    return make();
  } finally {
    for (const [name] of added) delete process.env[name];
  }
}
