/** Networks of every kind are measured by depth, before training and over steps; what they are is not changed by it. */
import * as tf from "@tensorflow/tfjs-core";
import * as tfl from "@tensorflow/tfjs-layers";
import { layers as ours } from "evenkeel/tfjs";
import { beforeAll, expect, test } from "vitest";
import { type Batch, courseOf, type Plan, probeSteps } from "../src/diagnosis.js";
import { withNorm } from "../src/models/with-norm.js";
import { startTensorFlow } from "../src/node/tensorflow.js";

beforeAll(startTensorFlow);

const { initializers, layers: keras } = tfl;
const seeded = (seed: number) => initializers.glorotUniform({ seed });
const on = (layer: tfl.layers.Layer, x: tfl.SymbolicTensor | tfl.SymbolicTensor[]) =>
  layer.apply(x) as tfl.SymbolicTensor;

function plan(shapes: number[][], outputs: number[], steps = 0, count = 16): Plan {
  const batch = (seed: number): Batch => ({
    xs: shapes.map((shape, i) => tf.randomNormal([count, ...shape], 0, 1, "float32", seed + i)),
    ys: [tf.randomNormal([count, ...outputs], 0, 1, "float32", seed + 9)],
  });
  return {
    probes: [batch(1), batch(2)],
    steps,
    batchOf: (step) => batch(10 + step),
    loss: ([y], [target]) => tf.mean(tf.squaredDifference(y, target)) as tf.Scalar,
    optimizer: "sgd",
    learningRate: 0.05,
  };
}

/** Dense layers of 16 units, whose kernels have this standard deviation. */
function deep(
  depth: number,
  deviation: number,
  activation: "relu" | "tanh" | "linear" = "relu",
): tfl.Sequential {
  const model = tfl.sequential();
  for (let i = 0; i < depth; i++) {
    model.add(
      keras.dense({
        units: 16,
        activation,
        name: `dense_${i + 1}`,
        kernelInitializer: initializers.randomNormal({ stddev: deviation, seed: i + 1 }),
        ...(i === 0 && { inputShape: [8] }),
      }),
    );
  }
  model.add(keras.dense({ units: 1, name: "last", kernelInitializer: seeded(99) }));
  return model;
}

test("before training, after 1, 2, 3, 5, ... steps, and after the last", () => {
  expect(probeSteps(20)).toEqual([0, 1, 2, 3, 5, 8, 13, 20]);
  expect(probeSteps(1)).toEqual([0, 1]);
  expect(probeSteps(0)).toEqual([0]);
});

test("gradient, activation and dead units are those that a calculation by hand gives", async () => {
  const model = tfl.sequential();
  model.add(keras.dense({ units: 2, inputShape: [2], activation: "relu", name: "a" }));
  model.add(keras.dense({ units: 1, useBias: false, name: "b" }));
  model.layers[0].setWeights([tf.tensor2d([1, -1, 0, 0], [2, 2]), tf.tensor1d([0, -9])]);
  model.layers[1].setWeights([tf.tensor2d([3, 4], [2, 1])]);
  const batch = { xs: [tf.tensor2d([1, 0, 2, 0], [2, 2])], ys: [tf.tensor2d([0, 0], [2, 1])] };
  const course = await courseOf(model, {
    ...plan([[2]], [1]),
    probes: [batch],
    loss: ([y]) => tf.mean(y) as tf.Scalar,
  });
  // a gives [[1, 0], [2, 0]], b 3 and 6; d mean / d a's kernel = 3 · mean of x, d / d b's kernel = mean of a's outputs
  expect(course.layers).toEqual([
    { name: "a", type: "Dense", activation: "relu", units: 2, parameters: 6, frozen: false },
    { name: "b", type: "Dense", activation: "linear", units: 1, parameters: 2, frozen: false },
  ]);
  const [{ loss, evaluationLoss, layers, gaps, step }] = course.probes;
  expect([step, loss, evaluationLoss, gaps]).toEqual([0, 4.5, 4.5, []]);
  expect(layers[0]).toEqual({
    gradientNorm: 4.5,
    weightNorm: Math.SQRT2,
    mean: 0.75,
    spread: Math.sqrt(0.6875),
    dead: 0.5,
  });
  expect(layers[1]).toEqual({ gradientNorm: 1.5, weightNorm: 5, mean: 4.5, spread: 1.5, dead: 0 });
});

