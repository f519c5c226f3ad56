/**
 * `npm run conformance -- FOLDER`: splits every mail in a folder and lists where we disagree with mailparser and
 * postal-mime about what it holds. Which of us is right is for a person to say. With `--damage COUNT SEED` it
 * checks so many damaged mails of its own making against the law of `law.ts` instead.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { between, seededRandom } from './build.ts';
import { applyDamage, damageKinds, damageTexts, findLost, tokenMail } from './law.ts';
import { type Reading, readByMailparser, readByPostalMime } from './readings.ts';
import { seen, split } from './support.ts';

const longWord = /[\p{L}\p{N}]{7,}/gu;
const maxShown = 5;

async function compareFolder(folder: string): Promise<void> {
  let mails = 0;
  let agreed = 0;
  let raw = 0;
  for (const entry of readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort()) {
    const file = join(folder, entry);
    if (!statSync(file).isFile()) continue;
    const mail = readFileSync(file);
    mails++;
    const ours = await split(mail, { inlineAttachments: true });
    if (ours.parts[0]?.kind === 'raw') {
      raw++;
      console.log(`${entry}: raw. ${ours.warning ?? ''}`);
      continue;
    }
    const asHtml = await split(mail, { inlineAttachments: true, bodyFormat: 'html' });
    const parts = [...seen(ours), ...seen(asHtml)];
    const differences: string[] = [];
    for (const [name, read] of [
      ['mailparser', readByMailparser],
      ['postal-mime', readByPostalMime],
    ] as const) {
      try {
        differences.push(...disagreements(parts, await read(mail)).map((what) => `${name}: ${what}`));
      } catch (error) {
        differences.push(`${name}: fails with ${error instanceof Error ? error.name : 'an error'}`);
      }
    }
    if (differences.length === 0) agreed++;
    for (const difference of differences) console.log(`${entry}: ${difference}`);
  }
  console.log(`${mails} mails: ${agreed} read alike, ${raw} raw, ${mails - agreed - raw} read differently`);
}

function disagreements(parts: ReturnType<typeof seen>, theirs: Reading): string[] {
  const found: string[] = [];
  for (const { name, bytes } of theirs.attachments)
    if (!parts.some((part) => comparable(part.bytes) === comparable(bytes)))
      found.push(
        `an attachment ${name ?? 'without a name'} of ${bytes.length} bytes is in none of our parts`,
      );
  const words = new Set(parts.flatMap(({ bytes }) => bytes.toString().match(longWord) ?? []));
  const missing = theirs.texts
    .flatMap((text) => text.match(longWord) ?? [])
    .filter((word) => !words.has(word));
  if (missing.length > 0)
    found.push(
      `${missing.length} words of its text are in none of our parts: ${missing.slice(0, maxShown).join(', ')}`,
    );
  return found;
}

/** postal-mime ends every body with a line end, and has its own for those of a text. */
function comparable(bytes: Buffer): string {
  return bytes.toString('latin1').replaceAll('\r', '').replace(/\n$/, '');
}

async function checkDamaged(count: number, seed: number): Promise<void> {
  const started = performance.now();
  let broken = 0;
  for (let index = seed; index < seed + count; index++) {
    const random = seededRandom(index);
    let mail = tokenMail(random);
    for (let damages = between(random, 0, 3); damages > 0; damages--)
      mail = applyDamage(mail, {
        kind: damageKinds[between(random, 0, damageKinds.length - 1)] ?? 'cut',
        at: between(random, 0, mail.length),
        length: between(random, 1, 60),
        text: damageTexts[between(random, 0, damageTexts.length - 1)] ?? '',
      });
    const lost = await findLost(mail);
    if (lost.length === 0) continue;
    broken++;
    console.log(`seed ${index}: ${lost.join(', ')} are lost`);
  }
  const seconds = Math.round((performance.now() - started) / 1000);
  console.log(`${count} damaged mails from seed ${seed}: ${broken} broke the law, in ${seconds} s`);
  if (broken > 0) process.exitCode = 1;
}

const { values, positionals } = parseArgs({
  options: { damage: { type: 'boolean', default: false } },
  allowPositionals: true,
});
const [first, second] = positionals;
if (values.damage) await checkDamaged(Number(first ?? 1000), Number(second ?? 0));
else if (first !== undefined) await compareFolder(first);
else console.error('Usage: npm run conformance -- FOLDER, or npm run conformance -- --damage COUNT SEED');
