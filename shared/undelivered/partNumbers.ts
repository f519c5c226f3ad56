import { Failure } from '../failure/failure.ts';

/** A string column holds 32,768 characters; even every other of 10,000 numbers fits. */
const maxCharacters = 32_000;

/** Writes ascending part numbers as ranges: `1-3,7`. */
export function writePartNumbers(numbers: readonly number[]): string {
  const ranges: [first: number, last: number][] = [];
  for (const number of numbers) {
    const range = ranges.at(-1);
    if (range && number === range[1] + 1) range[1] = number;
    else ranges.push([number, number]);
  }
  const text = ranges.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join(',');
  if (text.length > maxCharacters) {
    throw new Failure('mail', 'A mail has too many unsent parts for one record of EmailUndelivered.');
  }
  return text;
}

/** Reads what `writePartNumbers` wrote; undefined for anything else. */
export function readPartNumbers(text: string): readonly number[] | undefined {
  if (text === '') return [];
  const numbers: number[] = [];
  for (const range of text.split(',')) {
    const match = /^(\d{1,6})(?:-(\d{1,6}))?$/.exec(range);
    const first = Number(match?.[1]);
    const last = Number(match?.[2] ?? match?.[1]);
    if (!match || last < first) return undefined;
    for (let number = first; number <= last; number += 1) numbers.push(number);
  }
  return numbers;
}
