/** Batch normalization and its kin: running statistics of every kind, ghost batches, renormalization, online, instances. */
import { batchNorm, batchRenorm, ghostBatchNorm, instanceNorm, onlineNorm } from "../../../src/index.js";
import { average, positions, type Row, type Values64 } from "./row.js";

type State = Record<string, Float64Array>;

interface Channel {
  mean: number;
  variance: number;
  count: number;
}

const zeros = (length: number) => new Float64Array(length);

/** Elements by a key of their position, unmasked ones only. */
function collect(x: Values64, mask: Float64Array | undefined, key: (position: readonly number[]) => string) {
  const groups = new Map<string, number[]>();
  positions(x.shape).forEach((position, i) => {
    if (mask?.[i] === 0) return;
    groups.set(key(position), [...(groups.get(key(position)) ?? []), x.data[i]]);
  });
  return (name: string): Channel => {
    const values = groups.get(name) ?? [];
    const mean = average(values);
    return { mean, variance: average(values.map((value) => (value - mean) ** 2)), count: values.length };
  };
}

/** y of each element from its statistic; 0 where masked. */
function normalized(
  x: Values64,
  mask: Float64Array | undefined,
  axis: number,
  epsilon: number,
  { gamma, beta }: State,
  statistic: (position: readonly number[]) => { mean: number; variance: number },
) {
  return Float64Array.from(positions(x.shape), (position, i) => {
    if (mask?.[i] === 0) return 0;
    const c = position[axis];
    const { mean, variance } = statistic(position);
    return ((x.data[i] - mean) / Math.sqrt(variance + epsilon)) * (gamma?.[c] ?? 1) + (beta?.[c] ?? 0);
  });
}

/** Of Chan, Golub & LeVeque, with all values of both at once in mind: Σ and Σ of squared distances. */
function joined(a: Channel, b: Channel): Channel {
  const count = a.count + b.count;
  if (count === 0) return { mean: 0, variance: 0, count };
  const mean = (a.mean * a.count + b.mean * b.count) / count;
  const from = ({ mean: own, variance, count: n }: Channel) => n * (variance + (own - mean) ** 2);
  return { mean, variance: (from(a) + from(b)) / count, count };
}

type Averaging = "exponential" | "cumulative" | "epoch";

/** The next running statistics of a channel. */
function running(
  state: State,
  c: number,
  batch: Channel,
  average: Averaging,
  unbiased: boolean,
  momentum: number,
): { mean: number; variance: number; count?: number } {
  const { runningMean, runningVariance, runningCount } = state;
  const old = { mean: runningMean[c], variance: runningVariance[c], count: runningCount?.[c] };
  const corrected = ({ variance, count }: Channel) =>
    unbiased ? (variance * count) / (count - 1) : variance;
  if (average === "epoch") {
    const biased = unbiased ? (old.variance * (old.count - 1)) / old.count : old.variance;
    const all = joined({ ...old, variance: biased }, batch);
    return { ...all, variance: corrected(all) };
  }
  const share = average === "cumulative" ? 1 / (old.count + 1) : 1 - momentum;
  return {
    mean: old.mean + share * (batch.mean - old.mean),
    variance: old.variance + share * (corrected(batch) - old.variance),
    ...(average === "cumulative" && { count: old.count + 1 }),
  };
}

