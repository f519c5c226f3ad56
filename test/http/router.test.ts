import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { HttpDependencies } from '../../shared/http/dependencies.ts';
import type { ApiRequest } from '../../shared/http/request.ts';
import { route } from '../../shared/http/router.ts';

test('half a character in the address is refused before anything is asked of storage', async () => {
  for (const params of [{ customer: '\ud800' }, { customer: 'acme', connection: 'a\udc00' }]) {
    const request: Partial<ApiRequest> = { method: 'GET', params, query: new URLSearchParams() };
    const answer = await route('connections', request as ApiRequest, {} as HttpDependencies);
    assert.deepEqual(answer, {
      status: 400,
      json: { error: 'The address holds half a character (a lone surrogate); correct it.' },
    });
  }
});
