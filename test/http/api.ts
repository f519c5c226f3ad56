import assert from 'node:assert/strict';
import { Ajv2020 } from 'ajv/dist/2020.js';
import type { Host } from '../testbed/host/host.ts';
import type { HttpAnswer, HttpRequestOptions } from '../testbed/host/http.ts';

type Node = Readonly<Record<string, unknown>>;

export interface Operation {
  readonly id: string;
  readonly method: string;
  /** As described, `/api/connections/{customer}`. */
  readonly path: string;
  readonly node: Node;
  /** As described. */
  readonly statuses: readonly string[];
}

/** The app's HTTP API, each of whose answers is held to what `/api/openapi.json` says. */
export interface Api {
  readonly document: Node;
  readonly operations: readonly Operation[];
  /** Calls `METHOD /api/path`; throws when the answer is not as described. */
  call(target: string, request?: HttpRequestOptions): Promise<HttpAnswer>;
  /** What the calls so far have not met of the described answers, as `operationId status`. */
  unmet(isMeant: (operation: Operation, status: string) => boolean): string[];
}

const methods = ['get', 'put', 'post', 'delete', 'patch', 'head', 'options'];

export async function openApi(host: Host): Promise<Api> {
  const document = object((await host.invokeHttp('GET /api/openapi.json')).json());
  const operations = operationsOf(document);
  const ajv = new Ajv2020({
    strict: true,
    allowUnionTypes: true,
    strictRequired: false,
    allErrors: true,
    validateFormats: true,
    formats: { 'date-time': isTime, uuid: /^[0-9a-f-]{36}$/ },
  });
  ajv.addVocabulary(['components', 'paths', 'openapi', 'info', 'servers', 'security', 'tags']);
  ajv.addSchema(document, 'api');
  const met = new Set<string>();

  const check = (operation: Operation, answer: HttpAnswer, what: string): void => {
    const status = String(answer.status);
    assert.ok(operation.statuses.includes(status), `${what} answered ${status}, which is not described`);
    met.add(`${operation.id} ${status}`);
    const response = object(object(operation.node.responses)[status]);
    for (const header of Object.keys(object(response.headers ?? {}))) {
      if (status !== '412') assert.ok(answer.headers[header.toLowerCase()], `${what} has no ${header}`);
    }
    assert.equal(answer.headers['cache-control'], 'no-store', what);
    assert.equal(answer.headers['x-content-type-options'], 'nosniff', what);
    if (response.content === undefined) {
      assert.equal(answer.body.length, 0, what);
      return;
    }
    assert.equal(answer.headers['content-type'], 'application/json; charset=utf-8', what);
    const pointer = [
      operation.path,
      operation.method.toLowerCase(),
      'responses',
      status,
      'content',
      'application/json',
      'schema',
    ];
    const validate = ajv.getSchema(`api#/paths/${pointer.map(escaped).join('/')}`);
    assert.ok(validate, `${what}: no schema`);
    assert.ok(validate(answer.json()), `${what}: ${ajv.errorsText(validate.errors)} in ${answer.text()}`);
  };

  return {
    document,
    operations,
    async call(target, request = {}) {
      const answer = await host.invokeHttp(target, request);
      const [method = '', address = ''] = target.split(' ');
      const here = operations.filter(({ path }) => matches(path, address));
      const operation = here.find((each) => each.method === method);
      if (operation !== undefined) check(operation, answer, `${target}`);
      else if (here[0] !== undefined) {
        assert.equal(answer.status, 405, `${target} is not described`);
        const allowed = here.map((each) => each.method).sort();
        assert.deepEqual((answer.headers.allow ?? '').split(', ').sort(), allowed);
        for (const each of here) check(each, answer, target);
      } else assert.equal(answer.status, 404, `${target} is not described`);
      return answer;
    },
    unmet: (isMeant) =>
      operations.flatMap((operation) =>
        operation.statuses
          .filter((status) => isMeant(operation, status) && !met.has(`${operation.id} ${status}`))
          .map((status) => `${operation.id} ${status}`),
      ),
  };
}

export function object(value: unknown): Node {
  assert.ok(typeof value === 'object' && value !== null && !Array.isArray(value));
  return value as Node;
}

export function list(value: unknown): readonly Node[] {
  assert.ok(Array.isArray(value));
  return value.map(object);
}

/** The sentences of a 400, by column. */
export function sentences(answer: HttpAnswer): Record<string, unknown> {
  assert.equal(answer.status, 400, answer.text());
  return Object.fromEntries(
    list(object(answer.json()).errors).map(({ column, message }) => [column, message]),
  );
}

function operationsOf(document: Node): Operation[] {
  return Object.entries(object(document.paths)).flatMap(([path, item]) =>
    Object.entries(object(item))
      .filter(([method]) => methods.includes(method))
      .map(([method, node]) => {
        const operation = object(node);
        const id = String(operation.operationId);
        const statuses = Object.keys(object(operation.responses));
        return { id, method: method.toUpperCase(), path, node: operation, statuses };
      }),
  );
}

function matches(template: string, address: string): boolean {
  const path = address.split('?', 1)[0] ?? '';
  const pattern = template.replace(/[.]/g, '\\.').replace(/\{\w+\}/g, '[^/]+');
  return new RegExp(`^${pattern}$`).test(path);
}

function escaped(step: string): string {
  return encodeURIComponent(step.replaceAll('~', '~0').replaceAll('/', '~1'));
}

function isTime(text: string): boolean {
  return /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(text);
}
