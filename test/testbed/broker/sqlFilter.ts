import type { MessageContent } from './wireMessage.ts';

/** A value in a filter; `undefined` is SQL's NULL. */
type Value = string | number | boolean | undefined;
/** SQL's three-valued logic: `undefined` is unknown. */
type Truth = boolean | undefined;
type Evaluate<Result> = (message: MessageContent) => Result;

interface Token {
  readonly kind: 'word' | 'name' | 'text' | 'number' | 'sign' | 'end';
  readonly value: string;
  readonly at: number;
}

const tokenPattern =
  /\s*(?:(?<text>'(?:[^']|'')*')|(?<name>\[(?:[^\]]|\]\])*\]|"(?:[^"]|"")*")|(?<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|(?<word>[A-Za-z_][A-Za-z0-9_]*)|(?<sign><>|!=|<=|>=|[=<>(),.+-]))/y;

/**
 * Reads a subscription's SQL filter: comparisons of properties and literals, AND, OR, NOT, IN, LIKE, IS NULL and
 * EXISTS, without arithmetic and functions. Throws an `Error` that says where it can't be read.
 * https://learn.microsoft.com/azure/service-bus-messaging/service-bus-messaging-sql-filter
 */
export function parseSqlFilter(expression: string): (message: MessageContent) => boolean {
  const evaluate = new Parser(tokensOf(expression), expression).parse();
  return (message) => evaluate(message) === true;
}

function tokensOf(expression: string): Token[] {
  const tokens: Token[] = [];
  tokenPattern.lastIndex = 0;
  while (expression.slice(tokenPattern.lastIndex).trim() !== '') {
    const at = tokenPattern.lastIndex;
    const groups = tokenPattern.exec(expression)?.groups;
    if (groups === undefined) {
      throw new Error(`The filter can't be read from '${expression.slice(at).trim()}' on.`);
    }
    const [kind, value = ''] = Object.entries(groups).find(([, found]) => found !== undefined) ?? [];
    tokens.push({ kind: (kind ?? 'end') as Token['kind'], value, at });
  }
  tokens.push({ kind: 'end', value: '', at: expression.length });
  return tokens;
}

class Parser {
  readonly #tokens: readonly Token[];
  readonly #expression: string;
  #next = 0;

  constructor(tokens: readonly Token[], expression: string) {
    this.#tokens = tokens;
    this.#expression = expression;
  }

  parse(): Evaluate<Truth> {
    const evaluate = this.#or();
    if (this.#peek().kind !== 'end') throw this.#unexpected();
    return evaluate;
  }

  #or(): Evaluate<Truth> {
    let left = this.#and();
    while (this.#takeWord('OR')) {
      const [a, b] = [left, this.#and()];
      left = (message) => not(both(not(a(message)), not(b(message))));
    }
    return left;
  }

  #and(): Evaluate<Truth> {
    let left = this.#not();
    while (this.#takeWord('AND')) {
      const [a, b] = [left, this.#not()];
      left = (message) => both(a(message), b(message));
    }
    return left;
  }

  #not(): Evaluate<Truth> {
    if (!this.#takeWord('NOT')) return this.#predicate();
    const inner = this.#not();
    return (message) => not(inner(message));
  }

  #predicate(): Evaluate<Truth> {
    if (this.#takeSign('(')) {
      const inner = this.#or();
      this.#expectSign(')');
      return inner;
    }
    if (this.#takeWord('EXISTS')) {
      this.#expectSign('(');
      const property = this.#property();
      this.#expectSign(')');
      return (message) => property(message) !== undefined;
    }
    return this.#comparison(this.#operand());
  }

