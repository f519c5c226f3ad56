import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import Module, { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { basename, dirname, join, sep } from 'node:path';
import { onExit } from '../child.ts';
import type {
  FunctionCallback,
  FunctionMetadata,
  HookCallback,
  LogLevel,
  ProgrammingModel,
} from './coreTypes.ts';

export interface RegisteredFunction {
  readonly metadata: FunctionMetadata;
  readonly callback: FunctionCallback;
}

/** What an app said to the host while it loaded. */
export interface LoadedApp {
  readonly functions: ReadonlyMap<string, RegisteredFunction>;
  readonly model: ProgrammingModel;
  /** In the order they were registered. */
  hooks(name: string): readonly HookCallback[];
}

type WriteLog = (level: LogLevel, category: string, message: string) => void;

const coreModuleName = '@azure/functions-core';
/** By the folder an app was loaded from: two apps in one process each have a host of their own. */
const apiByFolder = new Map<string, object>();
let lastApi: object | undefined;
let hooked = false;

/**
 * Loads the app's entry file (CommonJS) with a `@azure/functions-core` of its own, as the Functions worker does.
 * Loaded a second time in this process, it comes from a copy of its folder, so that it registers anew and
 * shares no state with the first. Throws when the entry file throws or registers nothing.
 */
export function loadApp(main: string, log: WriteLog): LoadedApp {
  hookRequire();
  const path = freshPath(main);
  const functions = new Map<string, RegisteredFunction>();
  const hooks = new Map<string, HookCallback[]>();
  let model: ProgrammingModel | undefined;

  const api = {
    version: '1.0.0-testbed',
    hostVersion: '4.1000.0',
    registerFunction(metadata: FunctionMetadata, callback: FunctionCallback) {
      functions.set(metadata.name, { metadata, callback });
      return new Disposable(() => functions.delete(metadata.name));
    },
    registerHook(name: string, callback: HookCallback) {
      hooks.set(name, [...(hooks.get(name) ?? []), callback]);
      return new Disposable(() => {
        hooks.set(
          name,
          (hooks.get(name) ?? []).filter((existing) => existing !== callback),
        );
      });
    },
    setProgrammingModel(given: ProgrammingModel) {
      model = given;
    },
    getProgrammingModel: () => model,
    log,
    Disposable,
  };
  apiByFolder.set(dirname(path) + sep, api);
  lastApi = api;
  try {
    createRequire(path)(path);
  } catch (error) {
    throw new Error(`The app threw while it loaded, which the real host shows as no functions: ${main}`, {
      cause: error,
    });
  }
  if (model === undefined || functions.size === 0) throw new Error(`No functions were registered by ${main}`);
  return { functions, model, hooks: (name) => hooks.get(name) ?? [] };
}

class Disposable {
  readonly dispose: () => void;

  constructor(dispose: () => void) {
    this.dispose = dispose;
  }
}

function hookRequire(): void {
  if (hooked) return;
  hooked = true;
  const original = Module.prototype.require;
  const replaced = function (this: NodeJS.Module, id: string): unknown {
    return id === coreModuleName ? apiFor(this.filename) : original.call(this, id);
  };
  Module.prototype.require = Object.assign(replaced, original);
}

function apiFor(requiringFile: string): object {
  for (const [folder, api] of apiByFolder) if (requiringFile.startsWith(folder)) return api;
  if (lastApi === undefined) throw new Error(`${coreModuleName} was required outside a host.`);
  return lastApi;
}

function freshPath(main: string): string {
  if (!apiByFolder.has(dirname(main) + sep)) return main;
  const folder = mkdtempSync(join(tmpdir(), 'testbed-app-'));
  onExit(() => rmSync(folder, { recursive: true, force: true }));
  cpSync(dirname(main), folder, { recursive: true });
  return join(folder, basename(main));
}
