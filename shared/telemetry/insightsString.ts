/** What the exporter must know of an Application Insights resource. */
export interface InsightsResource {
  /** As the exporter takes it, whatever the setting's spelling. */
  readonly connectionString: string;
  /** Where telemetry is sent, without a slash at the end. */
  readonly ingestionEndpoint: string;
}

const keyPattern = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const defaultEndpoint = 'https://dc.services.visualstudio.com';

/**
 * Reads the connection string of an Application Insights resource; undefined where the exporter would refuse it,
 * or send to no address. Names count in any case, blanks and quotes around do not count.
 * https://learn.microsoft.com/azure/azure-monitor/app/connection-strings
 */
export function readInsightsString(text: string): InsightsResource | undefined {
  const fields = new Map<string, string>();
  for (const field of unquote(text).split(';')) {
    const equals = field.indexOf('=');
    if (equals > 0) fields.set(field.slice(0, equals).trim().toLowerCase(), field.slice(equals + 1).trim());
  }
  const key = fields.get('instrumentationkey')?.toLowerCase();
  if (key === undefined || !keyPattern.test(key)) return undefined;
  const location = fields.get('location');
  const suffix = fields.get('endpointsuffix');
  const ofSuffix = suffix && `https://${location ? `${location}.` : ''}dc.${suffix}`;
  const endpoint = fields.get('ingestionendpoint') || ofSuffix || defaultEndpoint;
  if (!/^https?:\/\//i.test(endpoint) || !URL.canParse(endpoint)) return undefined;
  const ingestionEndpoint = endpoint.replace(/\/+$/, '');
  const audience = fields.get('aadaudience');
  const written = [`InstrumentationKey=${key}`, `IngestionEndpoint=${ingestionEndpoint}`];
  if (audience) written.push(`AADAudience=${audience}`);
  return { connectionString: written.join(';'), ingestionEndpoint };
}

function unquote(text: string): string {
  return text.trim().replace(/^(["'])(.*)\1$/s, '$2');
}
