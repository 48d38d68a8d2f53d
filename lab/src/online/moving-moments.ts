/**
 * The moments of each column so far, one record at a time: what a Standardizer of the library has after all records before
 * (its forgetting, its scale of a constant), without an array for each.
 */
import { merge } from "evenkeel";
import type { Lists } from "./lists.js";

/** As the Standardizer has it: a column that is missing for long keeps its moments. */
const LEAST_WEIGHT = 1e-100;

export class MovingMoments {
  private readonly count: Float64Array;
  /** The mean in two parts: a large one does not swallow what a record adds to it. */
  private readonly mean: Float64Array;
  private readonly rest: Float64Array;
  private readonly m2: Float64Array;

  constructor(
    columns: number,
    private readonly forgetting: number,
    { count, mean, rest, m2 }: Lists = {},
  ) {
    this.count = Float64Array.from(count ?? new Float64Array(columns));
    this.mean = Float64Array.from(mean ?? new Float64Array(columns));
    this.rest = Float64Array.from(rest ?? new Float64Array(columns));
    this.m2 = Float64Array.from(m2 ?? new Float64Array(columns));
  }

  /** NaN before any value. */
  meanOf(j: number): number {
    return this.count[j] > 0 ? this.mean[j] + this.rest[j] : Number.NaN;
  }

  /** The standard deviation (biased); 1 of a constant, and before any value. */
  scaleOf(j: number): number {
    const deviation = Math.sqrt(this.m2[j] / this.count[j]);
    return deviation > Number.EPSILON * Math.abs(this.mean[j]) ? deviation : 1;
  }

  /** (value − mean) / scale by the values so far; 0 before any. */
  standardized(j: number, value: number): number {
    if (this.count[j] === 0) return Number.isNaN(value) ? value : 0;
    return (value - this.mean[j] - this.rest[j]) / this.scaleOf(j);
  }

  /** The next value of column j; NaN is missing, and only lets the older ones age. */
  add(j: number, value: number): void {
    const { count, mean, rest, m2, forgetting } = this;
    if (forgetting < 1 && count[j] > 0) {
      const decay = Math.min(1, Math.max(forgetting, LEAST_WEIGHT / count[j]));
      count[j] *= decay;
      m2[j] *= decay;
    }
    if (Number.isNaN(value)) return;
    if (count[j] === 0) mean[j] = value;
    const all = merge(
      { count: count[j], mean: rest[j], m2: m2[j] },
      { count: 1, mean: value - mean[j], m2: 0 },
    );
    const rounded = mean[j] + all.mean;
    count[j] = all.count;
    rest[j] = mean[j] - rounded + all.mean;
    mean[j] = rounded;
    m2[j] = all.m2;
  }

  get lists(): Lists {
    const { count, mean, rest, m2 } = this;
    return { count, mean, rest, m2 };
  }
}