function batch(
  axis: number,
  kind: {
    average?: Averaging;
    unbiased?: boolean;
    momentum?: number;
    micro?: boolean;
    ghosts?: number;
    once?: boolean;
  } = {},
): Row["expected"] {
  const {
    average: averaging = "exponential",
    unbiased = false,
    momentum = 0.9,
    micro = false,
    ghosts = 1,
    once = false,
  } = kind;
  return ([x], weights, { training, mask }) => {
    const state: State = Object.fromEntries(
      Object.entries(weights)
        .filter(([name]) => name !== "gamma" && name !== "beta")
        .map(([name, values]) => [name, values.slice()]),
    );
    const channels = x.shape[axis];
    if (!training) {
      return {
        y: normalized(x, mask, axis, 1e-5, weights, (position) => ({
          mean: state.runningMean[position[axis]],
          variance: state.runningVariance[position[axis]],
        })),
      };
    }
    const size = x.shape[0] / ghosts;
    const ghost = (position: readonly number[]) => Math.floor(position[0] / size);
    const of = collect(x, mask, (position) => `${ghost(position)},${position[axis]}`);
    const complete = !micro || state.pendingBatches[0] + 1 > 1.5;
    /** The mean over ghosts, by what counts in each. */
    const mixed = (c: number) => {
      const each = Array.from({ length: ghosts }, (_, part) => of(`${part},${c}`));
      const count = each.reduce((sum, one) => sum + one.count, 0);
      const mean = (name: "mean" | "variance") =>
        each.reduce((sum, one) => sum + one[name] * one.count, 0) / count;
      return { mean: mean("mean"), variance: mean("variance"), count: count / ghosts };
    };
    for (let part = 0; part < (once ? 1 : ghosts); part++) {
      for (let c = 0; c < channels; c++) {
        const measured = once ? mixed(c) : of(`${part},${c}`);
        const pending = {
          mean: state.pendingMean?.[c],
          variance: state.pendingVariance?.[c],
          count: state.pendingCount?.[c],
        };
        const whole = micro ? joined(pending, measured) : measured;
        if (complete) {
          const next = running(state, c, whole, averaging, unbiased, momentum);
          state.runningMean[c] = next.mean;
          state.runningVariance[c] = next.variance;
          if (next.count !== undefined) state.runningCount[c] = next.count;
        }
        if (!micro) continue;
        state.pendingMean[c] = complete ? 0 : whole.mean;
        state.pendingVariance[c] = complete ? 0 : whole.variance;
        state.pendingCount[c] = complete ? 0 : whole.count;
      }
    }
    if (micro) state.pendingBatches[0] = complete ? 0 : state.pendingBatches[0] + 1;
    const statistic = (position: readonly number[]) => of(`${ghost(position)},${position[axis]}`);
    return { y: normalized(x, mask, axis, 1e-5, weights, statistic), state };
  };
}

/** Counts are whole, so many micro-batches are waiting, and the rest is random. */
const counting =
  (pendingBatches = 0): NonNullable<Row["weights"]> =>
  (name, values) => {
    if (name === "pendingBatches") return values.fill(pendingBatches);
    return name.endsWith("Count") ? values.fill(7) : values;
  };

function renorm(epsilon: number, momentum: number, renormMomentum?: number): Row["expected"] {
  return ([x], weights, { training, mask }) => {
    const { runningMean, runningDeviation, rMax, dMax } = weights;
    const axis = x.shape.length - 1;
    const of = collect(x, mask, (position) => String(position[axis]));
    const apart = renormMomentum !== undefined;
    const center = apart ? weights.renormMean : runningMean;
    const width = apart ? weights.renormDeviation : runningDeviation;
    const clip = (value: number, low: number, high: number) => Math.min(high, Math.max(low, value));
    const y = Float64Array.from(positions(x.shape), (position, i) => {
      if (mask?.[i] === 0) return 0;
      const c = position[axis];
      if (!training)
        return ((x.data[i] - runningMean[c]) / runningDeviation[c]) * weights.gamma[c] + weights.beta[c];
      const { mean, variance } = of(String(c));
      const deviation = Math.sqrt(variance + epsilon);
      const r = clip(deviation / width[c], 1 / rMax[0], rMax[0]);
      const d = clip((mean - center[c]) / width[c], -dMax[0], dMax[0]);
      return (((x.data[i] - mean) / deviation) * r + d) * weights.gamma[c] + weights.beta[c];
    });
    if (!training) return { y };
    const follow = (old: Float64Array, keep: number, value: (channel: Channel) => number) =>
      old.map((before, c) => keep * before + (1 - keep) * value(of(String(c))));
    const deviation = ({ variance }: Channel) => Math.sqrt(variance + epsilon);
    return {
      y,
      state: {
        runningMean: follow(runningMean, momentum, ({ mean }) => mean),
        runningDeviation: follow(runningDeviation, momentum, deviation),
        ...(renormMomentum !== undefined && {
          renormMean: follow(center, renormMomentum, ({ mean }) => mean),
          renormDeviation: follow(width, renormMomentum, deviation),
        }),
      },
    };
  };
}

