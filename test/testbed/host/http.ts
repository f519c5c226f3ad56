import type { HttpData, InvocationRequest, InvocationResponse } from './coreTypes.ts';

export interface HttpRequestOptions {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** A string or bytes go as they are, anything else as JSON. */
  readonly body?: unknown;
  readonly query?: Readonly<Record<string, string>>;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  text(): string;
  /** The body parsed as JSON. */
  json(): unknown;
}

export interface HttpRoute {
  readonly functionName: string;
  readonly bindingName: string;
  readonly methods: readonly string[];
  /** Without prefix, as `connections/{customer}/{connection?}`. */
  readonly route: string;
  readonly authLevel: string;
}

export interface RouteMatch {
  readonly route: HttpRoute;
  readonly params: Readonly<Record<string, string>>;
}

/**
 * Finds the function for a path below the prefix. A method that none of them names is not found, as with the real
 * host: HEAD and OPTIONS, too.
 */
export function matchRoute(
  routes: readonly HttpRoute[],
  method: string,
  path: string,
): RouteMatch | undefined {
  return routes
    .filter((route) => route.methods.includes(method.toUpperCase()))
    .flatMap((route) => {
      const params = matchTemplate(route.route, path);
      return params === undefined ? [] : [{ route, params }];
    })[0];
}

/** The request that the host sends to the worker. */
export function httpRequest(
  route: HttpRoute,
  url: URL,
  params: Readonly<Record<string, string>>,
  options: HttpRequestOptions,
): InvocationRequest {
  const { bytes, contentType } = encodeBody(options.body);
  const headers: Record<string, string> = contentType === undefined ? {} : { 'content-type': contentType };
  if (bytes !== undefined) headers['content-length'] = String(bytes.length);
  for (const [name, value] of Object.entries(options.headers ?? {})) headers[name.toLowerCase()] = value;
  const http: HttpData = {
    url: url.href,
    method: (options.method ?? 'GET').toUpperCase(),
    headers,
    query: joinedQuery(url.searchParams),
    params,
    ...(bytes === undefined ? {} : { body: { bytes } }),
  };
  return { inputData: [{ name: route.bindingName, data: { http } }] };
}

/** The real host joins the values of a parameter that is repeated, in whatever case, under its first spelling. */
function joinedQuery(given: URLSearchParams): Record<string, string> {
  const query: Record<string, string> = {};
  for (const [name, value] of given) {
    const known = Object.keys(query).find((each) => each.toLowerCase() === name.toLowerCase());
    query[known ?? name] = known === undefined ? value : `${query[known]},${value}`;
  }
  return query;
}

/** The worker's answer as a client sees it. */
export function httpAnswer(response: InvocationResponse): HttpAnswer {
  const http = response.returnValue?.http;
  // The host answers 204 for a function that returns nothing.
  if (http === undefined) return answer(204, {}, Buffer.alloc(0));
  const body = http.body?.bytes ?? http.body?.string ?? '';
  return answer(Number(http.statusCode ?? 200), http.headers ?? {}, Buffer.from(body));
}

export function answer(status: number, headers: Readonly<Record<string, string>>, body: Buffer): HttpAnswer {
  return {
    status,
    headers,
    body,
    text: () => body.toString('utf8'),
    json: () => JSON.parse(body.toString('utf8')) as unknown,
  };
}

function encodeBody(body: unknown): { bytes?: Uint8Array; contentType?: string } {
  if (body === undefined) return {};
  if (body instanceof Uint8Array) return { bytes: body };
  if (typeof body === 'string') return { bytes: Buffer.from(body) };
  return { bytes: Buffer.from(JSON.stringify(body)), contentType: 'application/json' };
}

function matchTemplate(template: string, path: string): Record<string, string> | undefined {
  const parts = segments(path);
  const params: Record<string, string> = {};
  for (const segment of segments(template)) {
    const parameter = parameterOf(segment);
    const part = parts.shift();
    if (part === undefined) {
      if (parameter?.isOptional !== true) return undefined;
    } else if (parameter !== undefined) params[parameter.name] = decodeURIComponent(part);
    else if (segment.toLowerCase() !== part.toLowerCase()) return undefined;
  }
  return parts.length === 0 ? params : undefined;
}

function parameterOf(segment: string): { name: string; isOptional: boolean } | undefined {
  const [, name, mark] = /^\{(\w+)(?::[^?}]*)?(\??)\}$/.exec(segment) ?? [];
  return name === undefined ? undefined : { name, isOptional: mark === '?' };
}

function segments(path: string): string[] {
  return path.split('/').filter((segment) => segment !== '');
}
