import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import type { Env } from '../../shared/settings/reader.ts';
import { readSettings } from '../../shared/settings/settings.ts';
import { documents, matches, read, readAll } from './documents.ts';
import { lastNamesOf, resourceOf, resourcesOf } from './snapshot.ts';

const main = read('infra', 'main.bicep');
const deploy = read('docs', 'deploy.md');
const code = [...readAll('shared/**/*.ts').values()].join('\n');
const appSettings = resourceOf('Microsoft.Web/sites/config').properties as Readonly<Record<string, string>>;

function sortedSet(names: readonly string[]): string[] {
  return [...new Set(names)].toSorted();
}

/** The part of a document below a heading. */
function section(text: string, heading: string): string {
  const from = text.indexOf(`\n## ${heading}\n`);
  assert.notEqual(from, -1, `No section ${heading}`);
  const next = text.indexOf('\n## ', from + 1);
  return text.slice(from, next === -1 ? undefined : next);
}

/** Names of the settings that the app asks its environment for, given one. */
function asksFor(env: Env): Set<string> {
  const asked = new Set<string>();
  const watched: Env = new Proxy(env, {
    get: (target, name) => {
      if (typeof name !== 'string') return undefined;
      asked.add(name);
      return target[name];
    },
  });
  readSettings(watched);
  return asked;
}

const minimal: Env = {
  AzureWebJobsStorage: 'UseDevelopmentStorage=true',
  ServiceBusConnection: 'Endpoint=sb://localhost;SharedAccessKeyName=a;SharedAccessKey=b',
};

test('the app settings of the template are ones that the app or its schedules know, and the documents too', () => {
  const schedules = matches([...readAll('functions/*.ts').values()].join('\n'), /%([A-Z_]+)%/g);
  const known = new Set([...asksFor(minimal), ...asksFor({}), ...asksFor(appSettings), ...schedules]);
  const configuration = read('docs', 'configuration.md');
  for (const name of Object.keys(appSettings)) {
    assert.ok(known.has(name), `${name} is read by nothing`);
    assert.ok(configuration.includes(`\`${name}\``), `${name} is not documented`);
  }
  for (const name of schedules) assert.ok(name in appSettings, name);
});

test('where the template sets what has a default, it sets the default, and the sample does too', () => {
  const defaults = readSettings(minimal);
  assert.ok(defaults.ok);
  const sample = (JSON.parse(read('local.settings.sample.json')) as { Values: Record<string, string> })
    .Values;
  for (const values of [appSettings, sample]) {
    const named = Object.fromEntries(
      [
        'EMAIL_QUEUE_NAME',
        'EMAIL_MAX_MESSAGE_BYTES',
        'RETRY_MAX_AGE_HOURS',
        'JOURNAL',
        'SECRET_SETTINGS_PREFIX',
        'SECRETS_VAULT_PREFIX',
      ].map((name) => [name, values[name]]),
    );
    const told = readSettings({ ...minimal, ...named });
    assert.ok(told.ok);
    assert.deepEqual(told.settings, defaults.settings);
  }
});

test('the queue remembers for seven days, as all documents say, and no retry is older', () => {
  const { requiresDuplicateDetection, duplicateDetectionHistoryTimeWindow } =
    resourceOf('Microsoft.ServiceBus/namespaces/queues').properties ?? {};
  assert.equal(requiresDuplicateDetection, true);
  assert.equal(duplicateDetectionHistoryTimeWindow, 'P7D');
  assert.ok(Number(appSettings.RETRY_MAX_AGE_HOURS) < 7 * 24);
  for (const [file, document] of documents) {
    for (const window of matches(document, /\b(P\d+D|PT\d+[HM])\b/g)) assert.equal(window, 'P7D', file);
  }
});

test('the limit of a queue on Premium is in the range that Service Bus takes, whatever maxMessageBytes is', () => {
  // From 1,024 to 102,400; the second is the parameter's own greatest value.
  assert.match(
    main,
    /maxMessageSizeInKilobytes: serviceBusSku == 'Premium' \? max\(1024, maxMessageBytes \/ 1024\) : null/,
  );
  assert.match(main, /@maxValue\(104857600\)\nparam maxMessageBytes /);
});

