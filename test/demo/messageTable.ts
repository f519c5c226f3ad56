import type { ReceivedMessage } from './consumer.ts';
import { clockText, fit, printable, sizeText, type Terminal } from './terminal.ts';

interface Column {
  readonly title: string;
  readonly columns: number;
  readonly align?: 'right';
  readonly cell: (message: ReceivedMessage) => string;
}

/** A table that grows by a row with each message it is called with; the heading comes with the first. */
export function messageTable(terminal: Terminal): (message: ReceivedMessage) => void {
  const columns = layOut(terminal.width);
  const rowOf = (textOf: (column: Column) => string): string =>
    columns
      .map((column) => fit(textOf(column), column.columns, column.align))
      .join(' ')
      .trimEnd();
  let isEmpty = true;
  return (message) => {
    if (isEmpty)
      terminal.line(
        terminal.paint(
          rowOf(({ title }) => title),
          'bold',
        ),
      );
    isEmpty = false;
    const row = rowOf(({ cell }) => cell(message));
    terminal.line(message.intact ? row : terminal.paint(row, 'red'));
  };
}

/** What is fixed takes its place; the file name, the type and the subject share the rest. */
function layOut(width: number): readonly Column[] {
  const fixed = 8 + 11 + 10 + 9;
  const gaps = 6;
  const rest = width - fixed - gaps;
  const fileName = Math.floor(rest * 0.34);
  const type = Math.min(Math.floor(rest * 0.33), 25);
  return [
    { title: 'time', columns: 8, cell: ({ receivedAt }) => clockText(receivedAt) },
    { title: 'connection', columns: 11, cell: ({ connection }) => connection },
    { title: 'kind', columns: 10, cell: ({ kind }) => kind },
    { title: 'file name', columns: fileName, cell: ({ fileName }) => printable(fileName) },
    { title: 'type', columns: type, cell: ({ contentType }) => printable(contentType) },
    { title: 'size', columns: 9, align: 'right', cell: sizeCell },
    { title: 'subject', columns: rest - fileName - type, cell: ({ subject }) => printable(subject) },
  ];
}

/** With an asterisk where the bytes are in blob storage. */
function sizeCell({ sizeBytes, claimCheck }: ReceivedMessage): string {
  return `${sizeText(sizeBytes)}${claimCheck === undefined ? ' ' : '*'}`;
}
