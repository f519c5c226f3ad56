/**
 * Makes what is published, all of `dist/`: `main.cjs`, the chunks it loads when first needed, and the two files
 * that the Functions host reads.
 *
 * esbuild splits code into chunks for ES modules only, and the Functions worker loads CommonJS several
 * times faster; so the bundle is split as ES modules first and each chunk is then turned into CommonJS.
 */
import { realpathSync } from 'node:fs';
import { copyFile, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, join } from 'node:path';
import { build, type Plugin, transform } from 'esbuild';

const root = import.meta.dirname;
const outDir = join(root, 'dist');
const target = 'node22';
const require = createRequire(import.meta.url);

/**
 * What libraries load with themselves and most runs never call. Each group becomes a file of its own, loaded when
 * something of it is first used.
 */
const seldomUsed: Readonly<Record<string, readonly string[]>> = {
  charsets: ['iconv-lite/lib/index.js', 'encoding-japanese/src/index.js', 'libmime/dist/cjs/charset.js'],
  crc64: ['@azure/storage-common/dist/esm/crc64.js'],
  logger: ['pino/pino.js'],
  proxies: ['http-proxy-agent/dist/index.js', 'https-proxy-agent/dist/index.js', 'socks/build/index.js'],
  xml: ['fast-xml-parser/src/fxp.js'],
};

const mainModule = 'functions/main.ts';
/**
 * What is needed together, by the modules that are loaded by themselves. With all that they import they are one file,
 * and one more for what several of these need: finding and opening a file takes longer than reading most chunks.
 */
const neededTogether: Readonly<Record<string, readonly string[]>> = {
  start: [mainModule],
  rows: ['shared/connection/connectionStore.ts', 'shared/storage/tables.ts'],
  orders: ['shared/schedule/schedulePolls.ts', 'shared/schedule/orderQueue.ts', 'shared/storage/queues.ts'],
  blobs: ['shared/storage/blobs.ts'],
  polls: [
    'shared/app/polling.ts',
    'shared/app/sessions.ts',
    'shared/delivered/deliveredMails.ts',
    'shared/journal/journal.ts',
  ],
  imap: ['shared/mailbox/imap/imapMailbox.ts'],
  queue: ['shared/destination/destinations.ts'],
};
/** As Node does with a file: what fails while it loads is loaded anew when it is next asked for. */
const registry = `const chunks={},made={};
module.exports=(name)=>{
  if(made[name]!==undefined)return made[name].exports;
  const {exports}=made[name]={exports:{}};
  try{chunks[name](made[name],exports);return made[name].exports}catch(error){delete made[name];throw error}
};
`;

const inAll = {
  bundle: true,
  platform: 'node',
  target,
  outdir: outDir,
  minifySyntax: true,
  minifyWhitespace: true,
  legalComments: 'none',
  logLevel: 'warning',
  metafile: true,
} as const;

const seldom = await build({
  ...inAll,
  entryPoints: Object.fromEntries(Object.keys(seldomUsed).map((group) => [fileOf(group), `seldom:${group}`])),
  format: 'cjs',
  outExtension: { '.js': '.cjs' },
  plugins: [seldomGroups()],
});

const bundle = await build({
  ...inAll,
  entryPoints: [join(root, mainModule)],
  splitting: true,
  format: 'esm',
  chunkNames: 'chunk-[name]-[hash]',
  external: ['@azure/functions-core'],
  plugins: [connectionsPage(), loadSeldomUsedLater(), loadOnce(/^(libmime|libqp|libbase64)($|\/)/)],
  // Azure's HTTP client asks of each body whether it is one, which loads all of undici. None ever is.
  define: { FormData: 'undefined' },
  conditions: ['node'],
  mainFields: ['module', 'main'],
  write: false,
});

