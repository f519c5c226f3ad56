import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { type TestContext, test } from 'node:test';
import type { Failure } from '../../shared/failure/failure.ts';
import type { EndpointGrant } from '../../shared/token/endpointFailure.ts';
import { requestToken } from '../../shared/token/tokenEndpoint.ts';
import { freePorts } from '../testbed/child.ts';
import { listening } from '../testbed/listening.ts';
import { clientCredentials, clientSecret, quickLimits, refreshGrant, refreshToken } from './fixtures.ts';
import { type Answer, issuing, sendJson, startEndpoint } from './localEndpoint.ts';

const anyEndpoint = { denyPrivate: false };

function ask(grant: EndpointGrant, limits = quickLimits) {
  return requestToken(grant, anyEndpoint, 1_000_000, limits);
}

/** What a request that this endpoint answers fails with; no sentence or cause may hold a secret. */
async function failureOf(grant: EndpointGrant, limits = quickLimits): Promise<string> {
  const error = await ask(grant, limits).then(
    () => assert.fail('a token was given'),
    (reason: Failure) => reason,
  );
  assert.equal(error.reason, 'token');
  assert.equal(error.cause, undefined);
  for (const secret of [clientSecret, refreshToken, 'at-1']) assert.ok(!error.stack?.includes(secret));
  return error.message;
}

async function refusal(
  context: TestContext,
  answer: Answer,
  changes: Partial<ReturnType<typeof clientCredentials>> = {},
) {
  const endpoint = await startEndpoint(context, answer);
  const message = await failureOf(clientCredentials(endpoint.url, changes));
  return { message: message.replaceAll(endpoint.host, 'HOST'), tries: endpoint.requests.length };
}

test('client credentials go out as RFC 6749 4.4 says, in a form', async (context) => {
  const endpoint = await startEndpoint(context, issuing());
  const issued = await ask(
    clientCredentials(endpoint.url, {
      scope: 'https://outlook.office365.com/.default',
      clientSecret: 'a+b &ü=%',
    }),
  );
  assert.deepEqual(issued, { accessToken: 'at-1', expiresAt: 1_000_000 + 3_600_000 });
  const [request] = endpoint.requests;
  assert.ok(request);
  assert.equal(request.method, 'POST');
  assert.equal(request.path, '/token');
  assert.equal(request.headers['content-type'], 'application/x-www-form-urlencoded;charset=UTF-8');
  assert.equal(request.headers.host, endpoint.host);
  assert.deepEqual(Object.fromEntries(request.form), {
    grant_type: 'client_credentials',
    client_id: 'client-1',
    client_secret: 'a+b &ü=%',
    scope: 'https://outlook.office365.com/.default',
  });
});

test('a refresh token goes out as RFC 6749 6 says, with a secret only if there is one', async (context) => {
  const answer = issuing(() => ({ refresh_token: 'rt-2' }));
  const endpoint = await startEndpoint(context, answer);
  const issued = await ask(refreshGrant(endpoint.url, { scope: 'https://mail.google.com/' }));
  assert.equal(issued.refreshToken, 'rt-2');
  await ask(refreshGrant(endpoint.url, { clientSecret }));
  assert.deepEqual(
    endpoint.requests.map(({ form }) => Object.fromEntries(form)),
    [
      {
        grant_type: 'refresh_token',
        refresh_token: refreshToken,
        client_id: 'client-1',
        scope: 'https://mail.google.com/',
      },
      {
        grant_type: 'refresh_token',
        refresh_token: refreshToken,
        client_id: 'client-1',
        client_secret: clientSecret,
      },
    ],
  );
});

test('answers that real providers give are taken', async (context) => {
  const answers = [
    { access_token: 'at', token_type: 'bearer', expires_in: '3599', ext_expires_in: 3599 },
    { access_token: 'at', token_type: 'Bearer', expires_in: 3599, id_token: 'not.a.jwt', scope: 'openid' },
    { access_token: 'at', token_type: 'Bearer' },
    { access_token: 'at', token_type: 'Bearer', expires_in: null, refresh_token: null, scope: ['mail'] },
    { access_token: 'at', token_type: 'Bearer', refresh_token: '', id_token: null },
    { access_token: 'at', token_type: 'Bearer', expires_in: -1 },
    { access_token: 'at', token_type: 'Bearer', expires_in: 'never' },
  ];
  const endpoint = await startEndpoint(context, (response, _request, number) =>
    sendJson(response, 200, answers[number - 1] ?? {}, { 'content-type': 'application/json; charset=utf-8' }),
  );
  const lives: number[] = [];
  for (const _ of answers) lives.push((await ask(refreshGrant(endpoint.url))).expiresAt - 1_000_000);
  assert.deepEqual(lives, [3_599_000, 3_599_000, 300_000, 300_000, 300_000, 300_000, 300_000]);
});

