/** Something measured, over all rounds. */
export interface Series {
  readonly name: string;
  readonly unit: 'ms' | 'MiB' | 'requests' | 'connections';
  readonly samples: readonly number[];
}

/** One line of the result: what was measured and, where there is one, the bar that it is held against. */
export interface Figure {
  readonly scenario: string;
  readonly value: number;
  /** What `value` is: a ratio of medians, or an amount of this unit. */
  readonly unit: 'ratio' | 'MiB' | 'requests' | 'connections';
  readonly bar?: { readonly is: 'at most' | 'at least'; readonly value: number };
  /** What it was made of. */
  readonly series: readonly Series[];
}

/** One bar of the chart: a time as a multiple of the raw fetch in the same rounds. */
export interface Relative {
  readonly group: string;
  readonly contender: string;
  readonly timesRaw: number;
}

export interface ScenarioResult {
  readonly figures: readonly Figure[];
  readonly relatives?: readonly Relative[];
}

/** Times of something, over all rounds. */
export function times(name: string, samples: readonly number[]): Series {
  return { name, unit: 'ms', samples };
}

/** Throws when there is nothing to take the median of. */
export function median(samples: readonly number[]): number {
  const sorted = samples.toSorted((a, b) => a - b);
  const upper = sorted[Math.floor(sorted.length / 2)];
  const lower = sorted[Math.floor((sorted.length - 1) / 2)];
  if (upper === undefined || lower === undefined) throw new Error('Nothing was measured.');
  return (upper + lower) / 2;
}

export function ratioFigure(
  scenario: string,
  over: Series,
  under: Series,
  bar?: NonNullable<Figure['bar']>,
): Figure {
  const value = median(over.samples) / median(under.samples);
  return { scenario, value, unit: 'ratio', series: [over, under], ...(bar === undefined ? {} : { bar }) };
}

export function amountFigure(
  scenario: string,
  series: Series & { readonly unit: 'MiB' | 'requests' | 'connections' },
  bar: NonNullable<Figure['bar']>,
): Figure {
  return { scenario, value: median(series.samples), unit: series.unit, series: [series], bar };
}

export function atMost(value: number): NonNullable<Figure['bar']> {
  return { is: 'at most', value };
}

export function atLeast(value: number): NonNullable<Figure['bar']> {
  return { is: 'at least', value };
}

/** Undefined where there is no bar. */
export function isMet({ value, bar }: Figure): boolean | undefined {
  if (bar === undefined) return undefined;
  return bar.is === 'at most' ? value <= bar.value : value >= bar.value;
}