const chunks = await Promise.all(
  bundle.outputFiles.map(async (file) => {
    const { code } = await transform(renameImports(file.text), {
      format: 'cjs',
      platform: 'node',
      target,
      minifyWhitespace: true,
      supported: { 'dynamic-import': false },
      define: { 'import.meta.url': '__fileUrl' },
    });
    const url = 'const __fileUrl=require("node:url").pathToFileURL(__filename).href;';
    const name = toCjs(basename(file.path));
    return { name, code: code.includes('__fileUrl') ? `${url}${code}` : code };
  }),
);
const files = joinChunks(chunks);
await Promise.all([...files].map(([name, code]) => writeFile(join(outDir, name), code)));

await copyFile(join(root, 'host.json'), join(outDir, 'host.json'));
await writeFile(join(outDir, 'package.json'), await publishedPackage());

const written = new Set([
  ...Object.keys(seldom.metafile.outputs).map((path) => basename(path)),
  ...files.keys(),
  'host.json',
  'package.json',
]);
const stale = (await readdir(outDir)).filter((name) => !written.has(name));
await Promise.all(stale.map((name) => rm(join(outDir, name), { recursive: true })));

/** The file that a chunk goes into, by its name: that of all who need it; none of those that nobody here needs. */
function sharedFiles(): ReadonlyMap<string, string> {
  const { outputs } = bundle.metafile;
  const pathOf = new Map(Object.entries(outputs).map(([path, { entryPoint }]) => [entryPoint, path]));
  const needs = Object.entries(neededTogether).map(([need, modules]) => {
    const reached = new Set<string>();
    for (const module of modules) reach(pathOf.get(module) ?? unknownModule(module), reached);
    return { need, reached };
  });
  const files = new Map<string, string>();
  for (const path of Object.keys(outputs)) {
    const [first, ...others] = needs.filter(({ reached }) => reached.has(path)).map(({ need }) => need);
    if (first === undefined || outputs[path]?.entryPoint === mainModule) continue;
    const all = first === 'start' ? [first] : [first, ...others];
    files.set(toCjs(basename(path)), `together-${all.join('-')}.cjs`);
  }
  return files;
}

/** Adds a chunk, and all that are loaded with it. */
function reach(path: string, reached: Set<string>): void {
  if (reached.has(path)) return;
  reached.add(path);
  for (const { path: imported, kind, external } of bundle.metafile.outputs[path]?.imports ?? [])
    if (kind === 'import-statement' && !external) reach(imported, reached);
}

function unknownModule(path: string): never {
  throw new Error(
    `${path} is not loaded by itself, so it can't be put into a file with others. See neededTogether.`,
  );
}

/** The files to write: a chunk alone, or as a function that is called when it is first asked for. */
function joinChunks(chunks: readonly { name: string; code: string }[]): ReadonlyMap<string, string> {
  const fileOfChunk = sharedFiles();
  const files = new Map<string, string>();
  for (const { name, code: alone } of chunks) {
    const code = alone.replace(/\brequire\("\.\/(chunk-[\w.-]+)"\)/g, (whole, chunk: string) => {
      const file = fileOfChunk.get(chunk);
      return file === undefined ? whole : `require("./${file}")("${chunk}")`;
    });
    const file = fileOfChunk.get(name);
    if (file === undefined) files.set(name, code);
    else
      files.set(
        file,
        `${files.get(file) ?? registry}chunks["${name}"]=(function(module,exports){${code}});\n`,
      );
  }
  return files;
}

/** Says where the functions are, and nothing that a build in Azure would install or run. */
async function publishedPackage(): Promise<string> {
  const { name, version, license } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
  return `${JSON.stringify({ name, version, license, private: true, main: 'main.cjs' }, null, 2)}\n`;
}

/** Gives `ui:page`: the connections page's script and style, for browsers, as two strings. */
function connectionsPage(): Plugin {
  return {
    name: 'connections-page',
    setup({ onResolve, onLoad }) {
      onResolve({ filter: /^ui:page$/ }, ({ path }) => ({ path, namespace: 'page' }));
      onLoad({ filter: /.*/, namespace: 'page' }, async () => {
        const page = await build({
          entryPoints: [join(root, 'shared', 'ui', 'page', 'main.tsx')],
          bundle: true,
          minify: true,
          format: 'esm',
          target: ['es2022', 'chrome109', 'firefox115', 'safari16.4'],
          jsx: 'automatic',
          jsxImportSource: 'preact',
          legalComments: 'none',
          outdir: outDir,
          write: false,
          logLevel: 'warning',
        });
        const textOf = (ending: string) =>
          page.outputFiles.find((file) => file.path.endsWith(ending))?.text.trim() ?? '';
        const names = { script: textOf('.js'), style: textOf('.css') };
        const exports = Object.entries(names).map(
          ([name, text]) => `export const ${name} = ${JSON.stringify(text)};`,
        );
        return { contents: exports.join('\n') };
      });
    },
  };
}

