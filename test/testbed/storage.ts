import { TableClient } from '@azure/data-tables';

/** A table of Azurite's, which speaks no TLS. */
export function openTable(connectionString: string, name: string): TableClient {
  return TableClient.fromConnectionString(connectionString, name, { allowInsecureConnection: true });
}

/** An order to poll, as it stands on the queue `email-polls`. */
export function pollOrder(customer: string, connection: string): string {
  return Buffer.from(JSON.stringify({ customer, connection })).toString('base64');
}
