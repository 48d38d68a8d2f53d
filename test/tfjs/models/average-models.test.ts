/** Averages of models: weights by examples, statistics as those of all data together, in float64. */
import * as tf from "@tensorflow/tfjs-core";
import * as tfl from "@tensorflow/tfjs-layers";
import { beforeAll, describe, expect, it } from "vitest";
import { momentsOf } from "../../../src/index.js";
import type { Exchange } from "../../../src/replicas/index.js";
import {
  averageModels,
  averageOver,
  install,
  layers,
  type NormalizationLayer,
  spectralNormalization,
} from "../../../src/tfjs/index.js";
import { kinds } from "../../support/layers.js";
import { expectClose, normal } from "../../support/numerics.js";
import { leakless, use } from "../../support/tfjs-backends.js";

beforeAll(async () => {
  await use("cpu");
  await install();
});

const FEATURES = 4;
const values = (tensor: tf.Tensor) => Array.from(tensor.dataSync());
const asLayer = (layer: object) => layer as tfl.layers.Layer;
const inside = (model: tfl.LayersModel, name = "norm") =>
  model.getLayer(name) as unknown as NormalizationLayer;
const close = (name: string, actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance = 1e-6) =>
  expectClose(name, Float64Array.from(actual), expected, (i) => tolerance * (1e-3 + Math.abs(expected[i])));

/** A dense layer between others that a client has not. */
function modelOf(norm: object, seed: number): tfl.Sequential {
  const kernelInitializer = tfl.initializers.randomNormal({ seed, mean: 0, stddev: 1 });
  const dense = { units: FEATURES, kernelInitializer, biasInitializer: kernelInitializer };
  const model = tfl.sequential({ layers: [asLayer(norm)] });
  model.add(tfl.layers.dense(dense));
  return model;
}

const inputShape = [FEATURES];

/** Clients' data: of other means and spreads, and other numbers of rows. */
const sizes = [40, 9, 23];
const data = sizes.map((rows, k) =>
  Array.from({ length: rows }, (_, i) =>
    Array.from(normal(FEATURES, 100 * k + i), (value, c) => 50 + 7 * k * (c - 1) + (1 + k) * value),
  ),
);
const all = data.flat();
const column = (rows: readonly number[][], c: number) => rows.map((row) => row[c]);
const overAll = Array.from({ length: FEATURES }, (_, c) => momentsOf(column(all, c)));

/** One model for each client, after batches of its data in training. */
function clients(make: () => object, batchSize = 1000): tfl.Sequential[] {
  return data.map((rows, k) => {
    const model = modelOf(make(), 10 + k);
    for (let at = 0; at < rows.length; at += batchSize) {
      tf.tidy(() => {
        model.layers[0].apply(tf.tensor2d(rows.slice(at, at + batchSize)), { training: true });
      });
    }
    return model;
  });
}

