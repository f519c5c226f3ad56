import assert from 'node:assert/strict';
import axe from 'axe-core';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import { type AppTestbed, type AppTestbedOptions, startAppTestbed } from '../app/testbed.ts';
import type { RunningHttpServer } from '../testbed/host/httpServer.ts';
import { commandOf, programs, requirePrograms } from '../testbed/programs.ts';

export const functionKey = 'a function key, and no other';

/** The app served over HTTP with a function key, its queue listener running, and a real Chromium. */
export interface UiTestbed {
  readonly bed: AppTestbed;
  /** Of the connections page. */
  readonly url: string;
  /**
   * A tab of a browser of its own, as one that has never been there but for its function key; an empty one is not put
   * in. It is closed when the test ends, which fails where the page had troubles.
   */
  open(test: Closing, options?: TabOptions): Promise<Tab>;
  stop(): Promise<void>;
}

export interface Tab {
  readonly page: Page;
  /** What the page asked of any server, as `METHOD URL`. */
  readonly requests: readonly string[];
}

/** What `TestContext` does, among others. */
interface Closing {
  after(close: () => Promise<void>): void;
}

export type TabOptions = BrowserContextOptions & {
  readonly key?: string;
  /** As on a busy machine: frames and timers come late, keys and addresses don't. */
  readonly isLate?: boolean;
};

export async function startUiTestbed(options: AppTestbedOptions): Promise<UiTestbed> {
  requirePrograms([programs.chromium]);
  const [bed, browser] = await Promise.all([startAppTestbed(options), launch()]);
  const server = await bed.host.serveHttp({ functionKey });
  bed.host.startQueueListener();
  return {
    bed,
    url: `${server.url}/api/ui`,
    open: (test, tab = {}) => open(test, browser, server, tab),
    stop,
  };

  async function stop(): Promise<void> {
    await browser.close();
    await server.stop();
    await bed.host.stopQueueListener();
    await bed.stop();
  }
}

async function launch(): Promise<Browser> {
  return await chromium.launch({
    executablePath: commandOf(programs.chromium),
    args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--font-render-hinting=none'],
    timeout: 30_000,
  });
}

async function open(
  test: Closing,
  browser: Browser,
  server: RunningHttpServer,
  { key = functionKey, isLate = false, ...options }: TabOptions,
): Promise<Tab> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  context.setDefaultTimeout(30_000);
  const page = await context.newPage();
  const requests: string[] = [];
  /** Errors, and what the content security policy kept from happening. */
  const troubles: string[] = [];
  test.after(async () => {
    await context.close();
    assert.deepEqual(troubles, []);
  });
  page.on('request', (request) => requests.push(`${request.method()} ${request.url()}`));
  page.on('pageerror', (error) => troubles.push(String(error)));
  page.on('console', (message) => {
    // Chromium says so of each answer that is not a success, and some are meant.
    const isAnswer = message.text().startsWith('Failed to load resource');
    if (message.type() === 'error' && !isAnswer) troubles.push(message.text());
  });
  if (key !== '') {
    await page.addInitScript(`sessionStorage.setItem('functionKey', ${JSON.stringify(key)})`);
  }
  if (isLate) await page.addInitScript(late);
  await page.goto(`${server.url}/api/ui`);
  return { page, requests };
}

const late = `{
  const soon = setTimeout;
  setTimeout = (work, delayMs = 0, ...rest) => soon(work, delayMs + 1_000, ...rest);
  requestAnimationFrame = () => 0;
}`;

/** Puts a text into the field of each label. */
export async function fill(page: Page, values: Readonly<Record<string, string>>): Promise<void> {
  for (const [label, value] of Object.entries(values))
    await page.getByLabel(label, { exact: true }).fill(value);
}

/** Goes to another page of the app as a link does. */
export async function go(page: Page, hash: string): Promise<void> {
  await page.evaluate(`location.hash = ${JSON.stringify(hash)}`);
}

/** What axe finds wrong with the page as it is. */
export async function violationsOf(page: Page): Promise<readonly string[]> {
  await page.evaluate(axe.source);
  const { violations } = (await page.evaluate('axe.run(document)')) as axe.AxeResults;
  return violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html}`));
}
