/** The mail can't be taken apart and goes as it is; `message` says why, without mail content. */
export class Unsplittable extends Error {
  override readonly name = 'Unsplittable';
}

/** As `Unsplittable`, but the mail can be split once it is known that this is a delimiter. */
export class GluedDelimiter extends Unsplittable {
  readonly offset: number;

  constructor(offset: number) {
    super('text stands right behind a close delimiter in it');
    this.offset = offset;
  }
}
