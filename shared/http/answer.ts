import type { HttpResponseInit } from '@azure/functions';
import type { ColumnError } from '../connection/config.ts';

/** One HTTP answer before it is handed to the Functions host; `json` absent: no body. */
export interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly json?: unknown;
}

/** An answer that says in one sentence what is wrong and what to do. */
export function problem(status: number, sentence: string, headers?: Answer['headers']): Answer {
  return { status, json: { error: sentence }, ...(headers === undefined ? {} : { headers }) };
}

/** Thrown where a request can't be granted: `route` answers so. */
export class Refusal extends Error {
  readonly answer: Answer;

  constructor(answer: Answer) {
    super(`HTTP ${answer.status}`);
    this.answer = answer;
  }
}

export function refuse(status: number, sentence: string): never {
  throw new Refusal(problem(status, sentence));
}

export function refuseColumns(errors: readonly ColumnError[]): never {
  throw new Refusal({ status: 400, json: { errors } });
}

/** As the Functions library takes it; nothing may be kept by browsers and proxies, or read as another type. */
export function toResponse({ status, headers, json }: Answer): HttpResponseInit {
  return {
    status,
    headers: {
      'Cache-Control': 'no-store',
      'X-Content-Type-Options': 'nosniff',
      ...(json === undefined ? {} : { 'Content-Type': 'application/json; charset=utf-8' }),
      ...headers,
    },
    ...(json === undefined ? {} : { body: JSON.stringify(json) }),
  };
}
