import type { ReceivedMessage } from './consumer.ts';
import { clockText, fit, printable, sizeText, type Terminal } from './terminal.ts';

interface Column {
  readonly title: string;
  readonly columns: number;
  readonly align: 'left' | 'right';
  readonly cell: (message: ReceivedMessage) => string;
}

/** A table that grows by a row for each message; the heading comes with the first. */
export class MessageTable {
  readonly #terminal: Terminal;
  readonly #columns: readonly Column[];
  #rows = 0;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
    this.#columns = layOut(terminal.width);
  }

  add(message: ReceivedMessage): void {
    if (this.#rows === 0) {
      const titles = this.#columns.map(({ title, columns, align }) => fit(title, columns, align));
      this.#terminal.line(this.#terminal.paint(titles.join(' ').trimEnd(), 'bold'));
    }
    this.#rows += 1;
    const cells = this.#columns.map(({ cell, columns, align }) => fit(cell(message), columns, align));
    const row = cells.join(' ').trimEnd();
    this.#terminal.line(message.intact ? row : this.#terminal.paint(row, 'red'));
  }
}

/** What is fixed takes its place; the file name, the type and the subject share the rest. */
function layOut(width: number): readonly Column[] {
  const fixed = 8 + 11 + 10 + 9;
  const gaps = 6;
  const rest = width - fixed - gaps;
  const fileName = Math.floor(rest * 0.34);
  const type = Math.min(Math.floor(rest * 0.33), 25);
  return [
    { title: 'time', columns: 8, align: 'left', cell: ({ receivedAt }) => clockText(receivedAt) },
    { title: 'connection', columns: 11, align: 'left', cell: ({ connection }) => connection },
    { title: 'kind', columns: 10, align: 'left', cell: ({ kind }) => kind },
    { title: 'file name', columns: fileName, align: 'left', cell: ({ fileName }) => printable(fileName) },
    { title: 'type', columns: type, align: 'left', cell: ({ contentType }) => printable(contentType) },
    { title: 'size', columns: 9, align: 'right', cell: sizeCell },
    {
      title: 'subject',
      columns: rest - fileName - type,
      align: 'left',
      cell: ({ subject }) => printable(subject),
    },
  ];
}

/** With an asterisk where the bytes are in blob storage. */
function sizeCell({ sizeBytes, claimCheck }: ReceivedMessage): string {
  return `${sizeText(sizeBytes)}${claimCheck === undefined ? ' ' : '*'}`;
}
