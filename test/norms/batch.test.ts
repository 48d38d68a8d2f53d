/** Batch normalization and its kin over several calls: running statistics, freezing, resets, schedules, and online control. */
import { readFileSync } from "node:fs";
import { defaultDevice, numpy as np, init as startJax } from "@jax-js/jax";
import * as tf from "@tensorflow/tfjs-core";
import * as tfl from "@tensorflow/tfjs-layers";
import { describe, expect, it } from "vitest";
import {
  apply,
  BatchNorm,
  batchNorm,
  batchRenorm,
  conventions,
  convertRunningVariance,
  ghostBatchNorm,
  groupNorm,
  InstanceNorm,
  instanceNorm,
  Layer,
  layerNorm,
  onlineNorm,
  open,
  type PlainArray,
  renormSchedule,
  rmsNorm,
} from "../../src/index.js";
import * as jax from "../../src/jax/index.js";
import { install, layers } from "../../src/tfjs/index.js";
import { apply as applyTf } from "../../src/tfjs/layers/apply.js";
import { expectClose, largest, normal } from "../support/numerics.js";
import { use } from "../support/tfjs-backends.js";
import { online as onlineLoops } from "./rows/batch.js";

const truth = await open({ backend: "reference" });
const wasm = await open({ backend: "wasm", threads: 1 });

const size = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);
const array = (shape: readonly number[], seed: number, mean = 0, spread = 1): PlainArray => ({
  shape,
  data: Float64Array.from(normal(size(shape), seed, mean, spread)),
});
const close = (name: string, actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance = 1e-5) =>
  expectClose(name, Float64Array.from(actual), expected, () => tolerance * Math.max(1, largest(expected)));

/** Of rows × channels: each channel's values in all of these batches. */
function together(batches: readonly PlainArray[], channels: number) {
  return Array.from({ length: channels }, (_, c) => {
    const values = batches.flatMap(({ data }) => Array.from(data).filter((_, i) => i % channels === c));
    const mean = values.reduce((a, b) => a + b, 0) / values.length;
    const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
    return { mean, biased: squares / values.length, unbiased: squares / (values.length - 1) };
  });
}

describe("running statistics over batches of different sizes", () => {
  const batches = [7, 3, 12, 2].map((length, i) => array([length, 3], i + 1, i * 5, 1 + i));
  const all = together(batches, 3);
  const trainedOn = (options: Parameters<typeof batchNorm>[0], given = batches) => {
    const layer = new BatchNorm(wasm, 3, options);
    for (const batch of given) layer.forward(batch);
    return layer;
  };

  it.each(["biased", "unbiased"] as const)("an epoch's are those of all its data, %s", (runningVariance) => {
    const layer = trainedOn({ average: "epoch", runningVariance });
    close(
      "mean",
      layer.runningMean,
      all.map(({ mean }) => mean),
    );
    close(
      "variance",
      layer.runningVariance,
      all.map((of) => of[runningVariance]),
    );
    expect([...layer.stateDict().runningCount]).toEqual([24, 24, 24]);
    expect(
      [...trainedOn({ average: "epoch", runningVariance }, [...batches].reverse()).runningMean].length,
    ).toBe(3);
    const reversed = trainedOn({ average: "epoch", runningVariance }, [...batches].reverse());
    close("in another order", reversed.runningVariance, layer.runningVariance);
  });

  it("cumulative ones are the plain mean of the batches' own", () => {
    const layer = trainedOn({ average: "cumulative", runningVariance: "unbiased" });
    const own = batches.map((batch) => together([batch], 3));
    const mean = (of: (c: number, b: number) => number) =>
      [0, 1, 2].map((c) => own.reduce((sum, _, b) => sum + of(c, b), 0) / own.length);
    close(
      "mean",
      layer.runningMean,
      mean((c, b) => own[b][c].mean),
    );
    close(
      "variance",
      layer.runningVariance,
      mean((c, b) => own[b][c].unbiased),
    );
    expect([...layer.stateDict().runningCount]).toEqual([4, 4, 4]);
  });

  it.each([
    { momentum: 0.75 },
    { average: "cumulative" },
    { average: "epoch", runningVariance: "unbiased" },
  ] as const)("micro-batches move them once, as one batch of all would: %o", (options) => {
    const joined = { shape: [24, 3], data: Float64Array.from(batches.flatMap(({ data }) => [...data])) };
    const micro = trainedOn({ ...options, microBatches: 4 }, [...batches, ...batches.slice(0, 3)]);
    const whole = trainedOn(options, [joined]);
    close("mean", micro.runningMean, whole.runningMean);
    close("variance", micro.runningVariance, whole.runningVariance);
    expect([...micro.stateDict().pendingBatches]).toEqual([3]);
    micro.forward(batches[3]);
    whole.forward(joined);
    close("mean, again", micro.runningMean, whole.runningMean);
    close("variance, again", micro.runningVariance, whole.runningVariance);
    expect([...micro.stateDict().pendingCount]).toEqual([0, 0, 0]);
  });

  it("momentum 1 keeps the old ones and 0 the last batch's, to the bit", () => {
    expect([...trainedOn({ momentum: 1 }).runningMean]).toEqual([0, 0, 0]);
    expect([...trainedOn({ momentum: 1 }).runningVariance]).toEqual([1, 1, 1]);
    const last = trainedOn({ momentum: 0 }, batches.slice(3));
    expect([...trainedOn({ momentum: 0 }).runningMean]).toEqual([...last.runningMean]);
    expect([...trainedOn({ momentum: 0 }).runningVariance]).toEqual([...last.runningVariance]);
  });

  it("a mask that leaves fewer than two values moves nothing; an epoch takes a single one", () => {
    const x = array([4, 3], 9);
    for (const options of [{}, { average: "cumulative" }, { microBatches: 1 }] as const) {
      for (const data of [
        [0, 0, 0, 0],
        [0, 1, 0, 0],
      ]) {
        const layer = trainedOn(options);
        const before = layer.stateDict();
        layer.forward(x, undefined, { shape: [4], data: Float32Array.from(data) });
        expect(layer.stateDict()).toEqual(before);
      }
    }
    const layer = trainedOn({ average: "epoch" });
    layer.forward(x, undefined, { shape: [4], data: Float32Array.of(0, 1, 0, 0) });
    const more = together([...batches, { shape: [1, 3], data: x.data.slice(3, 6) }], 3);
    close(
      "mean",
      layer.runningMean,
      more.map(({ mean }) => mean),
    );
    close(
      "variance",
      layer.runningVariance,
      more.map(({ biased }) => biased),
    );
    layer.forward(x, undefined, { shape: [4], data: new Float32Array(4) });
    expect([...layer.stateDict().runningCount]).toEqual([25, 25, 25]);
  });

  it("channels first and last agree, on 1, 2 and 3 axes of positions", () => {
    for (const positions of [[], [5], [2, 3], [2, 1, 3]]) {
      const options = { average: "epoch", runningVariance: "unbiased" } as const;
      const last = new BatchNorm(wasm, 3, options);
      const first = new BatchNorm(wasm, 3, { ...options, axis: 1 });
      const p = size(positions);
      const x = array([4, ...positions, 3], 5, 2);
      const moved = (data: ArrayLike<number>) =>
        Float64Array.from({ length: 12 * p }, (_, i) => {
          const [n, c, at] = [Math.floor(i / (3 * p)), Math.floor(i / p) % 3, i % p];
          return data[(n * p + at) * 3 + c];
        });
      const y = last.forward(x);
      const other = first.forward({ shape: [4, 3, ...positions], data: moved(x.data) });
      close(`y of ${positions.length} axes`, other.data, moved(y.data));
      close("variance", first.runningVariance, last.runningVariance);
      close("count", first.stateDict().runningCount, [4 * p, 4 * p, 4 * p]);
    }
  });

  it("counts up to 2²⁴, from where a cumulative average holds still", () => {
    const layer = trainedOn({ average: "cumulative" }, []);
    const weights = layer.stateDict();
    layer.loadStateDict({ ...weights, runningCount: new Float32Array(3).fill(2 ** 24 - 1) });
    for (let i = 0; i < 2; i++) layer.forward(batches[0]);
    expect([...layer.stateDict().runningCount]).toEqual([2 ** 24, 2 ** 24, 2 ** 24]);
  });
});

