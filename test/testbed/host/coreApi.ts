import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import Module, { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
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
const loadedFolders = new Set<string>();
/** Of the app that was loaded last: there is one host in a process at a time. */
let api: object | undefined;

/**
 * Loads the app's entry file (CommonJS) with a `@azure/functions-core` of its own, as the Functions worker does.
 * Loaded a second time in this process, it comes from a copy of its folder, so that it registers anew and
 * shares no state with the first. Throws when the entry file throws or registers nothing.
 */
export function loadApp(main: string, log: WriteLog): LoadedApp {
  if (api === undefined) hookRequire();
  const path = freshPath(main);
  const functions = new Map<string, RegisteredFunction>();
  const hooks = new Map<string, HookCallback[]>();
  let model: ProgrammingModel | undefined;

  api = {
    version: '1.0.0-testbed',
    hostVersion: '4.1000.0',
    registerFunction(metadata: FunctionMetadata, callback: FunctionCallback) {
      functions.set(metadata.name, { metadata, callback });
      return new Disposable();
    },
    registerHook(name: string, callback: HookCallback) {
      hooks.set(name, [...(hooks.get(name) ?? []), callback]);
      return new Disposable();
    },
    setProgrammingModel(given: ProgrammingModel) {
      model = given;
    },
    getProgrammingModel: () => model,
    log,
    Disposable,
  };
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

/** Nothing takes back what it registered. */
class Disposable {
  dispose(): void {}
}

function hookRequire(): void {
  const original = Module.prototype.require;
  const replaced = function (this: NodeJS.Module, id: string): unknown {
    return id === coreModuleName ? api : original.call(this, id);
  };
  Module.prototype.require = Object.assign(replaced, original);
}

function freshPath(main: string): string {
  const source = dirname(main);
  if (!loadedFolders.has(source)) {
    loadedFolders.add(source);
    return main;
  }
  const folder = mkdtempSync(join(tmpdir(), 'testbed-app-'));
  onExit(() => rmSync(folder, { recursive: true, force: true }));
  cpSync(source, folder, { recursive: true });
  return join(folder, basename(main));
}