test('JSON is taken for what it is, whatever type it is sent as', async (context) => {
  const types = ['text/plain;charset=UTF-8', 'text/html', 'application/x-javascript'];
  const endpoint = await startEndpoint(context, (response, _request, number) =>
    sendJson(
      response,
      200,
      { access_token: 'at', token_type: 'bearer' },
      { 'content-type': types[number - 1] ?? '' },
    ),
  );
  for (const _ of types) assert.equal((await ask(clientCredentials(endpoint.url))).accessToken, 'at');
  const { message } = await refusal(context, (response) =>
    sendJson(response, 400, { error: 'invalid_scope' }, { 'content-type': 'text/plain' }),
  );
  assert.match(message, /: invalid_scope\. Check oauth2Scope\.$/);
});

test('JSON behind a byte order mark is read', async (context) => {
  const json = { access_token: 'at', token_type: 'bearer', id_token: 'not.a.jwt' };
  const endpoint = await startEndpoint(context, (response) => response.end(`\ufeff${JSON.stringify(json)}`));
  assert.equal((await ask(clientCredentials(endpoint.url))).accessToken, 'at');
});

test('a refusal names client, code and remedy, never the secret', async (context) => {
  const entra = {
    error: 'invalid_client',
    error_description: `AADSTS7000215: Invalid client secret provided: ${clientSecret}. Trace ID: 1`,
    error_codes: [7000215],
  };
  assert.deepEqual(await refusal(context, (response) => sendJson(response, 401, entra)), {
    message:
      'The token endpoint HOST refused client client-1: invalid_client (AADSTS7000215). Check oauth2ClientId and renew oauth2ClientSecret, or the app setting or vault secret that holds it.',
    tries: 1,
  });
});

for (const [how, status, headers] of [
  ['beside a WWW-Authenticate challenge', 401, { 'www-authenticate': 'Basic realm="tokens"' }],
  ['where it comes with HTTP 200, as Zoho gives it', 200, {}],
] as const) {
  test(`the error code of a refusal is read even ${how}`, async (context) => {
    const body = { error: 'invalid_client' };
    const { message } = await refusal(context, (response) => sendJson(response, status, body, headers));
    assert.match(message, /refused client client-1: invalid_client\. Check oauth2ClientId/);
  });
}

test('each kind of refusal says what to do', async (context) => {
  const cases: [object, RegExp][] = [
    [{ error: 'invalid_scope' }, /: invalid_scope\. Check oauth2Scope\.$/],
    [{ error: 'unauthorized_client' }, /Allow the client the grant clientCredentials/],
    [
      { error: 'unauthorized_client', error_description: 'AADSTS700016: no such app' },
      /\(AADSTS700016\)\. Check oauth2ClientId and oauth2TenantId\.$/,
    ],
    [{ error: 'invalid_request', error_description: 'AADSTS90002: no tenant' }, /Check oauth2TenantId\.$/],
    [{ error: 'temporarily_unavailable' }, /: temporarily_unavailable\./],
  ];
  for (const [body, expected] of cases) {
    assert.match((await refusal(context, (response) => sendJson(response, 400, body))).message, expected);
  }
});

test('a refresh token that has ended says where to renew it', async (context) => {
  const endpoint = await startEndpoint(context, (response) =>
    sendJson(response, 400, { error: 'invalid_grant' }),
  );
  assert.match(
    await failureOf(refreshGrant(endpoint.url)),
    /invalid_grant\. Sign in anew and renew oauth2RefreshToken\.$/,
  );
  assert.match(
    await failureOf(refreshGrant(endpoint.url, { refreshTokenFrom: 'setting' })),
    /renew the app setting that oauth2RefreshTokenSetting names\.$/,
  );
});

test('an endpoint that sends the secret back as its error code does not get it into a sentence', async (context) => {
  for (const error of [clientSecret, `x${clientSecret}`, 'hunter2', 'two\r\nlines', 'x'.repeat(65)]) {
    const { message } = await refusal(context, (response) => sendJson(response, 400, { error }));
    assert.match(message, /refused client client-1: HTTP 400\./);
    assert.doesNotMatch(message, /hunter2|lines|xxx/);
  }
});

test('a refusal without an OAuth error gives the HTTP status', async (context) => {
  for (const status of [403, 404]) {
    const { message, tries } = await refusal(context, (response) => {
      response.writeHead(status, { 'content-type': 'text/html' }).end('<h1>no</h1>');
    });
    assert.match(message, new RegExp(`refused client client-1: HTTP ${status}\\.`));
    assert.equal(tries, 1);
  }
});