describe("resetState", () => {
  const [one, two] = [array([5, 2], 1, 3), array([4, 2], 2, -20, 4)];

  it.each(["epoch", "cumulative"] as const)("%s: the last statistics serve until others come", (average) => {
    const layer = new BatchNorm(wasm, 2, { average, microBatches: 2 });
    for (const batch of [one, one, two]) layer.forward(batch);
    const { runningMean, runningVariance } = layer.stateDict();
    layer.resetState();
    expect(layer.stateDict()).toMatchObject({ runningMean, runningVariance });
    expect([...layer.stateDict().runningCount, ...layer.stateDict().pendingBatches]).toEqual([0, 0, 0]);
    // so far off that merging with it, at no weight, would show
    layer.weights.runningMean.data.fill(1e9);
    for (const batch of [two, two]) layer.forward(batch);
    const fresh = new BatchNorm(wasm, 2, { average, microBatches: 2 });
    for (const batch of [two, two]) fresh.forward(batch);
    expect(layer.stateDict()).toEqual(fresh.stateDict());
  });

  it("exponential: starts anew", () => {
    const layer = new BatchNorm(wasm, 2);
    const start = layer.stateDict();
    layer.forward(one);
    layer.resetState();
    expect(layer.stateDict()).toEqual(start);
  });

  it("leaves a schedule's limits", () => {
    const layer = new Layer(wasm, batchRenorm({ rMax: 1, dMax: 0 }), [2, 3]);
    layer.weights.rMax.data.fill(2);
    layer.resetState();
    expect([...layer.weights.rMax.data]).toEqual([2]);
  });

  it("the same in TensorFlow.js", async () => {
    await use("cpu");
    const layer = layers.batchNormalization({ average: "epoch" });
    const x = tf.tensor2d(Float32Array.from(one.data), [5, 2]);
    layer.apply(x, { training: true });
    const values = () =>
      Object.fromEntries(
        Object.entries(layer.variables).map(([name, v]) => [name, [...v.read().dataSync()]]),
      );
    const { runningMean, runningCount } = values();
    expect(runningCount).toEqual([5, 5]);
    layer.resetState();
    expect(values()).toMatchObject({ runningMean, runningCount: [0, 0] });
  });
});