describe("statistics are those of all data together", () => {
  const means = overAll.map(({ mean }) => mean);
  const biased = overAll.map(({ m2, count }) => m2 / count);
  const unbiased = overAll.map(({ m2, count }) => m2 / (count - 1));

  it.each(["biased", "unbiased"] as const)(
    "of an epoch's batches (%s), by their own counts",
    (runningVariance) => {
      const make = () =>
        layers.batchNormalization({ inputShape, name: "norm", average: "epoch", runningVariance });
      const models = clients(make, 7);
      // the counts know it better
      averageModels(models, { examples: [1, 1, 1] });
      for (const model of models) {
        const { runningMean, runningVariance: variance, runningCount } = inside(model).variables;
        close("mean", values(runningMean.read()), means);
        close("variance", values(variance.read()), runningVariance === "biased" ? biased : unbiased);
        expect(values(runningCount.read())).toEqual(Array(FEATURES).fill(all.length));
      }
    },
  );

  it.each([
    ["batch", () => layers.batchNormalization({ inputShape, name: "norm", momentum: 0 })],
    ["cumulative", () => layers.batchNormalization({ inputShape, name: "norm", average: "cumulative" })],
    ["TensorFlow.js's own", () => tfl.layers.batchNormalization({ inputShape, name: "norm", momentum: 0 })],
  ])("of one batch each (%s), by examples", (_, make) => {
    const models = clients(make);
    averageModels(models, { examples: sizes });
    for (const model of models) {
      const weights = new Map(model.layers[0].weights.map((one) => [one.originalName.split("/").pop(), one]));
      const read = (name: string) => values((weights.get(name) as tfl.LayerVariable).read());
      close("mean", read("moving_mean"), means);
      close("variance", read("moving_variance"), biased);
    }
  });

  it("of renormalization, which stores deviations with epsilon in them", () => {
    const epsilon = 0.25;
    const models = clients(() =>
      layers.batchRenormalization({ inputShape, name: "norm", momentum: 0, renormMomentum: 0, epsilon }),
    );
    averageModels(models, { examples: sizes });
    const { runningMean, runningDeviation, renormMean, renormDeviation, rMax } = inside(models[1]).variables;
    const deviation = biased.map((variance) => Math.sqrt(variance + epsilon));
    close("mean", values(runningMean.read()), means);
    close("deviation", values(runningDeviation.read()), deviation);
    close("renormMean", values(renormMean.read()), means);
    close("renormDeviation", values(renormDeviation.read()), deviation);
    expect(values(rMax.read())).toEqual([3]);
  });

  it("of activation normalization, without clients that have not begun", () => {
    const make = () => layers.actNormalization({ inputShape, name: "norm", epsilon: 0 });
    const models = [...clients(make), modelOf(make(), 99)];
    averageModels(models, { examples: [...sizes, 1000] });
    const { initialMean, initialDeviation, initialized } = inside(models[3]).variables;
    close("mean", values(initialMean.read()), means);
    close("deviation", values(initialDeviation.read()), biased.map(Math.sqrt));
    expect(values(initialized.read())).toEqual(Array(FEATURES).fill(1));
  });

  it("of micro-batches that are not complete", () => {
    const models = clients(() =>
      layers.batchNormalization({ inputShape, name: "norm", momentum: 0, microBatches: 2 }),
    );
    averageModels(models, { examples: [1, 2, 3] });
    const { pendingMean, pendingVariance, pendingCount, pendingBatches } = inside(models[0]).variables;
    close("mean", values(pendingMean.read()), means);
    close("variance", values(pendingVariance.read()), biased);
    expect([values(pendingCount.read())[0], values(pendingBatches.read())]).toEqual([all.length, [1]]);
  });
});

it("statistics of running averages: the weighted mean, and a variance with the spread between means", () => {
  const make = () => layers.onlineNormalization({ inputShape, name: "norm" });
  const models = clients(make, 5);
  const before = models.map((model) => {
    const { runningMean, runningVariance, controlMean } = inside(model).variables;
    return [runningMean, runningVariance, controlMean].map((one) => values(one.read()));
  });
  const examples = [3, 0.5, 10];
  averageModels(models, { examples });
  const weighted = (of: (k: number) => number) =>
    examples.reduce((sum, count, k) => sum + count * of(k), 0) / examples.reduce((a, b) => a + b);
  const { runningMean, runningVariance, controlMean } = inside(models[2]).variables;
  const mean = Array.from({ length: FEATURES }, (_, c) => weighted((k) => before[k][0][c]));
  close("mean", values(runningMean.read()), mean);
  close(
    "variance",
    values(runningVariance.read()),
    mean.map((all, c) => weighted((k) => before[k][1][c] + (before[k][0][c] - all) ** 2)),
  );
  close(
    "control",
    values(controlMean.read()),
    mean.map((_, c) => weighted((k) => before[k][2][c])),
  );
});