test('what claims success and holds no usable bearer token is refused', async (context) => {
  const bodies: object[] = [
    {},
    [],
    { token_type: 'Bearer' },
    { access_token: '', token_type: 'Bearer' },
    { access_token: 7, token_type: 'Bearer' },
    { access_token: 'at-1' },
    { access_token: 'at-1', token_type: 'mac' },
    { access_token: 'at-1', token_type: 'DPoP' },
    { access_token: 'at-1\r\nA1 LOGOUT', token_type: 'Bearer' },
    { access_token: 'at-1\x01auth', token_type: 'Bearer' },
    { access_token: 'at-1 x', token_type: 'Bearer' },
    { access_token: 'at-1ü', token_type: 'Bearer' },
    { access_token: 'x'.repeat(16_385), token_type: 'Bearer' },
  ];
  for (const body of bodies) {
    const { message, tries } = await refusal(context, (response) => sendJson(response, 200, body));
    assert.match(message, /^The token endpoint HOST answered with /, JSON.stringify(body).slice(0, 80));
    assert.equal(tries, 1);
  }
  const { message } = await refusal(context, (response) => {
    response.writeHead(200, { 'content-type': 'text/html' }).end('<h1>Sign in</h1>');
  });
  assert.match(message, /answered with no bearer token\. Check that oauth2TokenEndpoint/);
});

test('a redirect is not followed, so that the secret goes nowhere else', async (context) => {
  const other = await startEndpoint(context, issuing());
  for (const status of [301, 302, 303, 307, 308]) {
    const { message, tries } = await refusal(context, (response) => {
      response.writeHead(status, { location: other.url }).end();
    });
    assert.match(message, new RegExp(`redirect \\(HTTP ${status}\\), which is not followed`));
    assert.equal(tries, 1);
  }
  assert.equal(other.requests.length, 0);
});

test('an answer without end is cut off', async (context) => {
  let sentBytes = 0;
  const { message } = await refusal(context, (response) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    const piece = Buffer.alloc(65_536, 0x20);
    const pour = (): void => {
      while (!response.destroyed) {
        sentBytes += piece.length;
        if (!response.write(piece)) break;
      }
    };
    response.on('drain', pour);
    pour();
  });
  assert.match(message, /answered with more than a token response may hold/);
  assert.ok(sentBytes < 64 * 1024 * 1024);
});

test('a server error and a lost connection are tried once more', async (context) => {
  for (const fault of [500, 503, 'close', 'cut'] as const) {
    const endpoint = await startEndpoint(context, (response, request, number) => {
      if (number === 2) return issuing()(response, request, number);
      if (fault === 'close') response.socket?.destroy();
      else if (fault === 'cut') {
        response.writeHead(200, { 'content-length': '100' });
        response.write('{"access_token":', () => response.socket?.destroy());
      } else response.writeHead(fault).end();
    });
    assert.equal((await ask(clientCredentials(endpoint.url))).accessToken, 'at-2');
  }
});

test('a server that fails twice is named with its status', async (context) => {
  const { message, tries } = await refusal(context, (response) => response.writeHead(503).end());
  assert.equal(message, 'The token endpoint HOST failed (HTTP 503). The next run asks again.');
  assert.equal(tries, 2);
});

test('an endpoint that has been asked too often refuses no client, and is not asked again at once', async (context) => {
  assert.deepEqual(await refusal(context, (response) => sendJson(response, 429, { error: 'slow_down' })), {
    message: 'The token endpoint HOST is asked too often (HTTP 429). The next run asks again.',
    tries: 1,
  });
});

test('a silent endpoint, and one that trickles, ends at the deadline', async (context) => {
  for (const trickling of [false, true]) {
    let timer: NodeJS.Timeout | undefined;
    const endpoint = await startEndpoint(context, (response) => {
      if (!trickling) return;
      response.writeHead(200, { 'content-type': 'application/json' });
      timer ??= setInterval(() => response.write(' '), 5);
    });
    const message = await failureOf(clientCredentials(endpoint.url), { ...quickLimits, tryTimeoutMs: 60 });
    clearInterval(timer);
    assert.match(
      message,
      /did not answer within 0\.06 s in 2 tries\. Check oauth2TokenEndpoint and network\.$/,
    );
    assert.equal(endpoint.requests.length, 2);
  }
});

test('an endpoint where nothing listens is named with the cause', async () => {
  const [port] = await freePorts(1);
  const message = await failureOf(clientCredentials(`http://127.0.0.1:${port}/token`));
  assert.match(message, /could not be reached \(ECONNREFUSED\)\./);
});

test('an endpoint that speaks no HTTP is a network fault', async () => {
  const { port, stop } = await listening(
    createServer((socket) => {
      socket.resume();
      socket.end('* OK IMAP ready\r\n');
    }),
  );
  const message = await failureOf(clientCredentials(`http://127.0.0.1:${port}/token`));
  assert.match(message, /could not be reached \(HPE_\w+\)/);
  await stop();
});
