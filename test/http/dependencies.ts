import type { HttpDependencies } from '../../shared/http/dependencies.ts';
import type { ApiRequest } from '../../shared/http/request.ts';

export const unused = () => Promise.reject(new Error('This is not needed here.'));

/** The dependencies that a test is about; whatever else is asked for rejects. */
export function dependenciesWith(given: Partial<HttpDependencies>): HttpDependencies {
  return {
    ...{ connections: unused, orderQueue: unused, undelivered: unused, forget: unused },
    ...{ openSession: unused, checkServer: unused, openQueue: unused, testTimeoutMs: 30_000 },
    journal: { container: unused, mode: 'off' },
    secrets: { settingsPrefix: 'MAILBOX_', readSetting: () => undefined },
    now: () => new Date(),
    log: { info: () => undefined, warn: () => undefined, error: () => undefined },
    ...given,
  };
}

/** A request as the host hands it over. */
export function requestOf(
  method: string,
  params: Readonly<Record<string, string>>,
  body?: object,
  headers: Readonly<Record<string, string>> = {},
): ApiRequest {
  const request = {
    ...{ method, url: 'https://app.test/', params, query: new URLSearchParams() },
    headers: new Headers({ 'content-type': 'application/json', ...headers }),
    body: body === undefined ? null : new Blob([JSON.stringify(body)]).stream(),
  };
  return request as Partial<ApiRequest> as ApiRequest;
}
