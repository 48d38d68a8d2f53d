/**
 * Which differences between normalizations the seeds can show: simultaneous intervals, paired by seed.
 *
 * Each normalization is compared with the baseline by the mean of its differences over the seeds, divided by its
 * standard error (Dunnett 1955, "A multiple comparison procedure for comparing several treatments with a control"). A
 * few seeds say little about a spread, so it is moderated: a mean of the normalization's own and of that of all, as if
 * all told as much as a few more seeds (Smyth 2004, "Linear models and empirical Bayes methods for assessing
 * differential expression"). How large the largest of these ratios is where nothing differs is drawn by a parametric
 * bootstrap (after Westfall & Young 1993, "Resampling-based multiple testing"), in which each normalization has its own
 * spread: where spreads differ the moderated ones mislead, and the critical value rises by as much. One critical value
 * serves all normalizations of a measure; what share of comparisons may err in which measure is the caller's to divide.
 *
 * Simulated with five normalizations, of equal spreads and of spreads that differ up to tenfold, with normal, heavy-tailed,
 * discrete and missing values: any claim in 1 to 6 % of draws; with 80 real trials of one network, dealt at random into five
 * normalizations: in 1 to 5 %. A difference of one standard deviation is found by five seeds in 90, 60 or 24 % of draws where
 * trials of one seed correlate by 0.9, 0.8 or 0.5; by ten in 100, 97 or 61 %, by three in 28, 13 or 4 %. Where spreads differ tenfold and the values are skewed too, means are claimed to differ
 * too often (11 %), as by any t test of few values.
 */
import { isNumber } from "@evenkeel/report/statistics";
import { uniformFloat64 } from "pure-rand/distribution/uniformFloat64";
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";

/** Of one measure: values of each normalization by seed, null where a trial gave none. */
export type Measured = ReadonlyMap<string, readonly (number | null)[]>;

export interface Measure {
  values: Measured;
  /** The step between two values that it can take; 0 where it is continuous. */
  resolution: number;
}

/** A normalization against the baseline: the mean of the differences paired by seed, and its interval. */
export interface Difference {
  norm: string;
  /** Seeds that have a value of both. */
  pairs: number;
  /** Null where no pair has values; low and high also where there are too few seeds for an interval. */
  mean: number | null;
  low: number | null;
  high: number | null;
  /** The interval does not hold zero. */
  clear: boolean;
}

/** The fewest pairs that have an interval: two that agree by chance have no spread, and would be too sure. */
const FEWEST = 3;
/** Three seeds may show very different spreads as alike, and the bootstrap then draws too low: a smaller share of the error is allowed them. */
const SHARE_OF_FEWEST = 0.6;
/** What the spread of all counts for beside a normalization's own, in degrees of freedom; less where that has few pairs. */
const priorOf = (pairs: number): number => (pairs === FEWEST ? 2 : 4);
/** Comparisons drawn. */
const DRAWS = 3999;
const SEED = 1955;
/** What rounding to float32 may change of a value. */
const ROUNDING = 2 ** -23;

/** A normalization against the baseline in one measure. */
interface Contrast extends Moments {
  norm: string;
  /** [seeds]: NaN where one of the two has no value. */
  differences: Float64Array;
  /** The least variance of a difference: that of two values, each rounded evenly to a step. */
  floor: number;
}

/**
 * The differences of the other normalizations of a measure from `baseline`, in the order of its values: intervals that
 * all hold at once but for a share `error` of comparisons. The values are by seed, in the same order for each
 * normalization; a pair of which one is null is left out. Fewer than three pairs have no interval.
 */
