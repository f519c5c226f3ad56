import { fieldsOf } from './reader.ts';

const keyPattern = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const defaultEndpoint = 'https://dc.services.visualstudio.com';

/**
 * Writes the connection string of an Application Insights resource as the exporter takes it; undefined where it would
 * refuse it, or send to no address. Names count in any case, blanks and quotes around do not count.
 * https://learn.microsoft.com/azure/azure-monitor/app/connection-strings
 */
export function readInsightsString(text: string): string | undefined {
  const fields = new Map(fieldsOf(text));
  const key = fields.get('instrumentationkey')?.toLowerCase();
  if (key === undefined || !keyPattern.test(key)) return undefined;
  const location = fields.get('location');
  const suffix = fields.get('endpointsuffix');
  const ofSuffix = suffix && `https://${location ? `${location}.` : ''}dc.${suffix}`;
  const endpoint = fields.get('ingestionendpoint') || ofSuffix || defaultEndpoint;
  if (!/^https?:\/\//i.test(endpoint) || !URL.canParse(endpoint)) return undefined;
  const audience = fields.get('aadaudience');
  const written = `InstrumentationKey=${key};IngestionEndpoint=${endpoint.replace(/\/+$/, '')}`;
  return audience ? `${written};AADAudience=${audience}` : written;
}
