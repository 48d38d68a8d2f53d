/** The past of a stream in a bounded number of points: where there would be too many, each two neighbours become one. */
import type { Moments } from "evenkeel";
import { type GrowingMoments, include, mergeInto, startMoments } from "./growing-moments.js";
import type { Contender, HistoryPoint } from "./history.js";
import type { Lists } from "./lists.js";
import { ErrorSums } from "./prequential.js";
import type { Learned } from "./settings.js";

/** Even, so that all of them have a neighbour. */
const MOST_POINTS = 240;
/** Records of a point, at first. */
const FIRST_SPAN = 16;
/** Columns whose moments are kept for the figures. */
export const MOST_DRAWN = 64;

interface Kept {
  records: number;
  moments: GrowingMoments[];
  errors: ErrorSums;
}

export class ThinnedHistory {
  readonly drawn: number;
  private span = FIRST_SPAN;
  /** The last one is not yet full. */
  private points: Kept[] = [];

  constructor(
    columns: number,
    private readonly contenders: readonly Contender[],
    private readonly kind: Learned["kind"],
    lists?: Lists,
  ) {
    this.drawn = Math.min(columns, MOST_DRAWN);
    if (lists) this.restore(lists);
    else this.points.push(this.empty());
  }

  /** A record: its values, NaN missing, from `at` on. */
  add(rows: Float64Array, at: number): void {
    const point = this.points[this.points.length - 1];
    for (let j = 0; j < this.drawn; j++) {
      const value = rows[at + j];
      if (!Number.isNaN(value)) include(point.moments[j], value);
    }
    point.records++;
  }

  /** The same record's predictions, where they can be judged. */
  judge(predictions: readonly number[], target: number): void {
    this.points[this.points.length - 1].errors.add(predictions, target);
  }

  /** Nothing more comes of this record. */
  close(): void {
    const { points, span } = this;
    if (points[points.length - 1].records < span) return;
    if (points.length === MOST_POINTS) {
      this.points = points.flatMap((point, i) => (i % 2 === 0 ? [this.join(point, points[i + 1])] : []));
      this.span *= 2;
    }
    this.points.push(this.empty());
  }

  history(): HistoryPoint[] {
    let from = 0;
    return this.points.flatMap(({ records, moments, errors }) => {
      const to = from + records;
      const list = (of: keyof Moments) => Float64Array.from(moments, (each) => each[of]);
      const point = {
        from,
        to,
        moments: { count: list("count"), mean: list("mean"), m2: list("m2") },
        errors: errors.errors(),
      };
      from = to;
      return records === 0 ? [] : [point];
    });
  }

  get lists(): Lists {
    return {
      span: Float64Array.of(this.span),
      points: Float64Array.from(
        this.points.flatMap(({ records, moments, errors }) => [
          records,
          ...moments.flatMap(({ count, mean, m2 }) => [count, mean, m2]),
          ...errors.list,
        ]),
      ),
    };
  }

  private restore({ span, points }: Lists): void {
    this.span = span[0];
    const start = 1 + 3 * this.drawn;
    const width = start + this.empty().errors.list.length;
    this.points = Array.from({ length: points.length / width }, (_, i) => {
      const list = points.subarray(i * width, (i + 1) * width);
      return {
        records: list[0],
        moments: Array.from({ length: this.drawn }, (_, j) => ({
          count: list[1 + 3 * j],
          mean: list[2 + 3 * j],
          m2: list[3 + 3 * j],
        })),
        errors: new ErrorSums(this.contenders, this.kind, 1, list.subarray(start)),
      };
    });
  }

  private empty(): Kept {
    return {
      records: 0,
      moments: Array.from({ length: this.drawn }, startMoments),
      errors: new ErrorSums(this.contenders, this.kind, 1),
    };
  }

  /** Adds the second to the first. */
  private join(a: Kept, b: Kept): Kept {
    a.records += b.records;
    for (const [j, of] of a.moments.entries()) mergeInto(of, of, b.moments[j]);
    a.errors.merge(b.errors);
    return a;
  }
}
