import assert from 'node:assert/strict';
import { test } from 'node:test';
import { route } from '../../shared/http/router.ts';
import { dependenciesWith, requestOf } from './dependencies.ts';

test('half a character in the address is refused before anything is asked of storage', async () => {
  for (const params of [{ customer: '\ud800' }, { customer: 'acme', connection: 'a\udc00' }]) {
    const answer = await route('connections', requestOf('GET', params), dependenciesWith({}));
    assert.deepEqual(answer, {
      status: 400,
      json: { error: 'The address holds half a character (a lone surrogate); correct it.' },
    });
  }
});
