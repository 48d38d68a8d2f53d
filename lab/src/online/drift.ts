/**
 * Drift of one column: a shift of its level, its spread or its share of missing values that chance does not explain.
 *
 * Values are measured by the median and the quartiles of the first ones, z = (value − median) / scale, and what is watched are asinh z
 * (level), its variance within a shortest block (spread), and whether the value is missing: one outlier, however large, moves none of
 * them by much, so that the mean of a block is near to normal where the values are not. Records are cut into blocks, and a block's mean is
 * one observation; blocks double until neighbours tell little of each other, as batch means of a simulation do (Law & Carson 1979, "A sequential
 * procedure for determining the length of a steady-state simulation"). What correlation is left widens the test.
 *
 * The observations are kept as moments in buckets that double with age, and every split between buckets is a test of what came after it
 * against what came before, as ADWIN does (Bifet & Gavaldà 2007, "Learning from time-changing data with adaptive windowing"): Student's t of
 * the two means, with what Bernstein's inequality adds for values that are rare and large, which a variance alone tells too late. The chance
 * of a false alarm is divided among all columns, watched means, checks and splits. After a drift the column begins anew.
 *
 * Simulated, 12 streams of a million records each, blocks of 64 and a chance of 0.01 among 8 columns: no alarm of normal, heavy-tailed (t of 2,
 * Cauchy), skewed and counted values, of events as rare as 1 in 10,000, of values missing in 0.1 to 99 %, of autoregressions (0.5 to 0.999)
 * and random walks, of seasons of 48 and 1,440 records; 13 alarms in 4 streams of a season of 86,400, and 1 of volatility in bursts
 * (GARCH 0.1, 0.85). Of normal values a shift of 0.1, 0.5, 1 or 3 standard deviations after 20,000 records is found within 6,496, 352,
 * 160 or 96 (median of 60), a spread × 1.5 within 288; in an autoregression of 0.9 of 0.5 or 1 within 4,704 or 1,120.
 */
import type { Moments } from "evenkeel";
import { type GrowingMoments, include, mergeInto, startMoments } from "./growing-moments.js";
import type { Drift, Stretch, Watched } from "./history.js";
import type { Lists } from "./lists.js";
import { deviateOf, twoTails } from "./normal.js";

/** What is watched of a column, in the order of a block's observations. */
const WATCHED = ["mean", "spread", "missing"] as const;
/** Values that scale the others: as many, or as come in as many records. */
const SAMPLE = 256;
const SAMPLE_RECORDS = 4096;
/** With fewer of them the column's values are not watched, only whether they are missing. */
const FEWEST_SAMPLED = 16;
/** The mean of fewer is too uncertain to stand beside others: such a block only tells how many are missing. */
const FEWEST_IN_BLOCK = 8;
/** Blocks of the reference before anything is compared with it; even. */
const REFERENCE = 32;
/** Fewest blocks of the recent side: the mean of fewer is not yet normal. */
const RECENT = 4;
/** Buckets of one size before the two oldest become one. */
const ALIKE = 5;
/** Above this correlation of neighbours, blocks double. */
const CORRELATED = 0.25;
/** However they are correlated, the test is widened by no more than this stands for. */
const MOST_CORRELATED = 0.9;
/** Standard deviations within which normal means lie. */
const USUALLY_WITHIN = 4;
/** What chance is of: records. */
export const PER_RECORDS = 1e6;

/** Consecutive blocks: moments of their means, and of the values themselves. */
interface Bucket {
  /** Number of its first record. */
  from: number;
  records: number;
  /** Blocks. */
  size: number;
  /** In the order of WATCHED. */
  means: GrowingMoments[];
  /** Least and greatest of these means; Infinity and -Infinity of none. */
  low: number[];
  high: number[];
  /** Greatest asinh |z| of a value. */
  largest: number;
  values: GrowingMoments;
}

/** Of each thing watched: the block's mean before, and the sum of squared differences of neighbours. */
interface Neighbours {
  last: number;
  squares: number;
  pairs: number;
}

export class DriftWatch {
  /** [SAMPLE], while it is drawn. */
  private sample = new Float64Array(SAMPLE);
  private sampled = 0;
  private sampling = 0;
  private median = Number.NaN;
  private scale = Number.NaN;
  /** Records of a block. */
  private block: number;
  private ready = false;
  // the block that is being filled
  private filled = 0;
  /** Σ asinh z; Σ of its squared distances from the means of shortest blocks, and their degrees of freedom; missing values. */
  private readonly sums = new Float64Array(4);
  private largest = 0;
  /** Of asinh z in the shortest block that is being filled. */
  private inner = startMoments();
  private values = startMoments();
  /** Oldest first. */
  private buckets: Bucket[] = [];
  private neighbours: Neighbours[] = [];

