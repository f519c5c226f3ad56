const styles = { bold: [1, 22], dim: [2, 22], red: [31, 39], green: [32, 39], yellow: [33, 39] } as const;

export type Style = keyof typeof styles;

/** Plain text to a terminal, a pipe or a file; colours only on a terminal, and not with NO_COLOR. */
export interface Terminal {
  /** Characters that a line may have, 80 to 120. */
  readonly width: number;
  paint(text: string, style: Style): string;
  line(text?: string): void;
  heading(text: string): void;
}

export function openTerminal(
  stream: NodeJS.WriteStream,
  env: Readonly<Record<string, string | undefined>>,
): Terminal {
  const coloured = stream.isTTY === true && (env.NO_COLOR ?? '') === '' && env.TERM !== 'dumb';
  const paint = (text: string, style: Style) => {
    const [on, off] = styles[style];
    return coloured ? `\x1b[${on}m${text}\x1b[${off}m` : text;
  };
  return {
    width: stream.isTTY === true ? Math.min(Math.max(stream.columns, 80), 120) : 120,
    paint,
    line: (text = '') => void stream.write(`${text}\n`),
    heading: (text) => void stream.write(`\n${paint(text, 'bold')}\n`),
  };
}

/** Control characters, and those that turn the writing's direction: a mail's texts must not steer the terminal. */
const unprintable = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cn}]+/gu;

/** A text of unknown origin made safe to print on one line. */
export function printable(text: string): string {
  return text.replace(/\s+/g, ' ').replace(unprintable, '').trim();
}

/** Fills or cuts to exactly this many columns of the terminal. */
export function fit(text: string, columns: number, align: 'left' | 'right' = 'left'): string {
  const cutText = columnsOf(text) <= columns ? text : `${takeColumns(text, columns - 1)}…`;
  const padding = ' '.repeat(columns - columnsOf(cutText));
  return align === 'left' ? cutText + padding : padding + cutText;
}

const wide =
  /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60]|\p{Emoji_Presentation}/u;
const combining = /\p{M}/u;

function columnsOf(text: string): number {
  let columns = 0;
  for (const character of text) columns += columnsOfOne(character);
  return columns;
}

function columnsOfOne(character: string): number {
  if (combining.test(character)) return 0;
  return wide.test(character) ? 2 : 1;
}

function takeColumns(text: string, most: number): string {
  let taken = '';
  let columns = 0;
  for (const character of text) {
    columns += columnsOfOne(character);
    if (columns > most) break;
    taken += character;
  }
  return taken;
}

/** As `2.0 MiB`. */
export function sizeText(sizeBytes: number): string {
  if (sizeBytes < 1024) return `${sizeBytes} B`;
  if (sizeBytes < 1024 ** 2) return `${(sizeBytes / 1024).toFixed(1)} KiB`;
  return `${(sizeBytes / 1024 ** 2).toFixed(1)} MiB`;
}

/** As `3 mails`, `1 mail`. */
export function countText(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

/** Hours, minutes and seconds of this machine's zone. */
export function clockText(time: Date): string {
  return [time.getHours(), time.getMinutes(), time.getSeconds()]
    .map((each) => String(each).padStart(2, '0'))
    .join(':');
}