/** Gives `seldom:<group>`: the modules of a group, by their names. */
function seldomGroups(): Plugin {
  return {
    name: 'seldom-groups',
    setup({ onResolve, onLoad }) {
      onResolve({ filter: /^seldom:/ }, ({ path }) => ({ path: path.slice(7), namespace: 'seldom' }));
      onLoad({ filter: /.*/, namespace: 'seldom' }, ({ path }) => {
        const lines = seldomUsed[path]?.map(
          (module) => `exports[${JSON.stringify(module)}] = require(${JSON.stringify(pathTo(module))});`,
        );
        return { contents: lines?.join('\n') ?? '', resolveDir: root };
      });
    },
  };
}

/** Puts a stand-in in the place of each module that is seldom used: what it exports can be called, made and read. */
function loadSeldomUsedLater(): Plugin {
  return {
    name: 'seldom-used',
    setup({ onResolve, onLoad }) {
      onResolve({ filter: /^\.\/seldom-/ }, ({ path }) => ({ path, external: true }));
      for (const [group, modules] of Object.entries(seldomUsed)) {
        for (const module of modules) {
          const pattern = pathTo(module).replace(/\W/g, '\\$&');
          onLoad({ filter: new RegExp(`^${pattern}$`) }, () => ({ contents: standIn(group, module) }));
        }
      }
    },
  };
}

function standIn(group: string, module: string): string {
  const { __esModule: isEsModule, ...exports } = require(join(outDir, `${fileOf(group)}.cjs`))[module];
  const names = Object.entries(exports)
    .filter(([name, value]) => /^\w+$/.test(name) && Object(value) === value)
    .map(([name]) => name);
  const later = [...new Set([...names, 'default'])].map((name) => {
    const real = name === 'default' && !isEsModule ? 'all()' : `all().${name}`;
    return `const ${name}_ = later(() => ${real});\nexport { ${name}_ as ${name} };`;
  });
  return `let loaded;
    const all = () => (loaded ??= require("./${fileOf(group)}.cjs")[${JSON.stringify(module)}]);
    const later = (real) => new Proxy(function () {}, {
      apply: (_, self, args) => Reflect.apply(real(), self, args),
      construct: (_, args) => Reflect.construct(real(), args),
      get: (_, key) => real()[key],
    });
    ${later.join('\n')}`;
}

function fileOf(group: string): string {
  return `seldom-${group}`;
}

/** The real one, by which esbuild goes. */
function pathTo(module: string): string {
  return realpathSync(join(root, 'node_modules', module));
}

/** Some libraries have each module twice, for `import` and for `require`, and both would be loaded. */
function loadOnce(filter: RegExp): Plugin {
  return {
    name: 'once',
    setup({ onResolve, resolve }) {
      onResolve({ filter }, ({ path, kind, resolveDir }) =>
        kind === 'require-call' ? undefined : resolve(path, { kind: 'require-call', resolveDir }),
      );
    },
  };
}

function toCjs(name: string): string {
  return name.replace(/\.js$/, '.cjs');
}

/** The chunks name each other by file; they are written with the ending that Node takes for CommonJS. */
function renameImports(code: string): string {
  return code.replace(/(["'])(\.\/(?:chunk-)?[\w.-]+)\.js\1/g, (whole, quote: string, path: string) =>
    bundle.outputFiles.some((file) => file.path.endsWith(`${path.slice(1)}.js`))
      ? `${quote}${path}.cjs${quote}`
      : whole,
  );
}
