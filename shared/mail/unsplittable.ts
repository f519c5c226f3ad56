/** The mail can't be taken apart and goes as it is; `message` says why, without mail content. */
export class Unsplittable extends Error {
  override readonly name = 'Unsplittable';
}