  /**
   * @param chance of a false alarm in `PER_RECORDS` records of this column
   * @param shortest records of the shortest block
   */
  constructor(
    private readonly column: number,
    private readonly name: string,
    private readonly chance: number,
    private readonly shortest: number,
    lists?: Lists,
  ) {
    this.block = shortest;
    if (lists) this.restore(lists);
    else this.begin();
  }

  /** The next value, NaN where it is missing, of this record; what drifted with it. */
  add(value: number, record: number): Drift | undefined {
    const missing = Number.isNaN(value);
    if (this.sampling >= 0) {
      if (!missing) this.sample[this.sampled++] = value;
      if (this.sampled === SAMPLE || ++this.sampling === SAMPLE_RECORDS) this.measureBy();
      return undefined;
    }
    if (missing) this.sums[3]++;
    else {
      include(this.values, value);
      if (this.measured) {
        const z = Math.asinh((value - this.median) / this.scale);
        const size = Math.abs(z);
        if (size > this.largest) this.largest = size;
        include(this.inner, z);
      }
    }
    this.filled++;
    if (this.filled % this.shortest === 0) this.closeInner();
    return this.filled === this.block ? this.closeBlock(record) : undefined;
  }

  /** Whether there were values enough to scale others by. */
  private get measured(): boolean {
    return !Number.isNaN(this.median);
  }

  private begin(): void {
    this.sampled = 0;
    this.sampling = 0;
    this.sample.fill(0);
    this.median = Number.NaN;
    this.scale = Number.NaN;
    this.block = this.shortest;
    this.ready = false;
    this.buckets = [];
    this.emptyBlock();
    this.startNeighbours();
  }

  /** Median, and what the quartiles of a normal distribution make its standard deviation. */
  private measureBy(): void {
    this.sampling = -1;
    const sorted = this.sample.slice(0, this.sampled).sort();
    if (sorted.length < FEWEST_SAMPLED) return;
    const at = (share: number) => sorted[Math.round(share * (sorted.length - 1))];
    this.median = at(0.5);
    // where most values are equal the quartiles tell nothing; where all are, only whether others come
    const spread = [
      (at(0.75) - at(0.25)) / 1.349,
      (at(0.99) - at(0.01)) / 4.65,
      Math.abs(this.median) * 1e-6,
      1,
    ];
    this.scale = spread.find((each) => each > 0 && Number.isFinite(1 / each)) ?? 1;
  }

  private closeInner(): void {
    const { count, mean, m2 } = this.inner;
    this.sums[0] += count * mean;
    this.sums[1] += m2;
    this.sums[2] += Math.max(0, count - 1);
    this.inner = startMoments();
  }

  private emptyBlock(): void {
    this.filled = 0;
    this.sums.fill(0);
    this.largest = 0;
    this.values = startMoments();
  }

  private startNeighbours(): void {
    this.neighbours = WATCHED.map(() => ({ last: Number.NaN, squares: 0, pairs: 0 }));
  }

  private closeBlock(record: number): Drift | undefined {
    const { block, sums, largest, values } = this;
    const enough = values.count >= FEWEST_IN_BLOCK && this.measured;
    const observed = [
      enough ? sums[0] / values.count : Number.NaN,
      enough ? sums[1] / Math.max(1, sums[2]) : Number.NaN,
      sums[3] / block,
    ];
    this.buckets.push({
      from: record + 1 - block,
      records: block,
      size: 1,
      ...observation(observed),
      largest,
      values,
    });
    this.emptyBlock();
    this.compareNeighbours(observed);
    if (!this.ready) {
      if (this.buckets.length === REFERENCE) this.settle();
      return undefined;
    }
    this.mergeOldest();
    const drift = this.test(record);
    if (drift) this.begin();
    return drift;
  }

  private compareNeighbours(observed: readonly number[]): void {
    for (const [i, mean] of observed.entries()) {
      const of = this.neighbours[i];
      if (Number.isNaN(mean)) continue;
      if (!Number.isNaN(of.last)) {
        of.squares += (mean - of.last) ** 2;
        of.pairs++;
      }
      of.last = mean;
    }
  }

