import { join } from 'node:path';
import { type BuildOptions, build } from 'esbuild';
import { benchFolder } from '../bed.ts';

/** Of the apps that ours is compared with, and of the script as a user would run it: libraries from node_modules. */
const forms = {
  app: {
    format: 'cjs',
    minifySyntax: true,
    minifyWhitespace: true,
    legalComments: 'none',
    conditions: ['node', 'require'],
    mainFields: ['main', 'module'],
    external: ['@azure/functions-core'],
  },
  script: { format: 'esm', packages: 'external' },
} satisfies Readonly<Record<string, BuildOptions>>;

/** Bundles one of the programs that ours is compared with; answers its entry file. */
export async function buildBareApp(
  name: 'bareTimer' | 'bareSchedule' | 'plainPoll',
  form: keyof typeof forms = 'app',
): Promise<string> {
  const outfile = join(benchFolder, name, form === 'app' ? 'main.cjs' : 'main.mjs');
  const entryPoints = [join(import.meta.dirname, '..', 'apps', `${name}.ts`)];
  const common = { bundle: true, platform: 'node', target: 'node22', logLevel: 'error' } as const;
  await build({ entryPoints, outfile, ...common, ...forms[form] });
  return outfile;
}
