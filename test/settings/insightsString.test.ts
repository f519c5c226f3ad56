import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AzureMonitorTraceExporter } from '@azure/monitor-opentelemetry-exporter';
import { createAdapter } from '../../shared/app/adapter.ts';
import { readInsightsString } from '../../shared/settings/insightsString.ts';

const key = '0af76519-16cd-43dd-8448-eb211c80319c';

const good: readonly (readonly [text: string, endpoint: string])[] = [
  [`InstrumentationKey=${key}`, 'https://dc.services.visualstudio.com'],
  [
    `InstrumentationKey=${key};IngestionEndpoint=https://westeurope-5.in.applicationinsights.azure.com/;LiveEndpoint=https://live/;ApplicationId=1`,
    'https://westeurope-5.in.applicationinsights.azure.com',
  ],
  [` "instrumentationkey=${key.toUpperCase()};INGESTIONENDPOINT=https://x.example/;" `, 'https://x.example'],
  [
    `InstrumentationKey=${key};EndpointSuffix=applicationinsights.azure.cn;Location=chinaeast2`,
    'https://chinaeast2.dc.applicationinsights.azure.cn',
  ],
];

const isDeclared = (text: string) =>
  createAdapter({
    AzureWebJobsStorage: 'UseDevelopmentStorage=true',
    ServiceBusConnection: 'Endpoint=sb://localhost;SharedAccessKeyName=a;SharedAccessKey=b',
    APPLICATIONINSIGHTS_CONNECTION_STRING: text,
  }).sendsTelemetry;

for (const [text, endpoint] of good) {
  test(`the exporter takes what is made of ${text.slice(0, 90)}, which is declared to the host`, async () => {
    const connectionString = readInsightsString(text);
    assert.equal(connectionString, `InstrumentationKey=${key};IngestionEndpoint=${endpoint}`);
    const exporter = new AzureMonitorTraceExporter({ connectionString });
    await exporter.shutdown();
    assert.equal(isDeclared(text), true);
  });
}

const bad = [
  '',
  'hello',
  'InstrumentationKey=abc',
  `IngestionEndpoint=https://x/`,
  `InstrumentationKey=${key};IngestionEndpoint=x`,
];

for (const text of bad) {
  test(`'${text}' opens no telemetry, and so is not declared to the host`, () => {
    assert.equal(readInsightsString(text), undefined);
    assert.equal(isDeclared(text), false);
  });
}
