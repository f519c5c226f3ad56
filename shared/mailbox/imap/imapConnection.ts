import { AuthenticationFailure, ImapFlow, type MailboxObject, type SearchObject } from 'imapflow';
import { Failure } from '../../failure/failure.ts';
import { unlessAborted, withDeadline } from '../../wait/deadline.ts';
import { newBuffers } from '../mailBuffers.ts';
import type { MailboxOptions } from '../mailbox.ts';
import { describeAbort, describeOtherProtocol, describeTimeout, serverName } from '../networkFailure.ts';
import { quoteServerText } from '../serverText.ts';
import { clientOptions, type LoginSecret } from './clientOptions.ts';
import { FetchCommand, type FetchItems, type LiteralMemory } from './fetchCommand.ts';
import { FetchTap } from './fetchTap.ts';
import { type DeferredCommands, deferCommands } from './fewerRoundTrips.ts';
import {
  type ConnectionState,
  describeFolderRefusal,
  describeImapError,
  describeLoginRefusal,
  describeNoMechanism,
  describeRefusal,
  describeSlowOpen,
  type Refusal,
  refusalOf,
} from './imapFailure.ts';
import { boundThrottling, memberOf, watchCommands } from './imapflowInside.ts';
import { mailsIn, ResponseBudget } from './responseBudget.ts';

const maxGreetingBytes = 1024;
const mebibyte = 1024 * 1024;
/** What a mail may exceed the size that the server gave: some servers give an estimate. */
const literalSlackBytes = 32 * mebibyte;
const logoutMs = 1_000;