test("measuring changes nothing, and leaves no tensor behind", async () => {
  const model = tfl.sequential();
  model.add(keras.dense({ units: 4, inputShape: [3] }));
  model.add(keras.batchNormalization());
  model.add(ours.batchNormalization());
  model.add(keras.activation({ activation: "relu" }));
  model.add(keras.dense({ units: 1 }));
  const before = model.getWeights().map((weight) => weight.dataSync().slice());
  const measured = plan([[3]], [1]);
  await courseOf(model, measured);
  const { numTensors } = tf.memory();
  const course = await courseOf(model, measured);
  expect(tf.memory().numTensors).toBe(numTensors);
  expect(model.getWeights().map((weight) => weight.dataSync())).toEqual(before);
  expect(Object.hasOwn(model.layers[0], "call")).toBe(false);
  expect(course.probes[0].gaps.map(({ over }) => over)).toEqual(["batch", "batch"]);
  expect(course.probes[0].gaps[0].mean.median).toBeGreaterThan(0);
  // the normalization's outputs belong to the layer before it, and so do its activation's
  expect(course.layers.map(({ activation }) => activation)).toEqual(["relu", "linear"]);
});

test("a gradient that vanishes is seen, and a normalization put in mends it", async () => {
  const model = deep(20, 0.1);
  const weights = model.getWeights().map((weight) => weight.dataSync().slice());
  const measured = plan([[8]], [1], 3);
  const { model: other, placed } = withNorm(model, "layer");
  expect(placed).toEqual(Array.from({ length: 20 }, (_, i) => `dense_${i + 1}`));
  const tried = await courseOf(other, measured, { norm: "layer", placed });
  const asItIs = await courseOf(model, measured);
  const norms = (course: typeof tried) =>
    course.probes[0].layers.map(({ gradientNorm }) => gradientNorm ?? 0);
  expect(Math.max(...norms(asItIs).slice(0, 20))).toBeLessThan(1e-6);
  expect(Math.min(...norms(tried))).toBeGreaterThan(1e-3);
  expect(tried.layers.map(({ name }) => name)).toEqual(asItIs.layers.map(({ name }) => name));
  expect(tried.probes[0].layers.map(({ weightNorm }) => weightNorm)).toEqual(
    asItIs.probes[0].layers.map(({ weightNorm }) => weightNorm),
  );
  expect(tried.losses).toHaveLength(3);
  expect(asItIs.probes.map(({ step }) => step)).toEqual([0, 1, 2, 3]);
  expect(model.getWeights().map((weight) => weight.dataSync())).not.toEqual(weights);
});

test("a network that diverges is measured up to there", async () => {
  const course = await courseOf(deep(12, 3, "linear"), { ...plan([[8]], [1], 9), learningRate: 10 });
  expect(course.losses.at(-1)).toBeNull();
  expect(course.losses.length).toBeLessThan(9);
  expect(course.probes.at(-1)?.loss).toBeNull();
});

/** Networks with what makes tracing hard, and shapes of their inputs and outputs. */
const kinds: Record<
  string,
  () => { model: tfl.LayersModel; inputs: number[][]; outputs: number[]; layers: string[] }
