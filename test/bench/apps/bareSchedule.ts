import { TableClient } from '@azure/data-tables';
import { app } from '@azure/functions';
import { QueueClient } from '@azure/storage-queue';
import { dueColumns } from '../../../shared/schedule/due.ts';
import { dueFilter } from '../../../shared/schedule/schedulePolls.ts';

const putsInFlight = 32;
const storage = process.env.AzureWebJobsStorage ?? '';
const table = TableClient.fromConnectionString(storage, 'EmailConnections', {
  allowInsecureConnection: true,
});
const queue = new QueueClient(storage, 'email-polls');

/** What a scheduling pass costs at least: one pass over the table by the SDK, and the puts, 32 in flight. */
app.timer('schedulePolls', {
  schedule: '%POLL_SCHEDULE%',
  handler: async () => {
    const queryOptions = { filter: dueFilter(new Date()), select: ['PartitionKey', 'RowKey', ...dueColumns] };
    const inFlight = new Set<Promise<void>>();
    for await (const { partitionKey, rowKey } of table.listEntities({ queryOptions })) {
      while (inFlight.size >= putsInFlight) await Promise.race(inFlight);
      const order = JSON.stringify({ customer: partitionKey, connection: rowKey });
      const text = Buffer.from(order).toString('base64');
      const putting: Promise<void> = queue
        .sendMessage(text, { messageTimeToLive: 60 })
        .then(() => void inFlight.delete(putting));
      inFlight.add(putting);
    }
    await Promise.all(inFlight);
  },
});