export function differencesOf(measure: Measure, baseline: string, error: number): Difference[] {
  const { contrasts, scale } = contrastsOf(measure, baseline);
  // in an order that does not depend on that of the norms, as the draws go by it
  const family = contrasts
    .filter(({ count }) => count >= FEWEST)
    .sort((a, b) => a.count - b.count || a.squares - b.squares);
  const critical = family.length === 0 ? Infinity : criticalValue(family, error);
  const typical = typicalOf(Float64Array.from(family, varianceOf));
  return contrasts.map(({ norm, count, mean, squares, floor }) => {
    const of = { norm, pairs: count, mean: count > 0 ? mean * scale : null };
    const margin =
      ratioAt(critical, count) * Math.sqrt(Math.max(floor, moderated(squares, count, typical)) / count);
    if (count < FEWEST || !Number.isFinite(margin * scale)) {
      return { ...of, low: null, high: null, clear: false };
    }
    const [low, high] = [(mean - margin) * scale, (mean + margin) * scale];
    return { ...of, low, high, clear: Math.abs(mean) > margin };
  });
}

/** Paired differences, divided by `scale`, so that no square of them overflows. */
function contrastsOf(
  { values, resolution }: Measure,
  baseline: string,
): { contrasts: Contrast[]; scale: number } {
  const base = values.get(baseline) ?? [];
  const sizeOf = (of: readonly (number | null)[]) => Math.max(0, ...of.filter(isNumber).map(Math.abs));
  const scale = Math.max(...[...values.values()].map(sizeOf)) || 1;
  const contrasts = [...values].flatMap(([norm, own]) => {
    if (norm === baseline) return [];
    const differences = Float64Array.from(base, (value, seed) => {
      const other = own[seed];
      return isNumber(value) && isNumber(other) ? other / scale - value / scale : Number.NaN;
    });
    const step = Math.max(resolution, ROUNDING * Math.max(sizeOf(base), sizeOf(own))) / scale;
    return { norm, differences, floor: step ** 2 / 6, ...momentsOf(differences) };
  });
  return { contrasts, scale };
}

interface Moments {
  /** Numbers that are not NaN. */
  count: number;
  mean: number;
  /** Sum of squared deviations from the mean. */
  squares: number;
}

function momentsOf(values: Float64Array): Moments {
  let [count, sum, squares] = [0, 0, 0];
  for (const value of values) {
    if (Number.isNaN(value)) continue;
    count++;
    sum += value;
  }
  const mean = sum / count;
  for (const value of values) if (!Number.isNaN(value)) squares += (value - mean) ** 2;
  return { count, mean, squares };
}

/**
 * The median, which one normalization that is far less steady than the others does not move; of an even number the
 * geometric mean of the two in the middle. Sorts `variances`.
 */
function typicalOf(variances: Float64Array): number {
  // a handful of numbers: quicker than sort()
  for (let i = 1; i < variances.length; i++) {
    const value = variances[i];
    let to = i;
    for (; to > 0 && variances[to - 1] > value; to--) variances[to] = variances[to - 1];
    variances[to] = value;
  }
  const last = variances.length - 1;
  return last < 0 ? 0 : Math.sqrt(variances[last >> 1] * variances[(last + 1) >> 1]);
}

const varianceOf = ({ squares, count, floor }: Contrast): number => Math.max(floor, squares / (count - 1));

function moderated(squares: number, pairs: number, typical: number): number {
  const prior = priorOf(pairs);
  return (squares + prior * typical) / (pairs - 1 + prior);
}

/**
 * The normal deviate as unlikely as a ratio of that many pairs, so that those of few pairs do not alone decide the
 * critical value; and back. By Wallace 1959, "Bounds on normal approximations to Student's and the chi-square
 * distributions".
 */
const deviateAt = (ratio: number, pairs: number): number => {
  const freedom = pairs - 1 + priorOf(pairs);
  return ((8 * freedom + 1) / (8 * freedom + 3)) * Math.sqrt(freedom * Math.log1p(ratio ** 2 / freedom));
};
const ratioAt = (deviate: number, pairs: number): number => {
  const freedom = pairs - 1 + priorOf(pairs);
  return Math.sqrt(freedom * Math.expm1(((deviate * (8 * freedom + 3)) / (8 * freedom + 1)) ** 2 / freedom));
};