it("recurrent batch normalization: by examples, of the time steps that a model has seen", () => {
  const models = [2, 3].map((steps, k) => {
    const norm = layers.recurrentBatchNormalization({
      units: 2,
      name: "norm",
      inputShape: [null, 3],
      maxLength: 4,
    });
    const model = tfl.sequential({ layers: [asLayer(norm)] });
    tf.tidy(() => {
      for (let batch = 0; batch <= k; batch++) {
        const x = tf.tensor(normal(5 * steps * 3, k, 10 * k, 1), [5, steps, 3]);
        model.layers[0].apply(x, { training: true });
      }
    });
    return model;
  });
  const read = (model: tfl.LayersModel, role: string) => values(inside(model).variables[role].read());
  const [first, second] = models.map((model) => read(model, "runningMean"));
  expect(models.map((model) => read(model, "runningCount"))).toEqual([
    [1, 1, 0, 0],
    [2, 2, 2, 0],
  ]);
  averageModels(models, { examples: [30, 10] });
  const each = first.length / 4;
  close(
    "mean",
    read(models[1], "runningMean"),
    first.map((mean, i) =>
      i < 2 * each
        ? 0.75 * mean + 0.25 * second[i]
        : i < 3 * each
          ? second[i]
          : 0.75 * mean + 0.25 * second[i],
    ),
  );
});

it("instance normalization: means of the examples' own variances, without the spread between means", () => {
  const norm = () =>
    layers.instanceNormalization({
      inputShape: [3, FEATURES],
      name: "norm",
      trackRunningStatistics: true,
      momentum: 0,
    });
  const models = [0, 1].map((k) => {
    const model = tfl.sequential({ layers: [asLayer(norm())] });
    tf.tidy(() => {
      const x = tf.tensor(normal(2 * 3 * FEATURES, k, 10 * k, 1 + k), [2, 3, FEATURES]);
      model.layers[0].apply(x, { training: true });
    });
    return model;
  });
  const [first, second] = models.map((model) => values(inside(model).variables.runningVariance.read()));
  averageModels(models, { examples: [1, 3] });
  close(
    "variance",
    values(inside(models[0]).variables.runningVariance.read()),
    first.map((variance, c) => 0.25 * variance + 0.75 * second[c]),
  );
});

it("Batch Layer Normalization: populations of all batches; examples' own variances have no spread", () => {
  const models = clients(() => layers.batchLayerNormalization({ inputShape, name: "norm" }), 6);
  const before = models.map((model) =>
    Object.fromEntries(
      Object.entries(inside(model).variables).map(([name, variable]) => [name, values(variable.read())]),
    ),
  );
  averageModels(models, { examples: [1, 1, 1] });
  const batches = sizes.map((rows) => Math.ceil(rows / 6));
  const total = batches.reduce((a, b) => a + b);
  const weighted = (of: (k: number) => number) => batches.reduce((sum, n, k) => sum + n * of(k), 0) / total;
  const mean = before[0].batchMean.map((_, c) => weighted((k) => before[k].batchMean[c]));
  const after = Object.fromEntries(
    Object.entries(inside(models[0]).variables).map(([name, variable]) => [name, values(variable.read())]),
  );
  close("batchMean", after.batchMean, mean);
  close(
    "batchVariance",
    after.batchVariance,
    mean.map((all, c) => weighted((k) => before[k].batchVariance[c] + (before[k].batchMean[c] - all) ** 2)),
  );
  for (const name of ["featureMean", "featureVariance", "batchSize"]) {
    close(name, after[name], [weighted((k) => before[k][name][0])]);
  }
  expect(after.batches).toEqual([total]);
});

it.each([
  ["last", -1, (channel: number, position: number) => position * 2 + channel],
  ["first", 1, (channel: number, position: number) => channel * 3 + position],
])("counts of each position, with channels %s", (_, axis, at) => {
  const batches = [
    [1, 2, 0],
    [3, 0, 0],
  ];
  const means = [1, 5];
  const models = batches.map((counts, k) => {
    const shape = axis === 1 ? [2, 3] : [3, 2];
    const norm = layers.batchLayerNormalization({ inputShape: shape, name: "norm", axis });
    const model = tfl.sequential({ layers: [asLayer(norm)] });
    const { batches: count, batchMean } = inside(model).variables;
    count.write(tf.tensor(counts, count.shape as number[]));
    batchMean.write(tf.fill(shape, means[k]));
    return model;
  });
  averageModels(models, { examples: [1, 1] });
  const after = values(inside(models[0]).variables.batchMean.read());
  for (const channel of [0, 1]) {
    expect([0, 1, 2].map((position) => after[at(channel, position)])).toEqual([4, 1, 3]);
  }
});