> = {
  residual() {
    const inputs = tfl.input({ shape: [8, 8, 1] });
    const conv = (name: string) => keras.conv2d({ filters: 4, kernelSize: 3, padding: "same", name });
    const first = on(keras.reLU(), on(conv("stem"), inputs));
    const branch = on(
      conv("inner"),
      on(keras.reLU(), on(keras.batchNormalization(), on(conv("outer"), first))),
    );
    const sum = on(keras.reLU(), on(keras.add(), [first, branch]));
    const end = on(keras.dense({ units: 3, name: "last" }), on(keras.globalAveragePooling2d({}), sum));
    return {
      model: tfl.model({ inputs, outputs: end }),
      inputs: [[8, 8, 1]],
      outputs: [3],
      layers: ["stem", "outer", "inner", "last"],
    };
  },
  shared() {
    const [a, b] = [tfl.input({ shape: [5] }), tfl.input({ shape: [5] })];
    const tower = keras.dense({ units: 6, activation: "tanh", name: "tower" });
    const both = on(keras.concatenate(), [on(tower, a), on(tower, b)]);
    const end = on(keras.dense({ units: 1, name: "last" }), both);
    return {
      model: tfl.model({ inputs: [a, b], outputs: end }),
      inputs: [[5], [5]],
      outputs: [1],
      layers: ["tower", "last"],
    };
  },
  recurrent() {
    const model = tfl.sequential();
    model.add(
      keras.timeDistributed({
        layer: keras.dense({ units: 4, activation: "relu" }),
        inputShape: [6, 3],
        name: "each",
      }),
    );
    model.add(
      keras.bidirectional({
        layer: keras.lstm({ units: 4, returnSequences: true }) as tfl.RNN,
        mergeMode: "concat",
        name: "both",
      }),
    );
    model.add(keras.gru({ units: 5, name: "gru" }));
    model.add(keras.dropout({ rate: 0.3 }));
    model.add(keras.dense({ units: 2, name: "last" }));
    return { model, inputs: [[6, 3]], outputs: [2], layers: ["each", "both", "gru", "last"] };
  },
  nested() {
    const inner = tfl.sequential({ name: "inner" });
    inner.add(keras.dense({ units: 4, activation: "relu", inputShape: [4], name: "one" }));
    inner.add(keras.dense({ units: 4, activation: "relu", name: "two" }));
    const inputs = tfl.input({ shape: [4] });
    const end = on(keras.dense({ units: 1, name: "last" }), on(inner as unknown as tfl.layers.Layer, inputs));
    return {
      model: tfl.model({ inputs, outputs: end }),
      inputs: [[4]],
      outputs: [1],
      layers: ["inner/one", "inner/two", "last"],
    };
  },
};

test("a recurrent layer that is normalized within is measured, and gets no other", async () => {
  const model = tfl.sequential();
  model.add(ours.layerNormLSTM({ units: 4, inputShape: [5, 2], name: "within" }));
  model.add(keras.dense({ units: 3, name: "next" }));
  model.add(keras.dense({ units: 1, name: "last" }));
  const { layers, probes } = await courseOf(model, plan([[5, 2]], [1]));
  expect(layers.map(({ name }) => name)).toEqual(["within", "next", "last"]);
  expect(probes[0].layers[0].gradientNorm).toBeGreaterThan(0);
  expect(withNorm(model, "layer").placed).toEqual(["next"]);
});

test.each(Object.keys(kinds))(
  "a %s network is measured, and normalized with the same weights",
  async (kind) => {
    const { model, inputs, outputs, layers } = kinds[kind]();
    const course = await courseOf(model, plan(inputs, outputs, 1));
    expect(course.layers.map(({ name }) => name)).toEqual(layers);
    for (const { gradientNorm, spread, dead } of course.probes[0].layers) {
      expect(gradientNorm).toBeGreaterThan(0);
      expect(spread).toBeGreaterThan(0);
      expect(dead).toBeLessThan(1);
    }
    expect(course.probes[1].loss).not.toBe(course.probes[0].loss);
    const { model: other, placed } = withNorm(model, "layer");
    // "outer" has one already
    expect(placed).toEqual(layers.slice(0, -1).filter((name) => name !== "outer"));
    const tried = await courseOf(other, plan(inputs, outputs, 1), { norm: "layer", placed });
    expect(tried.layers.map(({ name }) => name)).toEqual(layers);
    expect(tried.probes[0].layers.map(({ weightNorm }) => weightNorm)).toEqual(
      course.probes[1].layers.map(({ weightNorm }) => weightNorm),
    );
    expect(tried.parameters).toBeGreaterThan(course.parameters);
    const again = withNorm(model, "layer").model;
    const xs = inputs.map((shape) => tf.ones([2, ...shape]));
    expect((again.predict(xs) as tf.Tensor).dataSync()).not.toEqual(
      (model.predict(xs) as tf.Tensor).dataSync(),
    );
  },
);