  #comparison(left: Evaluate<Value>): Evaluate<Truth> {
    if (this.#takeWord('IS')) {
      const negated = this.#takeWord('NOT');
      if (!this.#takeWord('NULL')) throw this.#unexpected();
      return (message) => (left(message) === undefined) !== negated;
    }
    const negated = this.#takeWord('NOT');
    const negate = (truth: Truth) => (negated ? not(truth) : truth);
    if (this.#takeWord('IN')) {
      const choices = this.#list();
      return (message) => {
        const value = left(message);
        return negate(value === undefined ? undefined : choices.some((choice) => choice(message) === value));
      };
    }
    if (this.#takeWord('LIKE')) {
      const matches = likePattern(this.#text(), this.#takeWord('ESCAPE') ? this.#text() : undefined);
      return (message) => {
        const value = left(message);
        return negate(typeof value === 'string' ? matches.test(value) : undefined);
      };
    }
    const sign = this.#peek().value;
    const compare = comparisons[sign];
    if (negated || this.#peek().kind !== 'sign' || compare === undefined) throw this.#unexpected();
    this.#next++;
    const right = this.#operand();
    return (message) => {
      const [a, b] = [left(message), right(message)];
      if (a === undefined || b === undefined || typeof a !== typeof b) return undefined;
      return compare(a, b);
    };
  }

  #list(): Evaluate<Value>[] {
    this.#expectSign('(');
    const choices = [this.#operand()];
    while (this.#takeSign(',')) choices.push(this.#operand());
    this.#expectSign(')');
    return choices;
  }

  #operand(): Evaluate<Value> {
    const token = this.#peek();
    if (token.kind === 'text') {
      const value = this.#text();
      return () => value;
    }
    const sign = this.#takeSign('-') ? -1 : 1;
    if (this.#peek().kind === 'number') {
      const value = sign * Number(this.#peek().value);
      this.#next++;
      return () => value;
    }
    if (sign < 0) throw this.#unexpected();
    if (this.#takeWord('TRUE')) return () => true;
    if (this.#takeWord('FALSE')) return () => false;
    return this.#property();
  }

  /** `sys.` and a property of Service Bus, or an application property with or without `user.`. */
  #property(): Evaluate<Value> {
    const first = this.#identifier();
    if (!this.#takeSign('.')) {
      if (this.#peek().value === '-') {
        throw new Error(
          `A property whose name holds '-' is written in brackets or double quotes, as in [${first}-Id].`,
        );
      }
      return (message) => comparable(message.applicationProperties[first]);
    }
    const name = this.#identifier();
    if (first.toLowerCase() === 'user') return (message) => comparable(message.applicationProperties[name]);
    const system = first.toLowerCase() === 'sys' ? systemProperties[name.toLowerCase()] : undefined;
    if (system === undefined) throw new Error(`The filter knows no property '${first}.${name}'.`);
    return system;
  }

  #identifier(): string {
    const token = this.#peek();
    if (token.kind !== 'word' && token.kind !== 'name') throw this.#unexpected();
    this.#next++;
    if (token.kind === 'word') return token.value;
    const quote = token.value.at(-1) ?? '';
    return token.value.slice(1, -1).replaceAll(quote + quote, quote);
  }

  #text(): string {
    const token = this.#peek();
    if (token.kind !== 'text') throw this.#unexpected();
    this.#next++;
    return token.value.slice(1, -1).replaceAll("''", "'");
  }

  /** Nothing takes the last one, which is the end. */
  #peek(): Token {
    return this.#tokens[this.#next] as Token;
  }

  #takeWord(word: string): boolean {
    return this.#takeIf(({ kind, value }) => kind === 'word' && value.toUpperCase() === word);
  }

  #takeSign(sign: string): boolean {
    return this.#takeIf(({ kind, value }) => kind === 'sign' && value === sign);
  }

  #takeIf(isWanted: (token: Token) => boolean): boolean {
    const isTaken = isWanted(this.#peek());
    if (isTaken) this.#next++;
    return isTaken;
  }

  #expectSign(sign: string): void {
    if (!this.#takeSign(sign)) throw this.#unexpected();
  }

  #unexpected(): Error {
    const rest = this.#expression.slice(this.#peek().at).trim();
    return new Error(
      rest === '' ? 'The filter ends too early.' : `The filter can't be read from '${rest}' on.`,
    );
  }
}

const comparisons: Readonly<Record<string, (a: string | number | boolean, b: typeof a) => boolean>> = {
  '=': (a, b) => a === b,
  '<>': (a, b) => a !== b,
  '!=': (a, b) => a !== b,
  '<': (a, b) => a < b,
  '<=': (a, b) => a <= b,
  '>': (a, b) => a > b,
  '>=': (a, b) => a >= b,
};

const systemProperties: Readonly<Record<string, Evaluate<Value>>> = {
  contenttype: (message) => message.contentType,
  correlationid: (message) => message.correlationId,
  label: (message) => message.subject,
  messageid: (message) => message.messageId,
  replyto: (message) => message.replyTo,
  replytosessionid: (message) => message.replyToSessionId,
  sessionid: (message) => message.sessionId,
  subject: (message) => message.subject,
  to: (message) => message.to,
};

function comparable(value: unknown): Value {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
    ? value
    : undefined;
}

function both(a: Truth, b: Truth): Truth {
  if (a === false || b === false) return false;
  return a === undefined || b === undefined ? undefined : true;
}

function not(truth: Truth): Truth {
  return truth === undefined ? undefined : !truth;
}

/** `%` is any characters, `_` one; `escapeCharacter` before one of them takes it as it stands. */
function likePattern(pattern: string, escapeCharacter: string | undefined): RegExp {
  let source = '';
  for (let at = 0; at < pattern.length; at++) {
    let character = pattern.charAt(at);
    const isEscaped = character === escapeCharacter;
    if (isEscaped) character = pattern.charAt(++at);
    if (!isEscaped && character === '%') source += '.*';
    else if (!isEscaped && character === '_') source += '.';
    else source += character.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');
  }
  return new RegExp(`^${source}$`, 's');
}
