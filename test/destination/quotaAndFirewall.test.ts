import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toDeliveryProblem } from '../../shared/destination/serviceBusFailure.ts';

const queue = { queueName: 'orders', namespace: 'ns.example' };

/** Code and text as Service Bus gives them. */
const cases: readonly (readonly [code: string, text: string, retry: string, sentence: string])[] = [
  [
    'QuotaExceeded',
    'The maximum entity size has been reached or exceeded for Queue: ORDERS. Size of entity in bytes:1073742326, Max entity size in bytes: 1073741824.',
    'no',
    'Service Bus queue orders in namespace ns.example is full (QuotaExceeded). Let its consumers catch up or raise its maximum size.',
  ],
  [
    'QuotaExceeded',
    'Cannot allocate more handles. The maximum number of handles is 4999.',
    'reconnect',
    'Service Bus queue orders in namespace ns.example takes no further link (QuotaExceeded). Look who else holds links to it; the app tries again by itself.',
  ],
  [
    'QuotaExceeded',
    'ConnectionsQuotaExceeded for namespace ns. TrackingId:1_G47',
    'reconnect',
    "Service Bus namespace ns.example takes no further connection (QuotaExceeded). Look who else is connected, or lower the app's maximum number of instances; the app tries again by itself.",
  ],
  [
    'UnauthorizedAccess',
    "Unauthorized access. 'Send' claim(s) are required to perform this operation. Resource: 'sb://ns.example/orders'. TrackingId:1",
    'no',
    "Service Bus queue orders in namespace ns.example refused access. Check the key in ServiceBusConnection, or give the app's identity the role Azure Service Bus Data Sender.",
  ],
  [
    'UnauthorizedAccess',
    'Ip has been prevented to connect to the endpoint. TrackingId:1_G1, SystemTracker:NoSystemTracker',
    'no',
    "Service Bus namespace ns.example refuses the app's IP address. Let its outbound addresses through the namespace's firewall (Networking), or connect the app to its virtual network.",
  ],
];

for (const [code, text, wantedRetry, sentence] of cases) {
  test(`${code}: ${text.slice(0, 40)}… is named as what it is, without its text`, () => {
    const { failure, retry } = toDeliveryProblem(Object.assign(new Error(text), { code }), queue);
    assert.equal(failure.message, sentence);
    assert.equal(retry, wantedRetry);
    assert.doesNotMatch(failure.message, /TrackingId/);
  });
}
