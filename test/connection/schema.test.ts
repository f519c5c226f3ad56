import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { z } from 'zod';
import { configColumnNames, configColumns } from '../../shared/connection/columns.ts';
import { configSchema } from '../../shared/connection/schema.ts';

test('the schema has exactly the documented columns, and can be written as JSON Schema', () => {
  const json = z.toJSONSchema(configSchema, { io: 'input' });
  assert.deepEqual(Object.keys(json.properties ?? {}).sort(), [...configColumnNames].sort());
  assert.deepEqual(json.required, ['host', 'hostType', 'username']);
  assert.equal(json.additionalProperties, false);
  for (const name of configColumnNames) {
    const property = json.properties?.[name];
    assert.ok(typeof property === 'object');
    assert.equal(property.type, configColumns[name].type, name);
    assert.equal(property.description, configColumns[name].description, name);
  }
});

test('the document of the configuration names every column', async () => {
  const text = await readFile(new URL('../../docs/configuration.md', import.meta.url), 'utf8');
  for (const name of configColumnNames) assert.ok(text.includes(`\`${name}\``), name);
});