/** One connection to an IMAP server, with the knowledge needed to say why something on it failed. */
export class ImapConnection {
  readonly client: ImapFlow;
  readonly #options: MailboxOptions;
  readonly deferred: DeferredCommands;
  readonly #tap: FetchTap;
  readonly #secrets: readonly string[];
  readonly #onAbort = (): void =>
    void this.fail(describeAbort(this.#options.signal, this.state), 'a command');
  #phase: ConnectionState['phase'] = 'connect';
  #socketError: Error | undefined;
  #lastRefusal: Refusal | undefined;
  #alert: string | undefined;
  #hasUnreadNumbers = false;
  /** Why it is over. */
  failure: Failure | undefined;
  #fetching: FetchCommand | undefined;
  readonly #budget = new ResponseBudget();
  #isGreeted = false;

  constructor(options: MailboxOptions, secret: LoginSecret) {
    this.#options = options;
    this.#secrets = Object.values(secret);
    const onPhase = (phase: ConnectionState['phase']): void => {
      this.#phase = phase;
    };
    const onLogged = (entry: unknown): void => {
      this.#lastRefusal = refusalOf(memberOf(entry, 'err')) ?? this.#lastRefusal;
      this.#hasUnreadNumbers ||= isUnreadSearch(entry);
    };
    this.client = new ImapFlow(clientOptions(options, secret, onPhase, onLogged));
    // Without a listener, for good, a lost connection would end the process.
    this.client.on('error', (error: Error) => {
      this.#socketError ??= error;
    });
    this.client.on('alert', ({ message }) => {
      this.#alert = message;
    });
    this.#tap = new FetchTap(this.client, options.buffers ?? newBuffers, (chunk) => this.#mayPass(chunk));
    watchCommands(this.client, (name, argument) => {
      const isAboutMails = /^UID (FETCH|STORE|EXPUNGE|MOVE|COPY)$/.test(name);
      this.#budget.begin(name, isAboutMails ? mailsIn(argument) : 0);
    });
    // A longer silence would be taken for the server's, and blamed on the mail that is asked for.
    boundThrottling(this.client, Math.min(options.timeouts.connectMs, options.timeouts.commandMs) / 4);
    this.deferred = deferCommands(this.client, () => this.#beginLogin());
    options.signal?.addEventListener('abort', this.#onAbort, { once: true });
  }

  get state(): ConnectionState {
    const { host, port, security, username, credential } = this.#options;
    return {
      ...{ protocol: 'IMAP' as const, host, port, security, username },
      authentication: credential.kind,
      phase: this.#phase,
      secrets: this.#secrets,
      startTlsOffered: this.client.capabilities.has('STARTTLS'),
      socketError: this.#socketError,
      byeReason: this.client.byeReason,
      alert: this.#alert,
    };
  }

  /** Connects and logs in within `timeoutMs`, and selects the folder within `openMs`; rejects with a `Failure`. */
  async open(timeoutMs: number): Promise<MailboxObject> {
    const { signal, timeouts, folder } = this.#options;
    try {
      const login = unlessAborted(this.#login(), signal, () => describeAbort(signal, this.state));
      await withDeadline(login, timeoutMs, () => describeTimeout(this.state, timeouts.connectMs));
      const mailbox = await withDeadline(this.#select(folder), timeouts.openMs, () =>
        describeSlowOpen(folder, this.state, timeouts.openMs),
      );
      this.#phase = 'session';
      return mailbox;
    } catch (error) {
      throw this.fail(error, 'the login');
    }
  }

  async #login(): Promise<void> {
    try {
      await this.client.connect();
    } catch (error) {
      const refusal = refusalOf(error);
      if (refusal !== undefined) throw describeLoginRefusal(refusal, this.state);
      throw error instanceof AuthenticationFailure ? describeNoMechanism(this.state) : error;
    }
  }

  /** Looks at what the server sends before imapflow gets it: who answers at all, and whether it is a flood. */
  #mayPass(chunk: Buffer): boolean {
    const greeting = this.#isGreeted ? '' : chunk.toString('latin1', 0, maxGreetingBytes);
    this.#isGreeted = true;
    // Every greeting begins with an asterisk. What is no text, as of TLS, is left to whoever waits for one.
    const isOther = /^\s*[!-)+-~]/.test(greeting);
    if (!isOther && this.#budget.take(chunk)) return true;
    const line = greeting.trimStart().split('\n', 1)[0] ?? '';
    const flood = `${serverName(this.state)} goes on sending what nobody asked for, so the session was ended. Check the server.`;
    const failure = isOther
      ? describeOtherProtocol(this.state, line, `"${quoteServerText(line, this.#secrets)}"`)
      : new Failure('protocol', flood);
    this.fail(failure, 'a command');
    return false;
  }

  /** Before the first command of the session: the greeting is there. */
  #beginLogin(): void {
    if (this.#phase === 'greeting' && this.client.authenticated === true) {
      throw new Failure(
        'protocol',
        `${serverName(this.state)} greets as logged in already (PREAUTH), so nobody knows whose mailbox it is. Check host and port.`,
      );
    }
    this.#phase = 'login';
  }

  /** What some servers want first, an ID or a folder's namespace prefix, is found out when they refuse. */
  async #select(folder: string): Promise<MailboxObject> {
    let opened = await this.#trySelect(folder);
    const again = 'status' in opened && (await this.#mendSelect(opened));
    if (again) opened = await this.#trySelect(folder);
    if ('status' in opened) throw describeFolderRefusal(opened, folder, this.state);
    return opened;
  }

  async #mendSelect({ text }: Refusal): Promise<boolean> {
    if (/unsafe login|\bID\b command/i.test(text)) {
      await this.deferred.identify();
      return true;
    }
    // With the namespace known, imapflow itself puts the prefix before the name.
    const { prefix } = await this.deferred.namespace();
    return prefix !== '';
  }

  /** A folder's name with the prefix and the separator that this server has; people write `/` between the levels. */
  async serversName(folder: string): Promise<string> {
    const { prefix, separator } = await this.deferred.namespace();
    const levels = separator === '' ? folder : folder.replaceAll('/', separator);
    return levels.startsWith(prefix) ? levels : `${prefix}${levels}`;
  }

  async #trySelect(folder: string): Promise<MailboxObject | Refusal> {
    try {
      const mailbox = await this.client.mailboxOpen(folder);
      spellFlagsAsUsual(mailbox);
      return mailbox;
    } catch (error) {
      const refusal = refusalOf(error);
      if (refusal === undefined) throw error;
      return refusal;
    }
  }

