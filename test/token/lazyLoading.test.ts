import assert from 'node:assert/strict';
import { registerHooks } from 'node:module';
import { test } from 'node:test';
import { clientCredentials, tokenDeps } from './fixtures.ts';
import { issuing, startEndpoint } from './localEndpoint.ts';

test('libraries are loaded when a token is needed, and only those of its grant', async (context) => {
  const loaded: string[] = [];
  const hooks = registerHooks({
    resolve: (specifier, resolving, next) => {
      if (/^[a-z@]/.test(specifier) && !specifier.startsWith('node:')) loaded.push(specifier);
      return next(specifier, resolving);
    },
  });
  context.after(() => hooks.deregister());
  const endpoint = await startEndpoint(context, issuing());
  const { createTokenSource } = await import('../../shared/token/tokenSource.ts');
  const source = createTokenSource(clientCredentials(endpoint.url), tokenDeps());
  assert.deepEqual(loaded, []);
  await source.getToken(false);
  assert.deepEqual(loaded, ['oauth4webapi']);
});