/** Running statistics so far from the batch's that r and d are at their limits, where they are constants for differences too. */
const farAway: NonNullable<Row["weights"]> = (name, values) => {
  if (name === "rMax") return values.fill(1.5);
  if (name === "dMax") return values.fill(0.25);
  if (name.endsWith("Mean")) return values.map((_, c) => (c === 0 ? 4 : -5));
  return name.endsWith("Deviation") ? values.map((_, c) => (c === 1 ? 6 : 0.2)) : values;
};

function online(
  axis: number,
  {
    alpha = 0.999,
    guard = "layerScaling",
  }: { alpha?: number; guard?: "layerScaling" | "clamp" | "none" } = {},
): Row["expected"] {
  return ([x], weights, { training, mask }) => {
    const of = collect(x, mask, (position) => `${position[0]},${position[axis]}`);
    const [mean, variance] = [weights.runningMean.slice(), weights.runningVariance.slice()];
    let y = zeros(x.data.length);
    for (let t = 0; t < x.shape[0]; t++) {
      const now = normalized(x, mask, axis, 1e-5, weights, (position) => {
        const c = position[axis];
        return { mean: mean[c], variance: variance[c] };
      });
      positions(x.shape).forEach((position, i) => {
        if (position[0] === t) y[i] = now[i];
      });
      for (let c = 0; training && c < mean.length; c++) {
        const own = of(`${t},${c}`);
        if (own.count === 0) continue;
        variance[c] =
          alpha * variance[c] + (1 - alpha) * own.variance + alpha * (1 - alpha) * (own.mean - mean[c]) ** 2;
        mean[c] = alpha * mean[c] + (1 - alpha) * own.mean;
      }
    }
    if (guard === "clamp") y = y.map((value) => Math.min(5, Math.max(-5, value)));
    if (guard === "layerScaling") {
      const squares = new Map<number, number[]>();
      positions(x.shape).forEach(([t], i) => {
        if (mask?.[i] !== 0) squares.set(t, [...(squares.get(t) ?? []), y[i] ** 2]);
      });
      y = Float64Array.from(
        positions(x.shape),
        ([t], i) => y[i] / Math.sqrt(average(squares.get(t) ?? []) + 1e-5),
      );
    }
    return { y, ...(training && { state: { runningMean: mean, runningVariance: variance } }) };
  };
}

function instances(axis: number, cumulative: boolean, unbiased: boolean): Row["expected"] {
  return ([x], weights, { training, mask }) => {
    const { runningMean, runningVariance, runningCount } = weights;
    const of = collect(x, mask, (position) => `${position[0]},${position[axis]}`);
    const y = normalized(x, mask, axis, 1e-5, weights, (position) => {
      const c = position[axis];
      return training ? of(`${position[0]},${c}`) : { mean: runningMean[c], variance: runningVariance[c] };
    });
    if (!training) return { y };
    const next = (old: Float64Array, value: (instance: Channel) => number) =>
      old.map((before, c) => {
        const all = [...Array(x.shape[0]).keys()]
          .map((n) => of(`${n},${c}`))
          .filter(({ count }) => count > 1);
        const share = cumulative ? 1 / (runningCount[c] + 1) : 0.1;
        return (1 - share) * before + share * average(all.map(value));
      });
    return {
      y,
      state: {
        runningMean: next(runningMean, ({ mean }) => mean),
        runningVariance: next(runningVariance, ({ variance, count }) =>
          unbiased ? (variance * count) / (count - 1) : variance,
        ),
        ...(cumulative && { runningCount: runningCount.map((count) => count + 1) }),
      },
    };
  };
}