  /**
   * What a command gives; undefined where it was refused. For imapflow a NO that tells of removed mails is a success,
   * such as Dovecot's to a COPY or MOVE that it has not done at all.
   */
  async attempt<T>(command: () => Promise<T | false | undefined>): Promise<T | undefined> {
    this.#lastRefusal = undefined;
    const done = await command();
    return this.#lastRefusal === undefined && done ? done : undefined;
  }

  /** What a command gives; rejects where it was refused, with what imapflow has logged. */
  async require<T>(doing: string, command: () => Promise<T | false | undefined>): Promise<T> {
    const done = await this.attempt(command);
    if (done !== undefined) return done;
    if (this.#lastRefusal !== undefined) throw describeRefusal(this.#lastRefusal, doing, this.state);
    throw describeImapError(undefined, doing, this.state);
  }

  /** UID SEARCH: the UIDs found, ascending. Rejects where there are some and none can be read, for imapflow finds none. */
  async search(query: SearchObject, doing: string): Promise<readonly number[]> {
    this.#hasUnreadNumbers = false;
    const found = await this.require(doing, () => this.client.search(query, { uid: true }));
    if (Array.isArray(found) && found.length > 0) return found;
    if (!this.#hasUnreadNumbers) return [];
    const sentence = `${serverName(this.state)} answered SEARCH, ${doing}, with numbers that can't be read. Ask the server's operator.`;
    throw new Failure('protocol', sentence);
  }

  /** Sends a UID FETCH; its responses are to be taken until their end, `largestBytes` being the largest mail's size. */
  fetch(uids: string, items: FetchItems, memory: LiteralMemory, largestBytes: number): FetchCommand {
    this.#tap.largestResponseBytes = literalLimit(largestBytes) + mebibyte;
    this.#fetching = new FetchCommand(this.client, this.#tap, uids, items, memory, largestBytes);
    return this.#fetching;
  }

  /** Turns an error into the connection's one `Failure` and ends the connection. */
  fail(error: unknown, doing: string): Failure {
    const failure = this.failure ?? describeImapError(error, doing, this.state);
    this.failure = failure;
    this.#fetching?.fail(failure);
    this.close();
    return failure;
  }

  /** Ends the connection at once. */
  close(): void {
    this.#options.signal?.removeEventListener('abort', this.#onAbort);
    this.client.close();
  }

  /** LOGOUT is sent and its answer is awaited by nobody: what was settled is settled. */
  logout(): void {
    const mostMs = Math.min(logoutMs, this.#options.timeouts.commandMs);
    withDeadline(this.client.logout(), mostMs, () => new Error('Late.'))
      .catch(() => {})
      .finally(() => this.close());
  }
}

/** Whether imapflow logs that it could not read an answer to SEARCH that holds numbers, or some of these. */
function isUnreadSearch(entry: unknown): boolean {
  return memberOf(entry, 'discarded') === true || /^\0*\* *E?SEARCH\b.*\d/i.test(`${memberOf(entry, 'msg')}`);
}

/** The most that arrives for one mail of this size without being a flood, in bytes. */
export function literalLimit(sizeBytes: number): number {
  return 2 * sizeBytes + literalSlackBytes;
}

/** Flags count in any case (RFC 3501, 9), but imapflow sends none that PERMANENTFLAGS spells another way. */
function spellFlagsAsUsual({ permanentFlags }: MailboxObject): void {
  const kept = new Set([...(permanentFlags ?? [])].map((flag) => flag.toLowerCase()));
  for (const flag of ['\\Seen', '\\Deleted']) {
    if (kept.has(flag.toLowerCase())) permanentFlags?.add(flag);
  }
}
