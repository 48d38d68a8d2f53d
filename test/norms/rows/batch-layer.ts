/** Batch Layer Normalization, and batch normalization with statistics from both sources in evaluation. */
import { batchLayerNorm, batchNorm, type StatisticsSources } from "../../../src/index.js";
import { average, groupsBy, positions, type Row, scaled, type Values64 } from "./row.js";

const last = (position: readonly number[]) => position[position.length - 1];

/** Mean and biased variance of what counts, by key. */
function statistics(
  { shape, data }: Values64,
  key: (position: readonly number[]) => string,
  mask?: Float64Array,
) {
  const found = new Map<string, { mean: number; variance: number; count: number }>();
  for (const [name, indexes] of groupsBy(shape, key, mask)) {
    const values = indexes.map((i) => data[i]);
    const mean = average(values);
    found.set(name, { mean, variance: average(values.map((v) => (v - mean) ** 2)), count: values.length });
  }
  return (name: string) => found.get(name) ?? { mean: 0, variance: 0, count: 0 };
}

/** The paper's formulas, for features on any axis. */
export function batchLayer(
  featureAxis: number,
  {
    batchMean = "population",
    batchVariance = "population",
    featureMean = "batch",
    featureVariance = "batch",
  }: StatisticsSources = {},
  epsilon = 1e-3,
): Row["expected"] {
  return ([x], weights, { training, mask }) => {
    const { shape } = x;
    const d = shape[featureAxis];
    const inBatch = ([, ...rest]: readonly number[]) => rest.join();
    const inPosition = (position: readonly number[]) =>
      position.filter((_, axis) => axis !== 0 && axis !== featureAxis).join();
    const inExample = (position: readonly number[]) =>
      position.filter((_, axis) => axis !== featureAxis).join();
    const overBatch = statistics(x, inBatch, mask);
    const overFeatures = statistics(x, inExample, mask);
    // what is kept has the order of x without its batch axis, and without its feature axis
    const batchKeys = [...new Set(positions(shape).map(inBatch))];
    const positionKeys = [...new Set(positions(shape).map(inPosition))];
    const examplesAt = (key: string) => {
      const examples = new Set<string>();
      positions(shape).forEach((position, i) => {
        if (inPosition(position) === key && mask?.[i] !== 0) examples.add(inExample(position));
      });
      return [...examples];
    };

    const xHat = Float64Array.from(positions(shape), (position, i) => {
      const [b, f] = [overBatch(inBatch(position)), overFeatures(inExample(position))];
      const [atBatch, at] = [
        batchKeys.indexOf(inBatch(position)),
        positionKeys.indexOf(inPosition(position)),
      ];
      const population = (source: unknown) => !training && source === "population";
      const meanB = population(batchMean) ? weights.batchMean[atBatch] : b.mean;
      const varB = population(batchVariance) ? weights.batchVariance[atBatch] : b.variance;
      const meanF = population(featureMean) ? weights.featureMean[at] : f.mean;
      const varF = population(featureVariance) ? weights.featureVariance[at] : f.variance;
      const own = Math.max(1, examplesAt(inPosition(position)).length);
      const m = training || weights.batchSize[at] <= 0.5 ? own : weights.batchSize[at];
      const xB = (x.data[i] - meanB) / Math.sqrt(varB + epsilon);
      const xF = (x.data[i] - meanF) / Math.sqrt(varF + epsilon);
      return (xF * (1 / m - 1e-4) + xB * (1 - (1 / m + 1e-4))) / Math.sqrt(d);
    });
    const y = scaled(shape, xHat, (position) => position[featureAxis], weights, mask);
    if (!training) return { y };

    const numbers = positionKeys.map((key) => examplesAt(key).length);
    const toward = (old: number, value: number, at: number) => {
      if (numbers[at] === 0) return old;
      return old + (value - old) / (weights.batches[at] + 1);
    };
    const correction = (m: number) => (m > 1 ? m / (m - 1) : 1);
    const perBatch = (name: "mean" | "variance") =>
      Float64Array.from(batchKeys, (key, i) => {
        const at = positionKeys.indexOf(
          inPosition(positions(shape)[positions(shape).findIndex((p) => inBatch(p) === key)]),
        );
        const factor = name === "variance" ? correction(numbers[at]) : 1;
        return toward(
          weights[name === "mean" ? "batchMean" : "batchVariance"][i],
          overBatch(key)[name] * factor,
          at,
        );
      });
    const perPosition = (name: "mean" | "variance") =>
      Float64Array.from(positionKeys, (key, at) => {
        const factor = name === "variance" ? correction(numbers[at]) : 1;
        const value = average(examplesAt(key).map((example) => overFeatures(example)[name]));
        return toward(weights[name === "mean" ? "featureMean" : "featureVariance"][at], value * factor, at);
      });
    return {
      y,
      state: {
        batchMean: perBatch("mean"),
        batchVariance: perBatch("variance"),
        featureMean: perPosition("mean"),
        featureVariance: perPosition("variance"),
        batches: weights.batches.map((count, at) => count + (numbers[at] > 0 ? 1 : 0)),
        batchSize: weights.batchSize.map((old, at) => toward(old, numbers[at], at)),
      },
    };
  };
}

