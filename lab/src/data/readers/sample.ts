/**
 * A uniform sample of rows whose number is not known before the last one is read: reservoir sampling with skips (Li's
 * algorithm L, 1994), from one fixed seed, so that the same rows are drawn of equal tables in whatever format.
 */
import { uniformInt } from "pure-rand/distribution/uniformInt";
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";

const SEED = 11;

/** Which of the rows that come one after the other are kept, and in the place of which. */
export class Reservoir {
  readonly #size: number;
  readonly #random = xoroshiro128plus(SEED);
  /** The row that is drawn next, once the reservoir is full. */
  #next: number;
  #weight = 1;

  /** @param size rows to keep: a positive integer */
  constructor(size: number) {
    this.#size = size;
    this.#next = size - 1;
    this.#skip();
  }

  /** Whether row `row`, from 0, is kept; rows are to be asked about in order, and each that is kept is to be placed. */
  draws(row: number): boolean {
    return row < this.#size || row === this.#next;
  }

  /** The place, 0 to size − 1, of a row that is kept; whatever was there is kept no longer. */
  place(row: number): number {
    if (row < this.#size) return row;
    const slot = uniformInt(this.#random, 0, this.#size - 1);
    this.#skip();
    return slot;
  }

  /** The first row, `row` or a later one, that is drawn. */
  from(row: number): number {
    return row < this.#size ? row : this.#next;
  }

  #skip(): void {
    this.#weight *= Math.exp(Math.log(this.#uniform()) / this.#size);
    this.#next += Math.floor(Math.log(this.#uniform()) / Math.log1p(-this.#weight)) + 1;
  }

  /** Between 0 and 1, neither of them. */
  #uniform(): number {
    return (uniformInt(this.#random, 0, 0x7fffffff) + 0.5) / 0x80000000;
  }
}

/** [sample]: the rows drawn of `rowCount`, from 0, rising; undefined where all are kept. */
export function drawn(rowCount: number, sample: number | undefined): Int32Array | undefined {
  if (sample === undefined || sample >= rowCount) return undefined;
  const reservoir = new Reservoir(sample);
  const kept = new Int32Array(sample);
  for (let row = reservoir.from(0); row < rowCount; row = reservoir.from(row + 1)) {
    kept[reservoir.place(row)] = row;
  }
  return kept.sort();
}
