/**
 * Errors of predictions that were made before their record was learned from, faded, as what is learned changes (Gama, Sebastião &
 * Rodrigues 2013, "On evaluating stream learning algorithms"): of each contender over the same records.
 */
import type { Contender, Errors } from "./history.js";

/** Sums of each contender: weight of judged predictions, |error|, error², wrong classes. */
const SUMS = 4;

export class ErrorSums {
  private readonly sums: Float64Array;

  constructor(
    private readonly contenders: readonly Contender[],
    private readonly kind: "number" | "classes",
    /** What older errors are multiplied by at each record. */
    private readonly fading: number,
    sums?: ArrayLike<number>,
  ) {
    this.sums = Float64Array.from(sums ?? new Float64Array(SUMS * contenders.length));
  }

  /** A prediction of each contender beside what came. */
  add(predictions: readonly number[], target: number): void {
    const { sums, fading } = this;
    for (const [i, prediction] of predictions.entries()) {
      const at = SUMS * i;
      if (fading < 1) for (let k = at; k < at + SUMS; k++) sums[k] *= fading;
      const error = Math.abs(prediction - target);
      sums[at]++;
      sums[at + 1] += error;
      sums[at + 2] += error * error;
      sums[at + 3] += Number(prediction !== target);
    }
  }

  /** Adds those of another, which is unchanged. */
  merge(other: ErrorSums): void {
    for (const [i, sum] of other.sums.entries()) this.sums[i] += sum;
  }

  errors(): Errors[] {
    const { sums, kind } = this;
    return this.contenders.map((of, i) => {
      const [count, absolute, squared, wrong] = sums.subarray(SUMS * i, SUMS * (i + 1));
      const isNumber = kind === "number" && count > 0;
      return {
        of,
        count,
        mae: isNumber ? absolute / count : Number.NaN,
        rmse: isNumber ? Math.sqrt(squared / count) : Number.NaN,
        wrong: kind === "classes" && count > 0 ? wrong / count : Number.NaN,
      };
    });
  }

  /** float64 [contenders · 4] */
  get list(): Float64Array {
    return this.sums;
  }
}