it("an epoch that nobody has begun keeps the last one's statistics, by examples", () => {
  const make = () => layers.batchNormalization({ inputShape, name: "norm", average: "epoch" });
  const models = clients(make);
  for (const model of models) inside(model).resetState();
  averageModels(models, { examples: sizes });
  const { runningMean, runningVariance, runningCount } = inside(models[0]).variables;
  close(
    "mean",
    values(runningMean.read()),
    overAll.map(({ mean }) => mean),
  );
  close(
    "variance",
    values(runningVariance.read()),
    overAll.map(({ m2, count }) => m2 / count),
  );
  expect(values(runningCount.read())).toEqual([0, 0, 0, 0]);
});

it("weights are means by examples; a model without examples counts for nothing, and gets the average", () => {
  const models = [1, 2, 3].map((seed) =>
    modelOf(layers.layerNormalization({ inputShape, name: "norm" }), seed),
  );
  const before = models.map((model) => model.layers[1].getWeights().map(values));
  const report = leakless("averageModels", () => averageModels(models, { examples: [2, 6, 0] }));
  for (const model of models) {
    model.layers[1].getWeights().forEach((weight, i) => {
      close(
        `weight ${i}`,
        values(weight),
        before[0][i].map((value, j) => 0.25 * value + 0.75 * before[1][i][j]),
      );
    });
  }
  expect(report.averaged.map((name) => name.split("/").pop())).toEqual(["gamma", "beta", "kernel", "bias"]);
});

it("keepLocal: batch norms with their weights stay each client's own (FedBN), layer norms do not", () => {
  const make = () => layers.batchNormalization({ inputShape, name: "norm", momentum: 0 });
  const models = clients(make);
  models.forEach((model, k) => {
    model.add(asLayer(layers.layerNormalization({ name: "layer" })));
    for (const name of ["norm", "layer"]) {
      const { gamma } = inside(model, name).variables;
      gamma.write(tf.fill([FEATURES], k + 1));
    }
  });
  const before = models.map((model) => inside(model).getWeights().map(values));
  const report = averageModels(models, { examples: [1, 1, 2], keepLocal: "norms" });
  expect(models.map((model) => inside(model).getWeights().map(values))).toEqual(before);
  expect(models.map((model) => values(inside(model, "layer").variables.gamma.read())[0])).toEqual([
    2.25, 2.25, 2.25,
  ]);
  expect(report.local).toEqual(["norm/gamma", "norm/beta", "norm/runningMean", "norm/runningVariance"]);
  averageModels(models, { examples: [1, 1, 2], keepLocal: (layer) => layer.getClassName() === "Dense" });
  expect(values(inside(models[0]).variables.gamma.read())[0]).toBe(2.25);
});

it("vectors of spectral normalization, whose sign is arbitrary, are those of the model with most examples", () => {
  const make = (seed: number) =>
    tfl.sequential({
      layers: [
        asLayer(
          spectralNormalization(
            tfl.layers.dense({
              units: 3,
              kernelInitializer: tfl.initializers.randomNormal({ seed, mean: 0, stddev: 1 }),
            }),
            { inputShape },
          ),
        ),
      ],
    });
  const models = [make(1), make(2)];
  const variablesOf = (model: tfl.LayersModel) =>
    model.weights.filter(({ originalName }) => /u$|v$/.test(originalName));
  const vectors = () => models.map((model) => variablesOf(model).map((one) => values(one.read())));
  // they begin alike; the mean of these would be 0
  for (const one of variablesOf(models[0])) {
    tf.tidy(() => {
      one.write(tf.neg(one.read()));
    });
  }
  const before = vectors();
  expect(before[0].length, models[0].weights.map(({ originalName }) => originalName).join(" ")).toBe(2);
  expect(before[0]).not.toEqual(before[1]);
  averageModels(models, { examples: [1, 2] });
  expect(vectors()).toEqual([before[1], before[1]]);
});