describe("what is frozen or not finite", () => {
  const x = array([6, 3], 3, 1);
  const dy = array([6, 3], 4);

  it.each([
    batchNorm(),
    batchNorm({ average: "epoch" }),
    ghostBatchNorm({ batchSize: 3 }),
    batchRenorm(),
    onlineNorm(),
  ])("$name freezes through train(), while weights still learn", (norm) => {
    const layer = new Layer(wasm, norm, x.shape);
    layer.forward(x);
    layer.backward(dy);
    const before = layer.stateDict();
    const evaluated = [...layer.eval().forward(x).data];
    layer.train().freeze();
    layer.train();
    expect([...layer.forward(x).data]).toEqual(evaluated);
    layer.backward(dy);
    expect(layer.stateDict()).toEqual(before);
    expect(layer.gradients.gamma.some((value) => value !== 0)).toBe(true);
    layer.unfreeze().forward(dy);
    expect(layer.stateDict().runningMean).not.toEqual(before.runningMean);
    layer.dispose();
  });

  it.each([
    ghostBatchNorm({ batchSize: 3 }),
    batchRenorm({ renormMomentum: 0.5 }),
    onlineNorm(),
    batchNorm({ average: "epoch", microBatches: 2 }),
  ])("$name: a batch that is not finite moves nothing", async (norm) => {
    const layer = new Layer(wasm, norm, x.shape);
    layer.forward(x);
    const before = layer.stateDict();
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, 1e30]) {
      expect(() =>
        layer.forward({ shape: x.shape, data: x.data.map((v, i) => (i === 17 ? bad : v)) }),
      ).toThrow("not finite");
      expect(layer.stateDict()).toEqual(before);
    }
    layer.dispose();
  });

  it("instance normalization's neither, and it evaluates with them", () => {
    const layer = new InstanceNorm(wasm, 2, { trackRunningStatistics: true, momentum: 0 });
    const images = array([3, 5, 2], 8, 4);
    const trained = [...layer.forward(images).data];
    expect(() =>
      layer.forward({ shape: images.shape, data: images.data.map((v, i) => (i === 3 ? Number.NaN : v)) }),
    ).toThrow("not finite");
    const { runningMean, runningVariance } = layer.stateDict();
    const evaluated = layer.eval().forward(images).data;
    close(
      "y",
      evaluated,
      images.data.map((value, i) => (value - runningMean[i % 2]) / Math.sqrt(runningVariance[i % 2] + 1e-5)),
    );
    expect([...evaluated]).not.toEqual(trained);
    const plain = new InstanceNorm(wasm, 2);
    expect(plain.stateDict()).toEqual({});
    expect([...plain.eval().forward(images).data]).toEqual(trained);
  });
});

it("an example with fewer than two unmasked positions is in no instance's running statistics", () => {
  const norm = instanceNorm({ trackRunningStatistics: true });
  const x = array([3, 5, 2], 8, 4);
  const mask = {
    shape: [3, 5],
    data: Float32Array.from({ length: 15 }, (_, i) => (i < 5 && i !== 2 ? 0 : 1)),
  };
  const masked = apply(truth, norm, x, {}, { mask }).state;
  const others = apply(truth, norm, { shape: [2, 5, 2], data: x.data.slice(10) }).state;
  close("mean", masked.runningMean.data, others.runningMean.data, 1e-12);
  close("variance", masked.runningVariance.data, others.runningVariance.data, 1e-12);
});

describe("ghost batches", () => {
  it("of all examples are batch normalization, and of one each are their own", () => {
    const x = array([6, 4, 3], 5, 2);
    const [whole, ghost] = [batchNorm(), ghostBatchNorm()].map((norm) => apply(truth, norm, x));
    expect([...ghost.y.data]).toEqual([...whole.y.data]);
    expect(ghost.state).toEqual(whole.state);
    const single = apply(truth, ghostBatchNorm({ batchSize: 1 }), x).y.data;
    close("instances", single, apply(truth, instanceNorm(), x).y.data, 1e-12);
  });

  it("must divide a larger batch", () => {
    expect(() => apply(wasm, ghostBatchNorm({ batchSize: 4 }), array([10, 3], 1))).toThrow(
      new RangeError(
        "ghostBatchNorm: batchSize must divide a larger batch, got 4 for x of shape [10, 3]; leave out the last 2 " +
          "examples, or use another batchSize",
      ),
    );
    expect(() => ghostBatchNorm({ batchSize: 1.5 })).toThrow(
      new RangeError("ghostBatchNorm: batchSize must be an integer of at least 1, got 1.5"),
    );
    const evaluated = apply(
      wasm,
      ghostBatchNorm({ batchSize: 4 }),
      array([10, 3], 1),
      {},
      { training: false },
    );
    expect(evaluated.y.shape).toEqual([10, 3]);
    expect(() => new Layer(wasm, ghostBatchNorm({ batchSize: 1 }), [4, 3]).forward(array([4, 3], 1))).toThrow(
      "one value per channel",
    );
    const alone = apply(wasm, ghostBatchNorm({ batchSize: 1 }), array([4, 3], 1), { beta: array([3], 2) });
    expect([alone.y.shape, [...alone.y.data]]).toEqual([
      [4, 3],
      Array(4)
        .fill([...array([3], 2).data])
        .flat(),
    ]);
  });
});

