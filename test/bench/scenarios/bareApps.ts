import { join } from 'node:path';
import { build } from 'esbuild';
import { benchFolder } from '../bed.ts';

/** Bundles one of the apps that ours is compared with; answers its entry file. */
export async function buildBareApp(name: 'bareTimer' | 'bareSchedule'): Promise<string> {
  const outfile = join(benchFolder, name, 'main.cjs');
  await build({
    entryPoints: [join(import.meta.dirname, '..', 'apps', `${name}.ts`)],
    outfile,
    bundle: true,
    format: 'cjs',
    platform: 'node',
    target: 'node22',
    minifySyntax: true,
    minifyWhitespace: true,
    keepNames: true,
    legalComments: 'none',
    conditions: ['node', 'require'],
    mainFields: ['main', 'module'],
    external: ['@azure/functions-core'],
    logLevel: 'error',
  });
  return outfile;
}