describe("models that are equal stay as they are, but for their counts", () => {
  const withState = kinds.filter(({ name, make, shapes }) => {
    const layerName = name.replace(/norm$/i, (end) => `${end}alization`);
    return layerName in layers && Object.values(make().weights(...shapes(8))).some(({ trained }) => !trained);
  });

  it("finds the normalizations with state", () => expect(withState.length).toBeGreaterThan(10));

  it.each(withState.map((kind) => [kind.name, kind] as const))("%s", (name, kind) => {
    const layerName = name.replace(/norm$/i, (end) => `${end}alization`) as keyof typeof layers;
    const options = Object.fromEntries(
      ["units", "groups", "heads", "batchSize"].filter((one) => one in kind.defaults).map((one) => [one, 2]),
    );
    const make = () => {
      const inputs = kind.shapes(8).map(([, ...shape]) => tfl.input({ shape }));
      const layer = asLayer((layers[layerName] as (args: object) => object)({ ...options, name: "norm" }));
      const y = layer.apply(inputs.length === 1 ? inputs[0] : inputs) as tfl.SymbolicTensor;
      const model = tfl.model({ inputs, outputs: y });
      for (const [i, [role, variable]] of Object.entries(inside(model).variables).entries()) {
        const drawn = normal(tf.util.sizeFromShape(variable.shape as number[]), 7 + i);
        const isPositive = /(Variance|Deviation|Size)$/.test(role);
        const isCount = /(Count|Batches|batches|initialized)$/.test(role);
        const mapped = drawn.map((value) => (isCount ? 3 : isPositive ? 0.5 + value ** 2 : value));
        tf.tidy(() => {
          variable.write(tf.tensor(mapped, variable.shape as number[]));
        });
      }
      return model;
    };
    const models = [make(), make()];
    const before = Object.entries(inside(models[0]).variables).map(
      ([role, one]) => [role, values(one.read())] as const,
    );
    averageModels(models, { examples: [5, 11] });
    for (const [role, expected] of before) {
      const sums = ["runningCount", "pendingCount", "batches"].includes(role) ? 2 : 1;
      const actual = values(inside(models[1]).variables[role].read());
      close(
        role,
        actual,
        expected.map((value) => sums * value),
      );
    }
  });
});

it("averageOver: each replica gets what averageModels gives", () => {
  const make = () => layers.batchNormalization({ inputShape, name: "norm", average: "epoch" });
  const together = clients(make, 7);
  const apart = clients(make, 7);
  averageModels(together, { examples: sizes });
  // each replica's message, then all of them to each
  const given: Float64Array[] = [];
  const stop = new Error("heard");
  apart.forEach((model, k) => {
    const hears: Exchange = (values) => {
      given.push(values);
      throw stop;
    };
    expect(() => averageOver(model, { exchange: hears, examples: sizes[k] })).toThrow(stop);
  });
  apart.forEach((model, k) => {
    averageOver(model, { exchange: () => given, examples: sizes[k] });
    expect(model.getWeights().map(values)).toEqual(together[k].getWeights().map(values));
  });
});

it("averageOver: over an exchange that takes its time, and only models of one structure", async () => {
  const make = (options = {}) =>
    modelOf(layers.batchNormalization({ inputShape, name: "norm", ...options }), 1);
  let waiting: ((lists: Float64Array[]) => void)[] = [];
  let given: Float64Array[] = [];
  const exchange = (list: Float64Array): Promise<Float64Array[]> =>
    new Promise((resolve) => {
      given.push(list);
      waiting.push(resolve);
      if (waiting.length < 2) return;
      for (const one of waiting) one(given);
      [waiting, given] = [[], []];
    });
  const models = [make(), make()];
  models[1].layers[1].setWeights(models[1].layers[1].getWeights().map((one) => tf.add(one, 2)));
  const before = models.map((model) => model.layers[1].getWeights().map(values));
  const reports = await Promise.all(
    models.map((model, k) => averageOver(model, { exchange, examples: [3, 1][k] })),
  );
  expect(reports[0].merged).toEqual(["norm/runningMean", "norm/runningVariance"]);
  for (const model of models) {
    for (const [i, weight] of model.layers[1].getWeights().entries()) {
      close(
        "weight",
        values(weight),
        before[0][i].map((value, j) => 0.75 * value + 0.25 * before[1][i][j]),
      );
    }
  }
  // as many values, which mean something else
  const unlike = [make(), make({ runningVariance: "unbiased" })];
  const ended = await Promise.allSettled(
    unlike.map((model) => averageOver(model, { exchange, examples: 1 })),
  );
  expect(ended.map((one) => (one as PromiseRejectedResult).reason.message)).toEqual(
    [1, 0].map(
      (other) =>
        `averageOver: models must have the same structure and keepLocal, but replica ${other}'s differs from this one's`,
    ),
  );
});