  /** Doubles the blocks of the reference where neighbours are alike, or is ready to compare with it. */
  private settle(): void {
    const { means } = this.buckets.reduce((all, bucket) => joined(all, bucket));
    if (means.every((of, i) => this.correlation(i, of.m2, of.count) <= CORRELATED)) {
      this.ready = true;
      for (let i = 0; i < REFERENCE; i++) this.mergeOldest();
      return;
    }
    const pairs = this.buckets.flatMap((bucket, i) => (i % 2 === 0 ? [[bucket, this.buckets[i + 1]]] : []));
    this.block *= 2;
    this.startNeighbours();
    this.buckets = pairs.map(([a, b]) => {
      // two blocks become one, whose means are one observation
      const both = joined(a, b);
      const means = both.means.map(({ count, mean }) => (count > 0 ? mean : Number.NaN));
      this.compareNeighbours(means);
      return { ...both, size: 1, ...observation(means) };
    });
  }

  /** Of neighbouring blocks, from the differences between them (von Neumann 1941): about 1 less half their mean square over the variance. */
  private correlation(i: number, m2: number, count: number): number {
    const { squares, pairs } = this.neighbours[i];
    if (pairs === 0 || count < 2 || !(m2 > 0)) return 0;
    return 1 - squares / pairs / 2 / (m2 / (count - 1));
  }

  /** Two of a size become one of the next, so that there are some `ALIKE` of each. */
  private mergeOldest(): void {
    for (let size = 1; ; size *= 2) {
      const first = this.buckets.findIndex((bucket) => bucket.size === size);
      if (first < 0) return;
      const alike = this.buckets.findLastIndex((bucket) => bucket.size === size) - first + 1;
      if (alike <= ALIKE) return;
      this.buckets.splice(first, 2, joined(this.buckets[first], this.buckets[first + 1]));
    }
  }

  /** The split whose sides differ most, where that is less likely than chance allows. */
  private test(record: number): Drift | undefined {
    const { buckets, block } = this;
    let side = NONE;
    for (let at = 0; at < buckets.length; at++) {
      BEFORE[at] ??= noBucket();
      side = joined(side, buckets[at], BEFORE[at]);
    }
    side = NONE;
    for (let at = buckets.length - 1; at > 0; at--) {
      AFTER[at] ??= noBucket();
      side = joined(buckets[at], side, AFTER[at]);
    }
    let best = { of: 0, z: 0 };
    for (let at = 1; at < buckets.length; at++) {
      for (let of = 0; of < WATCHED.length; of++) {
        const [a, b] = [BEFORE[at - 1], AFTER[at]];
        if (b.means[of].count < RECENT || a.means[of].count < REFERENCE / 2) continue;
        const z = this.deviate(of, a, b);
        if (z > best.z) best = { of, z };
      }
    }
    const { of, z } = best;
    const chance = twoTails(z);
    if (chance >= (this.chance * block) / PER_RECORDS / WATCHED.length / (buckets.length - 1))
      return undefined;
    // where it began is where the two sides explain most, however short the recent one is (Bai 1994)
    const explained = (at: number) => {
      const [a, b] = [BEFORE[at - 1].means[of], AFTER[at].means[of]];
      return (a.count * b.count * (a.mean - b.mean) ** 2) / Math.max(1, a.count + b.count);
    };
    let began = 1;
    for (let at = 2; at < buckets.length; at++) if (explained(at) > explained(began)) began = at;
    return {
      column: this.column,
      name: this.name,
      of: WATCHED[of],
      found: record,
      since: buckets[began].from,
      before: stretchOf(BEFORE[began - 1]),
      after: stretchOf(AFTER[began]),
      chance,
    };
  }

  /** How unlikely it is that two means are as far apart as these, as a normal deviate. */
  private deviate(i: number, before: Bucket, after: Bucket): number {
    const [a, b] = [before.means[i], after.means[i]];
    const distance = Math.abs(a.mean - b.mean);
    // what the mean of equal numbers may be off by
    if (distance <= 1e-12 * (Math.abs(a.mean) + Math.abs(b.mean))) return 0;
    const count = a.count + b.count;
    const m2 = a.m2 + b.m2;
    // a short stretch may by chance look less correlated than it is
    const correlated = Math.min(
      MOST_CORRELATED,
      Math.max(0, this.correlation(i, m2, count - 1) + 1 / Math.sqrt(count)),
    );
    const variance = (m2 / (count - 2)) * ((1 + correlated) / (1 - correlated));
    // what a single value may do to a mean, and what a block may that is as far out as one has been
    const watched = WATCHED[i];
    const largest = Math.max(before.largest, after.largest);
    const one = watched === "missing" ? 1 : watched === "mean" ? largest : largest ** 2;
    const spread = Math.sqrt(a.m2 / (a.count - 1));
    const out = Math.max(a.mean - before.low[i], before.high[i] - a.mean) - USUALLY_WITHIN * spread;
    const fewest =
      watched === "missing"
        ? this.block
        : Math.max(
            FEWEST_IN_BLOCK,
            Math.min(before.values.count / before.size, after.values.count / after.size),
          );
    const most = Math.max(one / fewest, out) / Math.min(a.count, b.count);
    const t = distance / Math.sqrt(variance * (1 / a.count + 1 / b.count) + (most * distance) / 3);
    return deviateOf(t, count - 2);
  }

