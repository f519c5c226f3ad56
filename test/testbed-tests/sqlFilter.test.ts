import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseSqlFilter } from '../testbed/broker/sqlFilter.ts';
import type { MessageContent } from '../testbed/broker/wireMessage.ts';

const message: MessageContent = {
  body: Buffer.alloc(0),
  messageId: 'id',
  correlationId: 'mail',
  subject: 'body',
  contentType: 'text/plain',
  sessionId: undefined,
  to: undefined,
  replyTo: undefined,
  replyToSessionId: undefined,
  applicationProperties: {
    customer: 'acme',
    size: 5_000_000_000,
    partNumber: 2,
    draft: false,
    name: "O'Neil 100%",
    'Diagnostic-Id': '00-1',
    'a]b': 1,
  },
};

const taken = [
  '1=1',
  "customer = 'acme'",
  "user.customer = 'acme' AND partNumber = 2",
  "customer <> 'other' AND customer != 'other'",
  'size > 1e9 AND size >= 5000000000 AND partNumber < 2.5 AND partNumber <= 2',
  'partNumber > -3',
  "sys.Label = 'body' AND sys.subject = 'body' AND sys.MessageId = 'id' AND sys.ContentType LIKE 'text/%'",
  "customer = 'other' OR customer = 'acme'",
  "NOT customer = 'other'",
  "(customer = 'other' OR partNumber = 2) AND draft = FALSE",
  "customer IN ('other', 'acme') AND partNumber NOT IN (1, 3)",
  "name = 'O''Neil 100%'",
  "name LIKE 'O_Neil%' AND name LIKE '%100\\%' ESCAPE '\\'",
  "customer NOT LIKE 'b%'",
  'emailFrom IS NULL AND customer IS NOT NULL',
  'EXISTS(customer) AND NOT EXISTS (emailFrom)',
  `[Diagnostic-Id] = '00-1' AND "Diagnostic-Id" = '00-1'`,
  '[a]]b] = 1',
];

for (const expression of taken) {
  test(`taken: ${expression}`, () => assert.equal(parseSqlFilter(expression)(message), true));
}

const left = [
  '1=0',
  "customer = 'Acme'",
  "customer = 'acme' AND partNumber = 1",
  "NOT (customer = 'acme')",
  // What is compared with a property that isn't there, or of another type, is neither true nor false.
  "emailFrom = 'x'",
  "NOT emailFrom = 'x'",
  "emailFrom <> 'x'",
  "partNumber = '2'",
  "emailFrom NOT LIKE 'x%'",
  "customer LIKE 'acm'",
];

for (const expression of left) {
  test(`left: ${expression}`, () => assert.equal(parseSqlFilter(expression)(message), false));
}

const refused: readonly (readonly [expression: string, why: RegExp])[] = [
  ['', /ends too early/],
  ['customer =', /ends too early/],
  ["customer 'acme'", /from ''acme'' on/],
  ["Diagnostic-Id = 'x'", /in brackets or double quotes, as in \[Diagnostic-Id\]/],
  ['sys.Unknown = 1', /no property 'sys.Unknown'/],
  ['a = 1 b', /from 'b' on/],
  ["a = 'open", /from ''open' on/],
  ['(a = 1', /ends too early/],
];

for (const [expression, why] of refused) {
  test(`refused: ${expression}`, () => assert.throws(() => parseSqlFilter(expression), why));
}
