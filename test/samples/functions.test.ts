import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { BlobServiceClient } from '@azure/storage-blob';
import { build } from 'esbuild';
import { startAzurite } from '../testbed/azurite.ts';
import { buildDotnet, withoutDotnet } from '../testbed/dotnet.ts';
import type { LoadedApp } from '../testbed/host/coreApi.ts';
import { loadApp } from '../testbed/host/coreApi.ts';
import { invoke } from '../testbed/host/invoke.ts';

/*
 * What can be tried of the Functions samples on one machine: the one in TypeScript is invoked by the real library, as
 * the host would do it, and the one in C# is compiled. No Functions host and no Service Bus trigger is at work here.
 */

const root = join(import.meta.dirname, '../..');

async function loadSample(t: TestContext): Promise<LoadedApp> {
  const folder = mkdtempSync(join(tmpdir(), 'functions-sample-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const outfile = join(folder, 'consumeMails.cjs');
  await build({
    entryPoints: [join(root, 'samples/functions-typescript/src/consumeMails.ts')],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    external: ['@azure/functions-core'],
    define: { 'import.meta.url': '__url' },
    banner: { js: "const __url = require('node:url').pathToFileURL(__filename).href;" },
    logLevel: 'error',
  });
  return loadApp(outfile, () => {});
}

function propertiesOf(bytes: Buffer, others: Readonly<Record<string, unknown>> = {}) {
  return {
    customer: 'acme',
    connection: 'orders',
    interchangeId: 'mail',
    partNumber: 1,
    partCount: 1,
    inboundFileName: 'a.bin',
    size: bytes.length,
    sha256: createHash('sha256').update(bytes).digest('hex'),
    ...others,
  };
}

test('the Functions sample in TypeScript takes bytes, payloads and nothing damaged', {
  timeout: 60_000,
}, async (t) => {
  const [app, azurite] = await Promise.all([loadSample(t), startAzurite()]);
  t.after(() => azurite.stop());
  const registered = app.functions.get('consumeMails');
  assert.ok(registered);
  const [binding] = Object.entries(registered.metadata.bindings);
  assert.ok(binding);
  const [name, trigger] = binding;
  assert.partialDeepStrictEqual(trigger, {
    type: 'serviceBusTrigger',
    connection: 'ServiceBusConnection',
    queueName: '%QUEUE_NAME%',
    dataType: 'binary',
  });
  const logged: string[] = [];
  const consume = (bytes: Buffer, properties: unknown) =>
    invoke(
      app,
      'consumeMails',
      {
        inputData: [{ name, data: { bytes } }],
        triggerMetadata: { applicationProperties: { json: JSON.stringify(properties) } },
      },
      ({ category, message }) => {
        if (category === 'user') logged.push(message);
      },
    );
  const bytes = Buffer.from([0, 255, 13, 10, 200]);
  await consume(bytes, propertiesOf(bytes));
  const large = Buffer.alloc(300_000, 7);
  const storage = BlobServiceClient.fromConnectionString(azurite.connectionString);
  await storage.createContainer('email-payloads');
  await storage.getContainerClient('email-payloads').uploadBlockBlob('acme/orders/x', large, large.length);
  process.env.PayloadStorageConnection = azurite.connectionString;
  await consume(Buffer.alloc(0), propertiesOf(large, { claimCheck: 'email-payloads/acme/orders/x' }));
  assert.deepEqual(logged, [
    'acme/orders mail: part 1 of 1, a.bin, 5 bytes',
    'acme/orders mail: part 1 of 1, a.bin, 300000 bytes',
  ]);
  await assert.rejects(consume(bytes, propertiesOf(large)), /Part 1 of mail is damaged/);
  await assert.rejects(consume(bytes, {}), /none of the email inbound adapter/);
  await assert.rejects(
    consume(bytes, propertiesOf(bytes, { claimCheck: 'other/x' })),
    /No payload is in other/,
  );
});

test('the Functions sample in C# compiles', { skip: withoutDotnet, timeout: 120_000 }, async () => {
  const project = join(import.meta.dirname, 'functionsCsharp/ConsumeMails.Compile.csproj');
  const program = await buildDotnet(project, 'ConsumeMails.Compile');
  program.remove();
});