interface GoldenCase {
  of: string;
  name: string;
  arguments: Record<string, unknown>;
  dtype?: string;
  weights: Record<string, PlainArray>;
  steps: {
    training: boolean;
    inputs: PlainArray[];
    outputs: PlainArray[];
    upstream: PlainArray[];
    gradients: { inputs: PlainArray[]; weights: Record<string, PlainArray> };
    after: Record<string, PlainArray>;
  }[];
}
const golden = (framework: string, of: string, name: string): GoldenCase => {
  const text = readFileSync(new URL(`../fixtures/goldens/${framework}.json`, import.meta.url), "utf8");
  const found = (JSON.parse(text).cases as GoldenCase[]).find((one) => one.of === of && one.name === name);
  if (!found) throw new Error(`no golden ${of}, ${name}`);
  return found;
};
const floats = (values: ArrayLike<number>) => Float32Array.from(values);

describe("batch renormalization", () => {
  it.each(["keras2", "keras"])("is that of %s, its gradient and statistics too", (framework) => {
    const unlimited = golden(framework, "layers.BatchNormalization", "renorm, defaults");
    const limited = golden(framework, "layers.BatchNormalization", "renorm, clipped, from moving statistics");
    const keras = framework === "keras2" ? conventions.keras2 : conventions.keras3;
    for (const [{ weights, steps }, norm] of [
      [unlimited, batchRenorm(keras.batchRenorm)],
      [
        limited,
        batchRenorm({
          ...keras.batchRenorm,
          momentum: 0.7,
          renormMomentum: 0.8,
          rMin: 0.5,
          rMax: 1.5,
          dMax: 0.75,
        }),
      ],
    ] as const) {
      const layer = new Layer(truth, norm, steps[0].inputs[0].shape);
      const held = layer.stateDict();
      const names: Record<string, string> = { renorm_mean: "renormMean", renorm_stddev: "renormDeviation" };
      for (const [name, { data }] of Object.entries(weights)) {
        if (name === "moving_mean") held.runningMean = floats(data);
        // a deviation of its own runs there, from 1; the variance follows it
        else if (name !== "moving_variance") held[names[name] ?? name] = floats(data);
      }
      layer.loadStateDict(held);
      for (const { training, inputs, outputs, upstream, gradients, after } of steps) {
        if (training) layer.train();
        else layer.eval();
        close("y", layer.forward(inputs[0]).data, outputs[0].data, 2e-5);
        if (!training) continue;
        close("dx", layer.backward(upstream[0]).data, gradients.inputs[0].data, 5e-5);
        close("dGamma", layer.gradients.gamma, gradients.weights.gamma.data, 5e-5);
        const now = layer.stateDict();
        close("mean", now.runningMean, after.moving_mean.data);
        close("deviation", now.runningDeviation, after.moving_stddev.data);
        if (now.renormMean) close("reference", now.renormMean, after.renorm_mean.data);
        if (now.renormDeviation) close("reference", now.renormDeviation, after.renorm_stddev.data);
      }
    }
  });

  it("starts as batch normalization, and trains as it evaluates without limits", () => {
    const x = array([8, 3], 6, 1, 2);
    const limits = renormSchedule(0);
    const [renorm, plain] = [batchRenorm({ ...limits, epsilon: 1e-5 }), batchNorm()].map(
      (norm) => apply(truth, norm, x).y.data,
    );
    close("y", renorm, plain, 1e-12);
    const free = batchRenorm({ rMax: Infinity, dMax: Infinity });
    const state = { runningMean: Float64Array.of(1, 2, 3), runningDeviation: Float64Array.of(0.5, 2, 7) };
    const [training, evaluation] = [true, false].map(
      (training) => apply(truth, free, x, state, { training }).y.data,
    );
    close("y", training, evaluation, 1e-12);
  });

  it("its schedule is the paper's", () => {
    expect([0, 5000, 15000, 25000, 40000, 1e6].map(renormSchedule)).toEqual([
      { rMax: 1, dMax: 0 },
      { rMax: 1, dMax: 0 },
      { rMax: 1 + 20000 / 35000, dMax: 2.5 },
      { rMax: 1 + 40000 / 35000, dMax: 5 },
      { rMax: 3, dMax: 5 },
      { rMax: 3, dMax: 5 },
    ]);
  });

  it("limits are set between steps, in each host", async () => {
    const x = array([8, 3], 6, 4, 3);
    const expected = apply(truth, batchRenorm({ rMax: 1.25, dMax: 0.5 }), x).y.data;
    const layer = new Layer(wasm, batchRenorm({ rMax: 1, dMax: 0 }), x.shape);
    for (const [name, value] of [
      ["rMax", 1.25],
      ["dMax", 0.5],
    ] as const)
      layer.weights[name].data.fill(value);
    close("Layer", layer.forward(x).data, expected);
    await use("cpu");
    const inTf = layers.batchRenormalization({ rMax: 1, dMax: 0, epsilon: 1e-3 });
    const tensor = tf.tensor2d(floats(x.data), [8, 3]);
    inTf.build([null, 3]);
    inTf.variables.rMax.write(tf.tensor1d([1.25]));
    inTf.variables.dMax.write(tf.tensor1d([0.5]));
    close("TensorFlow.js", (inTf.apply(tensor, { training: true }) as tf.Tensor).dataSync(), expected);
  });

  it("says what is wrong with its limits", () => {
    expect(() => batchRenorm({ rMax: 0.5 })).toThrow(
      new RangeError("batchRenorm: rMax must be at least 1, got 0.5"),
    );
    expect(() => batchRenorm({ dMax: -1 })).toThrow(
      new RangeError("batchRenorm: dMax must be at least 0, got -1"),
    );
    expect(() => batchRenorm({ rMin: 2 })).toThrow(
      new RangeError("batchRenorm: rMin must be from 0 to 1, got 2"),
    );
    expect(() => batchRenorm({ renormMomentum: 2 })).toThrow("renormMomentum must be from 0 to 1");
  });
});

