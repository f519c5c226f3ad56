import type { Transform } from 'node:stream';
import type { ImapFlow } from 'imapflow';
import { Failure } from '../../failure/failure.ts';

/*
 * All that is used here of imapflow's inside, which its interface does not promise. package.json names the exact
 * version; with one that lacks any of it no session can be opened, and the sentence says why.
 */

/** imapflow's parser, the stream that the server's bytes go through. */
export interface ImapParser extends Transform {
  /** 1 between and in lines, 2 in a literal. */
  readonly state: number;
  readonly lineBytes: number;
  /** What is still to come of a literal, in bytes. */
  readonly literalWaiting: number;
  readonly inputBuffer: readonly unknown[];
  readBytesCounter: number;
}

export type ImapCommand = (client: ImapFlow, ...args: readonly unknown[]) => Promise<unknown>;

/** A token of a command line, as imapflow writes it. */
export type ImapToken =
  | { readonly type: 'SEQUENCE' | 'ATOM' | 'STRING' | 'LITERAL'; readonly value: string }
  | {
      readonly type: 'ATOM';
      readonly value: string;
      readonly section: readonly ImapToken[];
      readonly partial?: readonly number[];
    }
  | readonly ImapToken[];

export function parserOf(client: ImapFlow): ImapParser {
  const parser: unknown = Reflect.get(client, 'streamer');
  if (isParser(parser)) return parser;
  throw unknownVersion('its parser');
}

/** imapflow's registry of commands, by name. */
export function commandsOf(client: ImapFlow): ReadonlyMap<string, ImapCommand> {
  const commands: unknown = Reflect.get(client, 'commands');
  const needed = ['CAPABILITY', 'ID', 'NAMESPACE', 'LIST', 'LOGIN', 'AUTHENTICATE'];
  if (commands instanceof Map && needed.every((name) => typeof commands.get(name) === 'function'))
    return commands;
  throw unknownVersion('its registry of commands');
}

/** Has imapflow call these in place of its own commands. */
export function replaceCommands(client: ImapFlow, replaced: Iterable<readonly [string, ImapCommand]>): void {
  Object.assign(client, { commands: new Map([...commandsOf(client), ...replaced]) });
}

/** Takes a chunk that came from the server, and calls when the next may come. */
export type TakeChunk = Transform['_transform'];

/** Has `transform` take what comes from the server, in place of the parser's own, which is given back. */
export function interceptChunks(parser: ImapParser, transform: TakeChunk): TakeChunk {
  const own = parser._transform;
  Object.assign(parser, { _transform: transform });
  return (chunk, encoding, next) => own.call(parser, chunk, encoding, next);
}

/** Has `onCommand` told of each command before it is sent: its name and its first argument, as text. */
export function watchCommands(client: ImapFlow, onCommand: (name: string, argument: string) => void): void {
  const exec = execOf(client);
  const watched = (name: unknown, args: unknown, options: unknown): unknown => {
    const argument = memberOf(memberOf(args, 0), 'value');
    onCommand(String(name), typeof argument === 'string' ? argument : '');
    return exec(name, args, options);
  };
  Object.assign(client, { exec: watched });
}

/** Before it hands on a refusal that asks it to wait, imapflow reads nothing for so long: now only where that is `mostMs` at most. */
export function boundThrottling(client: ImapFlow, mostMs: number): void {
  const wait: unknown = Reflect.get(client, 'throttleWait');
  if (typeof wait !== 'function') throw unknownVersion('its wait for a server that throttles');
  const throttleWait = (ms: number): unknown => wait.call(client, ms > mostMs ? 0 : ms);
  Object.assign(client, { throttleWait });
}

/** Sends a command. Rejects as it is refused. */
export async function runCommand(
  client: ImapFlow,
  command: string,
  args: readonly ImapToken[],
): Promise<void> {
  const response: unknown = await execOf(client)(command, args, {});
  // Until then imapflow reads nothing more.
  const next = memberOf(response, 'next');
  if (typeof next === 'function') next();
}

function execOf(client: ImapFlow): (name: unknown, args: unknown, options: unknown) => unknown {
  const exec: unknown = Reflect.get(client, 'exec');
  if (typeof exec !== 'function') throw unknownVersion('its way to send a command');
  return (...given) => exec.apply(client, given);
}

/** The response code of a refusal, which some commands leave where the parser put it. */
export function responseCodeOf(error: unknown): string | undefined {
  const section = memberOf(memberOf(memberOf(memberOf(error, 'response'), 'attributes'), 0), 'section');
  const code = memberOf(memberOf(section, 0), 'value');
  return typeof code === 'string' ? code : undefined;
}

/** A member of what imapflow made, whose type nobody promises; undefined where there is none. */
export function memberOf(value: unknown, name: string | number): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;
}

function isParser(value: unknown): value is ImapParser {
  const numbers = ['state', 'lineBytes', 'literalWaiting', 'readBytesCounter'];
  return (
    typeof memberOf(value, '_transform') === 'function' &&
    numbers.every((name) => typeof memberOf(value, name) === 'number') &&
    Array.isArray(memberOf(value, 'inputBuffer'))
  );
}

function unknownVersion(missing: string): Failure {
  return new Failure(
    'internal',
    `This version of imapflow can't be used: ${missing} is not where it was. Install the version that package.json names.`,
  );
}