describe("what cannot be averaged is left as it is, and named", () => {
  const norm = (options = {}) => layers.batchNormalization({ inputShape, name: "norm", ...options });
  const dense = (units: number, name = "dense") => tfl.layers.dense({ units, name, inputShape });
  const of = (...all: object[]) => tfl.sequential({ layers: all.map(asLayer) });
  const differs = "averageModels: models must have the same structure, but models[1] has";

  it.each([
    [
      `${differs} dense/kernel [4, 3] where models[0] has dense/kernel [4, 2]`,
      () => of(dense(2)),
      () => of(dense(3)),
    ],
    [
      `${differs} dense (Dense) where models[0] has norm (BatchNormalization)`,
      () => of(norm(), dense(2)),
      () => of(dense(4), norm()),
    ],
    [
      `${differs} no further layer with weights where models[0] has dense (Dense)`,
      () => of(norm(), dense(2)),
      () => of(norm()),
    ],
    [
      `${differs} no norm/gamma where models[0] has norm/gamma [4]`,
      () => of(norm()),
      () => of(norm({ scale: false })),
    ],
    [
      `${differs} norm/runningCount [4] where models[0] has no norm/runningCount`,
      () => of(norm()),
      () => of(norm({ average: "epoch" })),
    ],
    [
      `${differs} norm.runningVariance unbiased where models[0] has norm.runningVariance biased`,
      () => of(norm()),
      () => of(norm({ runningVariance: "unbiased" })),
    ],
    [
      `${differs} norm.epsilon 0.1 where models[0] has norm.epsilon 0.001`,
      () => of(norm()),
      () => of(norm({ epsilon: 0.1 })),
    ],
  ])("%s", (message, makeFirst, makeSecond) => {
    const [first, second] = [makeFirst(), makeSecond()];
    const before = first.getWeights().map(values);
    expect(() => averageModels([first, second], { examples: [1, 1] })).toThrow(new RangeError(message));
    expect(first.getWeights().map(values)).toEqual(before);
  });

  it("weights that are not finite", () => {
    const models = [of(norm()), of(norm())];
    inside(models[1]).variables.beta.write(tf.tensor1d([0, Number.NaN, 0, 0]));
    expect(() => averageModels(models, { examples: [1, 1] })).toThrow(
      new RangeError("averageModels: model 1 is not finite in norm/beta; leave it out, and train it again"),
    );
  });

  it("what is no option, or no number of examples", () => {
    const models = [of(norm()), of(norm())];
    const run = (options: object, of: unknown = models) => averageModels(of as never, options as never);
    expect(() => run({ examples: [1] })).toThrow(
      "averageModels: examples must be a number for each of 2 models, got [1]",
    );
    expect(() => run({ examples: [0, 0] })).toThrow(
      "averageModels: examples must be at least 0, and above 0 for some model, got [0, 0]",
    );
    expect(() => run({ examples: [1, -1] })).toThrow(
      "averageModels: examples must be at least 0, and above 0 for some model, got [1, -1]",
    );
    expect(() => run({ examples: [1, 1], keepLocal: "norm" })).toThrow(
      'averageModels: keepLocal must be "norms" or a function of a layer, got "norm"; leave it out for none',
    );
    expect(() => run({ examples: [1, 1], weights: [] })).toThrow(
      'averageModels: no option is called "weights"; there are examples, keepLocal',
    );
    expect(() => run({ examples: [] }, [])).toThrow("averageModels: models must be a list of models, got []");
    expect(() => run({ examples: [1] }, [{}])).toThrow(
      "averageModels: model must be a LayersModel, got an object",
    );
  });
});