/** The paper's Algorithm, example by example, in plain loops: what the control process makes of dy. */
function controlled(
  x: PlainArray,
  dy: PlainArray,
  gamma: ArrayLike<number>,
  state: { mean: number[]; variance: number[]; u: number[]; v: number[] },
  forward: number,
  back: number,
  mask?: readonly number[],
) {
  const [examples, positions, channels] = x.shape;
  const dx = new Float64Array(x.data.length);
  const dGamma = new Float64Array(channels);
  for (let t = 0; t < examples; t++) {
    for (let c = 0; c < channels; c++) {
      const places = [...Array(positions).keys()].filter((p) => mask?.[t * positions + p] !== 0);
      if (places.length === 0) continue;
      const at = (p: number) => (t * positions + p) * channels + c;
      const mean = (value: (p: number) => number) =>
        places.reduce((sum, p) => sum + value(p), 0) / places.length;
      const deviation = Math.sqrt(state.variance[c] + 1e-5);
      const xHat = (p: number) => (x.data[at(p)] - state.mean[c]) / deviation;
      const g = (p: number) => dy.data[at(p)] * gamma[c];
      const h = (p: number) => g(p) - (1 - back) * state.v[c] * xHat(p);
      for (const p of places) {
        dx[at(p)] = h(p) / deviation - (1 - back) * state.u[c];
        dGamma[c] += dy.data[at(p)] * xHat(p);
      }
      state.v[c] += mean((p) => h(p) * xHat(p));
      state.u[c] += mean((p) => dx[at(p)]);
      const own = mean((p) => x.data[at(p)]);
      const variance = mean((p) => (x.data[at(p)] - own) ** 2);
      state.variance[c] =
        forward * state.variance[c] +
        (1 - forward) * variance +
        forward * (1 - forward) * (own - state.mean[c]) ** 2;
      state.mean[c] = forward * state.mean[c] + (1 - forward) * own;
    }
  }
  return { dx, dGamma };
}