  /** Whether there is a reference to compare with, and the records of a block. */
  get watched(): Watched {
    return { ready: this.ready, block: this.block };
  }

  get lists(): Lists {
    const of = (moments: Moments) => [moments.count, moments.mean, moments.m2];
    return {
      state: Float64Array.of(
        this.sampled,
        this.sampling,
        this.median,
        this.scale,
        this.block,
        Number(this.ready),
        this.filled,
        this.largest,
        ...of(this.values),
        ...of(this.inner),
      ),
      sample: this.sampling >= 0 ? this.sample.slice(0, this.sampled) : new Float64Array(),
      sums: this.sums,
      neighbours: Float64Array.from(
        this.neighbours.flatMap(({ last, squares, pairs }) => [last, squares, pairs]),
      ),
      buckets: Float64Array.from(
        this.buckets.flatMap(({ from, records, size, means, low, high, largest, values }) => [
          ...[from, records, size, largest],
          ...of(values),
          ...means.flatMap(of),
          ...low,
          ...high,
        ]),
      ),
    };
  }

  private restore({ state, sample, sums, neighbours, buckets }: Lists): void {
    const moments = (list: ArrayLike<number>, at: number): GrowingMoments => ({
      count: list[at],
      mean: list[at + 1],
      m2: list[at + 2],
    });
    [this.sampled, this.sampling, this.median, this.scale, this.block] = state;
    this.ready = state[5] === 1;
    this.filled = state[6];
    this.largest = state[7];
    this.values = moments(state, 8);
    this.inner = moments(state, 11);
    this.sample.set(sample);
    this.sums.set(sums);
    this.neighbours = WATCHED.map((_, i) => ({
      last: neighbours[3 * i],
      squares: neighbours[3 * i + 1],
      pairs: neighbours[3 * i + 2],
    }));
    const watched = WATCHED.length;
    const width = 7 + 5 * watched;
    this.buckets = Array.from({ length: buckets.length / width }, (_, i) => {
      const list = buckets.subarray(i * width, (i + 1) * width);
      const [from, records, size, largest] = list;
      return {
        ...{ from, records, size, largest },
        values: moments(list, 4),
        means: WATCHED.map((_, k) => moments(list, 7 + 3 * k)),
        low: [...list.subarray(7 + 3 * watched, 7 + 4 * watched)],
        high: [...list.subarray(7 + 4 * watched)],
      };
    });
  }
}

const noBucket = (): Bucket => ({
  from: 0,
  records: 0,
  size: 0,
  means: WATCHED.map(startMoments),
  low: WATCHED.map(() => Number.POSITIVE_INFINITY),
  high: WATCHED.map(() => Number.NEGATIVE_INFINITY),
  largest: 0,
  values: startMoments(),
});

/** Two stretches, of which the first is older, as one: written into `into`. */
function joined(a: Bucket, b: Bucket, into = noBucket()): Bucket {
  into.from = a.from;
  into.records = a.records + b.records;
  into.size = a.size + b.size;
  for (let i = 0; i < WATCHED.length; i++) {
    mergeInto(into.means[i], a.means[i], b.means[i]);
    into.low[i] = Math.min(a.low[i], b.low[i]);
    into.high[i] = Math.max(a.high[i], b.high[i]);
  }
  into.largest = Math.max(a.largest, b.largest);
  mergeInto(into.values, a.values, b.values);
  return into;
}

/** The sides of each split, which every check of every column writes anew: objects of their own would be most of what a check costs. */
const NONE = noBucket();
const BEFORE: Bucket[] = [];
const AFTER: Bucket[] = [];

/** A block's means, NaN where it has none, as a bucket has them. */
const observation = (means: readonly number[]): Pick<Bucket, "means" | "low" | "high"> => ({
  means: means.map((mean) => (Number.isNaN(mean) ? startMoments() : { count: 1, mean, m2: 0 })),
  low: means.map((mean) => (Number.isNaN(mean) ? Number.POSITIVE_INFINITY : mean)),
  high: means.map((mean) => (Number.isNaN(mean) ? Number.NEGATIVE_INFINITY : mean)),
});

const stretchOf = ({ records, values: { count, mean, m2 } }: Bucket): Stretch => ({
  count,
  mean: count > 0 ? mean : Number.NaN,
  deviation: count > 0 ? Math.sqrt(m2 / count) : Number.NaN,
  missing: 1 - count / records,
});
