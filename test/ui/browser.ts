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
  /** A tab of a browser of its own, as one that has never been there; `key` is put in beforehand. */
  open(options?: BrowserContextOptions & { readonly key?: string }): Promise<Tab>;
  stop(): Promise<void>;
}

export interface Tab {
  readonly page: Page;
  /** What the page asked of any server, as `METHOD URL`. */
  readonly requests: readonly string[];
  /** Errors, and what the content security policy kept from happening; none are expected. */
  readonly troubles: readonly string[];
  close(): Promise<void>;
}

export async function startUiTestbed(options: AppTestbedOptions): Promise<UiTestbed> {
  requirePrograms([programs.chromium]);
  const [bed, browser] = await Promise.all([startAppTestbed(options), launch()]);
  const server = await bed.host.serveHttp({ functionKey });
  bed.host.startQueueListener();
  return {
    bed,
    url: `${server.url}/api/ui`,
    open: (tab = {}) => open(browser, server, tab),
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
  browser: Browser,
  server: RunningHttpServer,
  { key, ...options }: BrowserContextOptions & { readonly key?: string },
): Promise<Tab> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  context.setDefaultTimeout(30_000);
  const page = await context.newPage();
  const requests: string[] = [];
  const troubles: string[] = [];
  page.on('request', (request) => requests.push(`${request.method()} ${request.url()}`));
  page.on('pageerror', (error) => troubles.push(String(error)));
  page.on('console', (message) => {
    // Chromium says so of each answer that is not a success, and some are meant.
    const isAnswer = message.text().startsWith('Failed to load resource');
    if (message.type() === 'error' && !isAnswer) troubles.push(message.text());
  });
  if (key !== undefined) {
    await page.addInitScript(`sessionStorage.setItem('functionKey', ${JSON.stringify(key)})`);
  }
  await page.goto(`${server.url}/api/ui`);
  return { page, requests, troubles, close: () => context.close() };
}