describe("online normalization", () => {
  const options = { alphaForward: 0.9, alphaBackward: 0.95, guard: "none" } as const;
  const gamma = Float64Array.of(1.5, -0.5);
  const fresh = () => ({ mean: [0, 0], variance: [1, 1], u: [0, 0], v: [0, 0] });
  const steps = [4, 1, 3].map((examples, i) => ({
    x: array([examples, 5, 2], 20 + i, 1, 2),
    dy: array([examples, 5, 2], 30 + i, 0.5),
  }));

  it("takes examples in turn, whatever the batch: in float64, WASM, TensorFlow.js and jax-js", async () => {
    const x = steps[0].x;
    const weights = {
      gamma,
      beta: Float64Array.of(0.2, 0.3),
      runningMean: Float64Array.of(0.5, -1),
      runningVariance: Float64Array.of(2, 0.7),
    };
    for (const guard of ["layerScaling", "clamp", "none"] as const) {
      const norm = onlineNorm({ alphaForward: 0.9, guard });
      const plain = onlineNorm({ alphaForward: 0.9, guard, control: false });
      for (const mask of [
        undefined,
        Float64Array.from({ length: 20 }, (_, i) => (i % 3 === 0 || i < 5 ? 0 : 1)),
      ]) {
        const whole = mask && Float64Array.from({ length: 40 }, (_, i) => mask[i >> 1]);
        const expected = onlineLoops(2, { alpha: 0.9, guard })(
          [{ shape: x.shape, data: Float64Array.from(x.data) }],
          weights,
          {
            training: true,
            mask: whole,
          },
        );
        const masked = mask && { shape: [4, 5], data: mask };
        for (const [ek, tolerance] of [
          [truth, 1e-12],
          [wasm, 1e-5],
        ] as const) {
          const { y, state } = apply(ek, norm, x, weights, { mask: masked });
          close("y", y.data, expected.y, tolerance);
          for (const [name, values] of Object.entries(expected.state ?? {}))
            close(name, state[name].data, values, tolerance);
        }
        await startJax("wasm");
        defaultDevice("wasm");
        const jaxArray = (values: ArrayLike<number>, shape: number[]) =>
          np.array(floats(values)).reshape(shape);
        const applied = jax.apply(
          plain,
          jaxArray(x.data, [4, 5, 2]),
          Object.fromEntries(Object.entries(weights).map(([name, data]) => [name, jaxArray(data, [2])])),
          { mask: mask && jaxArray(mask, [4, 5]) },
        );
        close("jax-js", (await applied.y.data()) as Float32Array, expected.y);
        close(
          "jax-js",
          (await applied.state.runningMean.data()) as Float32Array,
          expected.state?.runningMean ?? [],
        );
        await use("cpu");
        tf.tidy(() => {
          const held = Object.fromEntries(
            Object.entries(weights).map(([name, data]) => [name, tf.tensor1d(floats(data))]),
          );
          const { y, state } = applyTf(plain, tf.tensor3d(floats(x.data), [4, 5, 2]), held, {
            mask: mask && tf.tensor2d(floats(mask), [4, 5]),
          });
          close("TensorFlow.js", y.dataSync(), expected.y);
          close(
            "TensorFlow.js",
            state?.runningVariance.dataSync() ?? [],
            expected.state?.runningVariance ?? [],
          );
        });
      }
    }
    const one = apply(truth, onlineNorm({ control: false }), x);
    let state: Record<string, PlainArray> = {};
    const parts: number[] = [];
    for (let t = 0; t < 4; t++) {
      const part = { shape: [1, 5, 2], data: x.data.slice(10 * t, 10 * t + 10) };
      const result = apply(truth, onlineNorm({ control: false }), part, state);
      parts.push(...result.y.data);
      state = result.state;
    }
    close("one by one", parts, one.y.data, 1e-12);
  });

  it.each(["no mask", "a mask"])("controls its gradient as the paper's loops do, over steps: %s", (kind) => {
    for (const [ek, tolerance] of [
      [truth, 1e-6],
      [wasm, 1e-5],
    ] as const) {
      const layer = new Layer(ek, onlineNorm(options), [2, 5, 2]);
      layer.loadStateDict({ ...layer.stateDict(), gamma: floats(gamma) });
      const state = fresh();
      for (const { x, dy } of steps) {
        const mask =
          kind === "a mask"
            ? Array.from({ length: x.shape[0] * 5 }, (_, i) => (i < 5 || i % 4 === 1 ? 0 : 1))
            : undefined;
        layer.forward(x, undefined, mask && { shape: [x.shape[0], 5], data: floats(mask) });
        const expected = controlled(x, dy, gamma, state, 0.9, 0.95, mask);
        close("dx", layer.backward(dy).data, expected.dx, tolerance);
        close("dGamma", layer.gradients.gamma, expected.dGamma, tolerance);
        const now = layer.stateDict();
        close("u", now.controlMean, state.u, tolerance);
        close("v", now.controlProjection, state.v, tolerance);
        close("mean", now.runningMean, state.mean, tolerance);
        close("variance", now.runningVariance, state.variance, tolerance);
      }
      layer.dispose();
    }
  });

  it.each(["cpu", "wasm"])("and in TensorFlow.js on %s, leaving no tensor behind", async (backend) => {
    await use(backend as "cpu");
    await install();
    const layer = layers.onlineNormalization({ ...options, epsilon: 1e-5 });
    layer.build([null, 5, 2]);
    layer.variables.gamma.write(tf.tensor1d(floats(gamma)));
    const state = fresh();
    const before = tf.memory().numTensors;
    for (const { x, dy } of steps) {
      const expected = controlled(x, dy, gamma, state, 0.9, 0.95);
      tf.tidy(() => {
        const [input, upstream] = [x, dy].map(({ shape, data }) =>
          tf.tensor3d(floats(data), shape as [number, number, number]),
        );
        const dx = tf.grad((values) => layer.apply(values, { training: true }) as tf.Tensor)(input, upstream);
        close("dx", dx.dataSync(), expected.dx);
      });
      close("u", layer.variables.controlMean.read().dataSync(), state.u);
      close("v", layer.variables.controlProjection.read().dataSync(), state.v);
      close("mean", layer.variables.runningMean.read().dataSync(), state.mean);
      expect(tf.memory().numTensors).toBe(before);
    }
  });

  it("a mask that is gone after the forward pass is there for the backward one", async () => {
    await use("cpu");
    const [masked, plain] = [true, false].map((useMask) => {
      const layer = layers.onlineNormalization({ ...options, useMask });
      layer.build([null, 5, 2]);
      return layer;
    });
    const counts = [1, 1, 1, 0, 0];
    const gradient = (layer: typeof masked, within: (values: tf.Tensor) => tf.Tensor) =>
      tf.grad((values) =>
        tf.tidy(() => {
          const mask = tf.notEqual(tf.tensor2d([counts, counts]), 0);
          return layer.call(within(values), { training: true, mask }) as tf.Tensor;
        }),
      );
    const [x, dy] = [1, 2].map((seed) => tf.tensor3d(normal(20, seed), [2, 5, 2]));
    const cut = (values: tf.Tensor) => tf.slice(values, [0, 0, 0], [2, 3, 2]);
    const dx = gradient(masked, (values) => values)(x, dy);
    const expected = gradient(plain, (values) => values)(cut(x), cut(dy));
    close("dx", cut(dx).dataSync(), expected.dataSync());
    expect(Math.max(...tf.abs(tf.slice(dx, [0, 3, 0])).dataSync())).toBe(0);
  });

  it("trains in a TensorFlow.js model, batches of one", async () => {
    await use("cpu");
    const model = tfl.sequential({
      layers: [
        tfl.layers.dense({ units: 3, inputShape: [2] }),
        layers.onlineNormalization({ alphaForward: 0.9, alphaBackward: 0.9 }),
        tfl.layers.dense({ units: 1 }),
      ],
    });
    model.compile({ optimizer: tf.train.sgd(0.02), loss: "meanSquaredError" });
    const x = tf.tensor2d(normal(80, 1, 5, 2), [40, 2]);
    const labels = tf.sum(x, 1, true);
    const { history } = await model.fit(x, labels, { batchSize: 1, epochs: 4, verbose: 0 });
    expect(history.loss[3]).toBeLessThan((history.loss[0] as number) / 2);
    const [, online] = model.layers as [unknown, ReturnType<typeof layers.onlineNormalization>];
    for (const name of ["controlMean", "controlProjection"]) {
      const values = [...online.variables[name].read().dataSync()];
      expect(values.every((value) => Number.isFinite(value) && value !== 0)).toBe(true);
    }
  });

  it("takes the gradient's mean and its projection on xHat out, in the long run", () => {
    const layer = new Layer(
      truth,
      onlineNorm({ guard: "none", alphaForward: 0.99, alphaBackward: 0.9 }),
      [1, 4, 1],
    );
    let [mean, projection] = [0, 0];
    const count = 3000;
    for (let t = 0; t < count; t++) {
      const x = array([1, 4, 1], 100 + t, 2, 3);
      const y = layer.forward(x);
      // a gradient with a constant part and a part along y, which normalization must not let through
      const dx = layer.backward({ shape: y.shape, data: y.data.map((value) => 1 + 0.5 * value) });
      mean += [...dx.data].reduce((a, b) => a + b, 0) / 4 / count;
      projection += [...dx.data].reduce((a, b, i) => a + b * y.data[i], 0) / 4 / count;
    }
    expect(Math.abs(mean)).toBeLessThan(0.01);
    expect(Math.abs(projection)).toBeLessThan(0.02);
  });

  it("stays finite where its control would swing", () => {
    for (const data of [normal(60, 3, 0, 1e8), normal(60, 3, 1e4, 1), normal(60, 3).fill(1e5, 7, 8)]) {
      const layer = new Layer(wasm, onlineNorm({ alphaForward: 0.99999 }), [6, 5, 2]);
      for (let t = 0; t < 20; t++) {
        layer.forward({ shape: [6, 5, 2], data });
        const dx = layer.backward(array([6, 5, 2], 40 + t));
        expect(dx.data.every(Number.isFinite)).toBe(true);
        expect(Object.values(layer.stateDict()).every((values) => values.every(Number.isFinite))).toBe(true);
      }
      expect(layer.stateDict().controlProjection).not.toEqual(new Float32Array(2));
      layer.dispose();
    }
  });

  it("a gradient that is not finite moves no control", () => {
    const layer = new Layer(wasm, onlineNorm(), [2, 5, 2]);
    const { x, dy } = steps[0];
    layer.forward(x);
    layer.backward(dy);
    const { controlMean, controlProjection } = layer.stateDict();
    layer.forward(x);
    layer.backward({ shape: dy.shape, data: dy.data.map(() => Number.NaN) });
    expect(layer.stateDict()).toMatchObject({ controlMean, controlProjection });
  });

  it("says where it cannot be controlled, and what is wrong with its options", async () => {
    await startJax("wasm");
    defaultDevice("wasm");
    expect(() => jax.apply(onlineNorm(), np.ones([2, 5, 2]))).toThrow(
      new Error(
        "onlineNorm: its control process needs state in the backward pass, which this host does not store; use a layer, " +
          "pass moveState, or set control: false",
      ),
    );
    expect(() => onlineNorm({ alphaBackward: 2 })).toThrow(
      new RangeError("onlineNorm: alphaBackward must be from 0 to 1 (the weight of the old value), got 2"),
    );
    expect(() => onlineNorm({ guard: "no" as "none" })).toThrow(
      new RangeError('onlineNorm: guard must be "layerScaling", "clamp" or "none", got "no"'),
    );
    expect(() => onlineNorm({ axis: 0 }).weights([2, 3])).toThrow(
      new RangeError(
        "onlineNorm: axis must name the channels or features, got 0, which is the batch axis; use 1 or -1",
      ),
    );
  });
});

