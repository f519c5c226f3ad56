/** Encoders that build mails for tests, written apart from the decoders they test. */

export function base64Lines(bytes: Buffer, lineLength = 76, lineEnd = '\r\n'): string {
  const encoded = bytes.toString('base64');
  const lines: string[] = [];
  for (let at = 0; at < encoded.length; at += lineLength) lines.push(encoded.slice(at, at + lineLength));
  return lines.join(lineEnd);
}

/** RFC 2045, 6.7. With `binary` line ends are escaped too; else CRLF stays as it is. */
export function quotedPrintable(bytes: Buffer, binary = false): string {
  let line = '';
  let encoded = '';
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at] ?? 0;
    const next = bytes[at + 1];
    if (!binary && byte === 0x0d && next === 0x0a) {
      encoded += `${line}\r\n`;
      line = '';
      at++;
      continue;
    }
    const endsLine = next === undefined || (!binary && next === 0x0d);
    const literal = byte > 0x20 && byte < 0x7f && byte !== 0x3d;
    const token =
      literal || (byte === 0x20 && !endsLine)
        ? String.fromCharCode(byte)
        : `=${byte.toString(16).toUpperCase().padStart(2, '0')}`;
    if (line.length + token.length > 75) {
      encoded += `${line}=\r\n`;
      line = '';
    }
    line += token;
  }
  return encoded + line;
}

/** RFC 2047, in words short enough to be folded, each of whole characters. */
export function encodedWords(text: string, form: 'B' | 'Q' = 'B'): string {
  const words: string[] = [];
  let word = '';
  for (const character of text) {
    if (Buffer.byteLength(word + character) > 30) {
      words.push(word);
      word = '';
    }
    word += character;
  }
  words.push(word);
  const encode = (word: string) =>
    form === 'B' ? Buffer.from(word).toString('base64') : escaped(word, '=').join('');
  return words.map((each) => `=?utf-8?${form}?${encode(each)}?=`).join('\r\n ');
}

/** RFC 2231: `filename*=utf-8''…`, in segments. */
export function extendedParameter(name: string, value: string): string {
  const encoded = escaped(value, '%');
  const lines: string[] = [];
  for (let at = 0; at < encoded.length; at += 15) {
    const start = at === 0 ? "utf-8''" : '';
    lines.push(`${name}*${lines.length}*=${start}${encoded.slice(at, at + 15).join('')}`);
  }
  return lines.join(';\r\n ');
}

/** Russian letters and ASCII only. */
export function windows1251(text: string): Buffer {
  return Buffer.from(
    [...text].map((character) => {
      const code = character.charCodeAt(0);
      return code >= 0x410 && code <= 0x44f ? code - 0x410 + 0xc0 : code;
    }),
  );
}

/** Each byte as this sign and two hex digits. */
function escaped(text: string, sign: '=' | '%'): string[] {
  return [...Buffer.from(text)].map((byte) => `${sign}${byte.toString(16).toUpperCase().padStart(2, '0')}`);
}

/** POSIX uuencode. */
export function uuencode(bytes: Buffer, name = 'data.bin'): string {
  const sign = (value: number) => String.fromCharCode((value & 0x3f) === 0 ? 0x60 : (value & 0x3f) + 0x20);
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += 45) {
    const line = bytes.subarray(at, at + 45);
    let encoded = sign(line.length);
    for (let i = 0; i < line.length; i += 3) {
      const [a = 0, b = 0, c = 0] = line.subarray(i, i + 3);
      encoded += sign(a >> 2) + sign((a << 4) | (b >> 4)) + sign((b << 2) | (c >> 6)) + sign(c);
    }
    lines.push(encoded);
  }
  return `begin 644 ${name}\r\n${lines.map((line) => `${line}\r\n`).join('')}\`\r\nend\r\n`;
}