test('the template makes the containers, tables and queue that the code uses, and the guide names them', () => {
  const containers = lastNamesOf('Microsoft.Storage/storageAccounts/blobServices/containers');
  const queues = lastNamesOf('Microsoft.Storage/storageAccounts/queueServices/queues');
  const tables = lastNamesOf('Microsoft.Storage/storageAccounts/tableServices/tables');
  const notOurs = ['app-package', 'email-inbound', 'email-inbound-adapter', 'email-polls-poison'];
  const used = sortedSet(matches(code, /['`](email-[a-z-]+)['`]/g)).filter((name) => !notOurs.includes(name));
  assert.deepEqual(
    [...containers, ...queues].filter((name) => !notOurs.includes(name)).toSorted(),
    used,
    'containers and queue',
  );
  assert.deepEqual(tables, sortedSet(matches(code, /'(Email[A-Z][A-Za-z]+)'/g)).filter(isTable), 'tables');
  for (const name of [...containers, ...queues, ...tables]) assert.ok(deploy.includes(`\`${name}\``), name);
});

/** `Email` alone is a value of a message's property; a table's name has more to it. */
function isTable(name: string): boolean {
  return /^Email[A-Z][a-z]+s?$/.test(name);
}

test('payloads and journal are deleted after the days that the guide says, each by the rule of its blobs’ kind', () => {
  const { policy } = resourceOf('Microsoft.Storage/storageAccounts/managementPolicies').properties as {
    policy: {
      rules: readonly {
        definition: {
          filters: { blobTypes: readonly string[]; prefixMatch: readonly string[] };
          actions: { baseBlob: { delete: { daysAfterModificationGreaterThan: number } } };
        };
      }[];
    };
  };
  const rules = policy.rules.map(({ definition: { filters, actions } }) => ({
    ...filters,
    days: actions.baseBlob.delete.daysAfterModificationGreaterThan,
  }));
  assert.deepEqual(rules, [
    { blobTypes: ['blockBlob'], prefixMatch: ['email-payloads/'], days: 90 },
    { blobTypes: ['appendBlob'], prefixMatch: ['email-journal/'], days: 30 },
  ]);
  assert.match(deploy, /\| `email-payloads` \|[^\n]*`payloadRetentionDays`, 90/);
  assert.match(deploy, /\| `email-journal` \|[^\n]*`journalRetentionDays`, 30/);
});

test('the roles that are given are those that the guide lists', () => {
  const ofApp = resourcesOf('Microsoft.Authorization/roleAssignments').map(({ properties }) =>
    String(properties?.roleDefinitionId).split('/').at(-1),
  );
  const idPattern = /`([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})`/g;
  const [ofAppInGuide = '', ofPeopleInGuide = ''] = section(deploy, 'Roles').split('\n### Of people\n');
  assert.deepEqual(matches(ofAppInGuide, idPattern).toSorted(), ofApp.toSorted());
  const operatorRoles = main.slice(main.indexOf('var operatorRoles'), main.indexOf('resource storage '));
  const named = matches(operatorRoles, /roles\.(\w+)/g).map(
    (role) => matches(main, new RegExp(`^ {2}${role}: '(.*)'$`, 'gm'))[0] ?? role,
  );
  const literal = matches(operatorRoles, /'([0-9a-f-]{36})'/g);
  assert.deepEqual(matches(ofPeopleInGuide, idPattern).toSorted(), [...named, ...literal].toSorted());
});

test('each parameter and output that the documents name is one of the template', () => {
  const parameters = new Set(matches(main, /^param (\w+) /gm));
  const outputs = new Set(matches(main, /^output (\w+) /gm));
  for (const text of documents.values()) {
    for (const name of matches(text, /\$\(output (\w+)\)/g)) assert.ok(outputs.has(name), name);
    for (const name of matches(text, /^\s+-p (\w+)=/gm)) assert.ok(parameters.has(name), name);
  }
  for (const name of matches(deploy, /\((?:parameter )?`([a-z]\w+)`/g)) assert.ok(parameters.has(name), name);
});

test('what stands in the documents to be pasted is bash, and every variable is set in the same document or before it', () => {
  // The other documents go on with the names of this one, and say so.
  const fromDeploy = matches(deploy, /^([A-Z]+)=/gm);
  let blocks = 0;
  for (const [file, text] of [...documents, ['CONTRIBUTING.md', read('CONTRIBUTING.md')] as const]) {
    const scripts = matches(text, /^```sh\n(.*?)^```/gms);
    const set = new Set([...fromDeploy, ...scripts.flatMap((script) => matches(script, /^\s*([A-Z]+)=/gm))]);
    for (const script of scripts) {
      const { status, stderr } = spawnSync('bash', ['-n'], { input: script, encoding: 'utf8' });
      assert.equal(status, 0, `${file}: ${stderr}${script}`);
      for (const name of matches(script, /\$\{?([A-Z]+)\b/g)) assert.ok(set.has(name), `${file}: ${name}`);
      blocks += 1;
    }
  }
  assert.ok(blocks > 20);
});

test('the documents publish in one way: what the build made, without a build in Azure', () => {
  const commands = [...documents.values()].flatMap((text) =>
    matches(text, /(func azure functionapp publish[^)\n]*)/g),
  );
  assert.ok(commands.length >= 2);
  for (const command of commands) {
    assert.equal(command, 'func azure functionapp publish "$NAME" --javascript --no-build');
  }
});

test('one version of Node.js is the default everywhere, and CI runs the older and the newer too', () => {
  const { functionAppConfig } = resourceOf('Microsoft.Web/sites').properties as {
    functionAppConfig: { runtime: unknown };
  };
  assert.deepEqual(functionAppConfig.runtime, { name: 'node', version: '24' });
  assert.equal(read('.nvmrc').trim(), '24');
  assert.match(read('.devcontainer', 'devcontainer.json'), /"features"[\s\S]*node[\s\S]*"version": "24"/);
  assert.match(read('.github', 'workflows', 'ci.yml'), /node: \["22", "24", "26"\]/);
});

test('what the Azure Developer CLI publishes is the bundle’s folder, onto the app that has the service’s tag', () => {
  const azure = read('azure.yaml');
  const service = /^services:\n {2}(\w+):\n/m.exec(azure)?.[1];
  assert.equal(resourceOf('Microsoft.Web/sites').tags?.['azd-service-name'], service);
  assert.match(azure, /^ {4}project: \.\/dist$/m);
  assert.match(azure, /^ {4}remoteBuild: false$/m);
  assert.match(azure, /^infra:\n(?: {2}.*\n)*? {2}module: azd$/m);
});

test('host.json is the one that the guide gives reasons for', () => {
  const host = JSON.parse(read('host.json')) as {
    telemetryMode: string;
    functionTimeout: string;
    extensions: { queues: Record<string, unknown> };
    logging: { logLevel: Record<string, string> };
  };
  assert.equal(host.telemetryMode, 'OpenTelemetry');
  for (const name of ['telemetryMode', 'functionTimeout', ...Object.keys(host.extensions.queues)]) {
    assert.ok(deploy.includes(`\`${name}\``), name);
  }
  assert.ok(deploy.includes(host.functionTimeout));
  assert.equal(host.logging.logLevel['Azure.Core'], 'Error');
});