describe("conventions", () => {
  /** y of a golden in training, and what runs after its first step. */
  const first = (framework: string, of: string, name: string) => {
    const { weights, steps, dtype } = golden(framework, of, name);
    return { weights: weights ?? {}, ...steps[0], after: steps[0].after ?? {}, dtype };
  };

  it.each([
    ["pytorch", "nn.LayerNorm", "defaults, one axis", layerNorm(conventions.pytorch.layerNorm)],
    ["pytorch", "nn.RMSNorm", "defaults, one axis", rmsNorm(conventions.pytorch.rmsNorm)],
    [
      "pytorch",
      "nn.GroupNorm",
      "2 groups of 3 channels",
      groupNorm({ ...conventions.pytorch.groupNorm, groups: 2 }),
    ],
    ["keras", "layers.BatchNormalization", "2-d input, defaults", batchNorm(conventions.keras3.batchNorm)],
    ["keras", "layers.LayerNormalization", "defaults", layerNorm(conventions.keras3.layerNorm)],
    [
      "keras",
      "layers.GroupNormalization",
      "2 groups",
      groupNorm({ ...conventions.keras3.groupNorm, groups: 2 }),
    ],
    ["mxnet", "gluon.nn.LayerNorm", "defaults", layerNorm(conventions.gluon.layerNorm)],
    ["mxnet", "nd.LayerNorm", "defaults", layerNorm(conventions.mxnet.layerNorm)],
    ["flax", "linen.LayerNorm", "defaults", layerNorm(conventions.flax.layerNorm)],
    ["flax", "linen.RMSNorm", "defaults", rmsNorm(conventions.flax.rmsNorm)],
    ["flax", "linen.GroupNorm", "2 groups", groupNorm({ ...conventions.flax.groupNorm, groups: 2 })],
    ["pytorch", "nn.BatchNorm2d", "defaults", batchNorm(conventions.pytorch.batchNorm)],
    ["pytorch", "nn.InstanceNorm2d", "defaults", instanceNorm(conventions.pytorch.instanceNorm)],
    ["keras2", "layers.BatchNormalization", "2-d input, defaults", batchNorm(conventions.keras2.batchNorm)],
    [
      "keras2",
      "layers.BatchNormalization",
      "4-d input, fused",
      batchNorm({ ...conventions.keras2.batchNorm, runningVariance: "unbiased" }),
    ],
    ["keras2", "layers.LayerNormalization", "defaults", layerNorm(conventions.keras2.layerNorm)],
    [
      "keras2",
      "layers.GroupNormalization",
      "2 groups",
      groupNorm({ ...conventions.keras2.groupNorm, groups: 2 }),
    ],
    [
      "keras2",
      "layers.GroupNormalization",
      "groups -1: instance normalization",
      instanceNorm(conventions.keras2.instanceNorm),
    ],
    ["keras", "layers.RMSNormalization", "defaults", rmsNorm(conventions.keras3.rmsNorm)],
    [
      "keras",
      "layers.GroupNormalization",
      "groups -1: instance normalization",
      instanceNorm(conventions.keras3.instanceNorm),
    ],
    ["mxnet", "gluon.nn.BatchNorm", "2-d input, defaults", batchNorm(conventions.gluon.batchNorm)],
    ["mxnet", "gluon.nn.InstanceNorm", "defaults", instanceNorm(conventions.gluon.instanceNorm)],
    ["mxnet", "nd.BatchNorm", "defaults", batchNorm(conventions.mxnet.batchNorm)],
    ["mxnet", "nd.InstanceNorm", "defaults", instanceNorm(conventions.mxnet.instanceNorm)],
    ["flax", "linen.BatchNorm", "2-d input, defaults", batchNorm(conventions.flax.batchNorm)],
    ["flax", "linen.InstanceNorm", "defaults", instanceNorm(conventions.flax.instanceNorm)],
    ["fastai", "layers.BatchNorm", "ndim 2", batchNorm(conventions.fastai.batchNorm)],
    ["fastai", "layers.InstanceNorm", "ndim 2", instanceNorm(conventions.fastai.instanceNorm)],
  ] as const)("%s's %s, %s", (framework, of, name, norm) => {
    const { weights, inputs, outputs, after, dtype } = first(framework, of, name);
    const specified = norm.weights(inputs[0].shape);
    const held: Record<string, Float64Array> = {};
    for (const [theirs, { data }] of Object.entries(weights)) {
      const ours =
        theirs === "weight" || theirs === "scale" ? "gamma" : theirs === "bias" ? "beta" : ourName(theirs);
      if (ours in specified) held[ours] = Float64Array.from(data);
    }
    const { y, state } = apply(truth, norm, inputs[0], held);
    // tight enough to tell an epsilon of 1e-5 from one of 1e-6
    const tolerance = dtype === "float32" ? 2e-6 : 1e-7;
    close("y", y.data, outputs[0].data, tolerance);
    for (const [theirs, { data }] of Object.entries(after)) {
      const ours = ourName(theirs);
      if (ours in state) close(ours, state[ours].data, data, tolerance);
    }
    if ("runningMean" in specified) {
      expect(Object.keys(after).filter((theirs) => ourName(theirs) in state)).toHaveLength(2);
    }
  });

  it("has a norm exactly where a framework has it", () => {
    expect("rmsNorm" in conventions.keras2).toBe(false);
    expect("groupNorm" in conventions.tensorflowjs).toBe(false);
    // @ts-expect-error Flax has no renormalization
    expect(conventions.flax.batchRenorm).toBeUndefined();
  });

  it("converts running variances", () => {
    const unbiased = convertRunningVariance([2, 4], 5, "unbiased");
    expect([...unbiased]).toEqual([2.5, 5]);
    expect([...convertRunningVariance(unbiased, 5, "biased")]).toEqual([2, 4]);
    expect(() => convertRunningVariance([1], 1, "biased")).toThrow(
      new RangeError(
        "convertRunningVariance: count must be a finite number of at least 2 (values per channel in a batch), got 1",
      ),
    );
  });
});

/** A framework's name of running statistics as ours. */
function ourName(name: string): string {
  if (/mean$/.test(name)) return "runningMean";
  return /var(iance)?$/.test(name) ? "runningVariance" : name;
}
