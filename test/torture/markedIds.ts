// Loaded with --import into a host process: every id that the app makes then begins with the process's mark, so that
// from outside the rows of a killed process can be told from those of a live one.
import crypto from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';

const mark = process.env.TORTURE_MARK ?? '';
const { randomUUID } = crypto;
crypto.randomUUID = (options) =>
  `${mark}${randomUUID(options).slice(mark.length)}` as ReturnType<typeof randomUUID>;
syncBuiltinESMExports();