/** Batch normalization in evaluation, with the batch's mean or variance. */
function mixedBatch(sources: StatisticsSources): Row["expected"] {
  return ([x], weights, { training, mask }) => {
    const of = statistics(x, (position) => String(last(position)), mask);
    const xHat = x.data.map((value, i) => {
      const c = i % x.shape[x.shape.length - 1];
      const mean = training || sources.batchMean === "batch" ? of(String(c)).mean : weights.runningMean[c];
      const variance =
        training || sources.batchVariance === "batch" ? of(String(c)).variance : weights.runningVariance[c];
      return (value - mean) / Math.sqrt(variance + 1e-5);
    });
    const y = scaled(x.shape, xHat, last, weights, mask);
    if (!training) return { y };
    const moved = (old: Float64Array, name: "mean" | "variance") =>
      old.map((value, c) => 0.9 * value + 0.1 * of(String(c))[name]);
    return {
      y,
      state: {
        runningMean: moved(weights.runningMean, "mean"),
        runningVariance: moved(weights.runningVariance, "variance"),
      },
    };
  };
}

const all: StatisticsSources = {
  batchMean: "batch",
  batchVariance: "batch",
  featureMean: "population",
  featureVariance: "population",
};
const crossed: StatisticsSources = {
  batchMean: "batch",
  batchVariance: "population",
  featureMean: "population",
  featureVariance: "batch",
};

export const batchLayerRows: Row[] = [
  { norm: batchLayerNorm(), shapes: [[3, 4, 5]], expected: batchLayer(2) },
  {
    name: "of one example",
    norm: batchLayerNorm({ epsilon: 0.1 }),
    shapes: [[1, 6]],
    expected: batchLayer(1, {}, 0.1),
    // x_b is 0, and what is left of it a difference of 1e-4
    tolerance: 5e-5,
  },
  {
    name: "features first, sources exchanged",
    norm: batchLayerNorm({ axis: 1, sources: all }),
    shapes: [[4, 5, 2, 3]],
    mask: [4, 1, 2],
    expected: batchLayer(1, all),
  },
  {
    name: "two sources in each part",
    norm: batchLayerNorm({ sources: crossed }),
    shapes: [[6, 5]],
    mask: [6],
    expected: batchLayer(1, crossed),
  },
  ...(["batchMean", "batchVariance"] as const).map((name) => ({
    name: `${name} from the batch in evaluation`,
    norm: batchNorm({ sources: { [name]: "batch" } }),
    shapes: [[4, 5, 3]],
    expected: mixedBatch({ [name]: "batch" }),
  })),
];