export const batches: Row[] = [
  {
    name: "cumulative average",
    norm: batchNorm({ average: "cumulative", runningVariance: "unbiased" }),
    shapes: [[4, 5, 3]],
    weights: counting(),
    expected: batch(2, { average: "cumulative", unbiased: true }),
  },
  {
    name: "of an epoch, channels first",
    norm: batchNorm({ average: "epoch", axis: 1 }),
    shapes: [[3, 2, 7]],
    mask: [3, 1, 7],
    weights: counting(),
    expected: batch(1, { average: "epoch" }),
  },
  {
    name: "of an epoch, unbiased, each channel masked for itself",
    norm: batchNorm({ average: "epoch", runningVariance: "unbiased" }),
    shapes: [[9, 3]],
    mask: [9, 3],
    weights: counting(),
    expected: batch(1, { average: "epoch", unbiased: true }),
  },
  {
    name: "the first of two micro-batches",
    norm: batchNorm({ microBatches: 2, runningVariance: "unbiased" }),
    shapes: [[6, 3]],
    mask: [6, 1],
    weights: counting(0),
    expected: batch(1, { micro: true, unbiased: true }),
  },
  {
    name: "the second of two micro-batches",
    norm: batchNorm({ microBatches: 2, momentum: 0.5, runningVariance: "unbiased" }),
    shapes: [[6, 3]],
    mask: [6, 3],
    weights: counting(1),
    expected: batch(1, { micro: true, unbiased: true, momentum: 0.5 }),
  },
  {
    name: "volumes, channels first, momentum 0",
    norm: batchNorm({ axis: 1, momentum: 0 }),
    shapes: [[2, 3, 2, 2, 3]],
    mask: [2, 1, 2, 2, 3],
    expected: batch(1, { momentum: 0 }),
  },
  {
    norm: ghostBatchNorm({ batchSize: 2 }),
    shapes: [[4, 5, 3]],
    expected: batch(2, { ghosts: 2 }),
  },
  {
    name: "channels first, cumulative, masked as a whole",
    norm: ghostBatchNorm({ batchSize: 2, axis: 1, average: "cumulative", runningVariance: "unbiased" }),
    shapes: [[6, 2, 7]],
    mask: [1, 1, 7],
    weights: counting(),
    expected: batch(1, { ghosts: 3, average: "cumulative", unbiased: true }),
  },
  {
    name: "moving once",
    norm: ghostBatchNorm({ batchSize: 2, moves: "once", runningVariance: "unbiased" }),
    shapes: [[6, 5, 3]],
    expected: batch(2, { ghosts: 3, once: true, unbiased: true }),
  },
  {
    norm: batchRenorm(),
    shapes: [[4, 5, 3]],
    weights: farAway,
    expected: renorm(1e-3, 0.99),
  },
  {
    name: "with a reference of its own",
    norm: batchRenorm({ renormMomentum: 0.7, momentum: 0.8, epsilon: 0.1 }),
    shapes: [[6, 3]],
    mask: [6],
    weights: farAway,
    expected: renorm(0.1, 0.8, 0.7),
  },
  {
    // one example, whose statistics are constants for differences too; others, and the control, in batch.test.ts
    name: "without control",
    norm: onlineNorm({ control: false }),
    shapes: [[1, 5, 3]],
    expected: online(2),
  },
  {
    name: "channels first, cut off, without control",
    norm: onlineNorm({ control: false, guard: "clamp", alphaForward: 0.6, axis: 1 }),
    shapes: [[1, 2, 7]],
    mask: [1, 1, 7],
    input: (value) => 4 * value,
    expected: online(1, { alpha: 0.6, guard: "clamp" }),
  },
  {
    name: "of features alone, without control or guard",
    norm: onlineNorm({ control: false, guard: "none" }),
    shapes: [[1, 7]],
    expected: online(1, { guard: "none" }),
  },
  {
    name: "with running statistics",
    norm: instanceNorm({ trackRunningStatistics: true }),
    shapes: [[3, 7, 2]],
    expected: instances(2, false, true),
  },
  {
    name: "with running statistics, cumulative and biased, channels first",
    norm: instanceNorm({
      trackRunningStatistics: true,
      average: "cumulative",
      runningVariance: "biased",
      axis: 1,
    }),
    shapes: [[3, 2, 7]],
    mask: [3, 1, 7],
    weights: counting(),
    expected: instances(1, true, false),
  },
];
export { online };
