/** The mail can't be taken apart and goes as it is; `sentence` says why, without mail content. */
export class Unsplittable extends Error {
  override readonly name = 'Unsplittable';
}

/** The mail is built in a way that our scanner leaves to mailparser, the reference. */
export class Unusual extends Error {
  override readonly name = 'Unusual';
}