/** The normal deviate that the largest ratio stays below where nothing differs, but for a share `error` of draws. */
function criticalValue(contrasts: readonly Contrast[], error: number): number {
  // of a single contrast the ratio does not depend on its spread
  const few = contrasts[0].count === FEWEST && contrasts.length > 1;
  normals ??= drawNormals();
  const list = normals;
  let at = 0;
  const normal = () => {
    if (at === NORMALS) at = 0;
    return list[at++];
  };
  const draw = modelOf(contrasts);
  const largest = Float64Array.from({ length: DRAWS }, () => draw(normal));
  largest.sort();
  return largest[Math.ceil((1 - (few ? SHARE_OF_FEWEST : 1) * error) * (DRAWS + 1)) - 1];
}

/** Draws the largest deviate of a family under no difference: what the baseline shares with all, and each one's own. */
function modelOf(contrasts: readonly Contrast[]): (normal: () => number) => number {
  const variances = contrasts.map(varianceOf);
  const shared = Math.sqrt(sharedVariance(contrasts, Math.min(...variances)));
  const own = variances.map((variance) => Math.sqrt(variance - shared ** 2));
  const base = new Float64Array(contrasts[0].differences.length);
  const counts = contrasts.map(({ count }) => count);
  // of each contrast the seeds that it has
  const seeds = contrasts.map(({ differences }) =>
    Int32Array.from([...differences.keys()].filter((seed) => isNumber(differences[seed]))),
  );
  const [means, squares, sorted] = [0, 1, 2].map(() => new Float64Array(contrasts.length));
  return (normal) => {
    for (let seed = 0; seed < base.length; seed++) base[seed] = shared * normal();
    for (let index = 0; index < seeds.length; index++) {
      const [present, spread] = [seeds[index], own[index]];
      let [sum, sumOfSquares] = [0, 0];
      for (let i = 0; i < present.length; i++) {
        const value = spread * normal() - base[present[i]];
        sum += value;
        sumOfSquares += value * value;
      }
      means[index] = sum / present.length;
      squares[index] = Math.max(0, sumOfSquares - sum * means[index]);
      sorted[index] = squares[index] / (present.length - 1);
    }
    const typical = typicalOf(sorted);
    let largest = 0;
    // those of equally many pairs follow each other, and the largest ratio has the largest deviate
    let ratio = 0;
    for (let index = 0; index < counts.length; index++) {
      const count = counts[index];
      ratio = Math.max(ratio, means[index] ** 2 / (moderated(squares[index], count, typical) / count));
      if (counts[index + 1] === count) continue;
      largest = Math.max(largest, deviateAt(Math.sqrt(ratio), count));
      ratio = 0;
    }
    return largest;
  };
}

/** The variance that all differences have of the baseline: their mean covariance, at most nearly all of the least variance. */
function sharedVariance(contrasts: readonly Contrast[], least: number): number {
  const covariances = contrasts.flatMap((a, index) =>
    contrasts.slice(0, index).map((b) => {
      let [count, sum] = [0, 0];
      for (let seed = 0; seed < a.differences.length; seed++) {
        const product = (a.differences[seed] - a.mean) * (b.differences[seed] - b.mean);
        if (Number.isNaN(product)) continue;
        count++;
        sum += product;
      }
      return count > 1 ? sum / (count - 1) : 0;
    }),
  );
  const mean = covariances.reduce((sum, each) => sum + each, 0) / Math.max(1, covariances.length);
  return Math.min(Math.max(0, mean), 0.9 * least);
}

/** Standard normal deviates (Box & Muller 1958): a long list of them, drawn once, over and over. */
const NORMALS = 99_991;
let normals: Float64Array | undefined;

function drawNormals(): Float64Array {
  const random = xoroshiro128plus(SEED);
  const drawn = new Float64Array(NORMALS);
  for (let i = 0; i < NORMALS; i += 2) {
    const radius = Math.sqrt(-2 * Math.log(1 - uniformFloat64(random)));
    const angle = 2 * Math.PI * uniformFloat64(random);
    drawn[i] = radius * Math.cos(angle);
    if (i + 1 < NORMALS) drawn[i + 1] = radius * Math.sin(angle);
  }
  return drawn;
}
