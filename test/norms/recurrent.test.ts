import * as tf from "@tensorflow/tfjs-core";
import * as tfl from "@tensorflow/tfjs-layers";
import { beforeAll, describe, expect, it, vi } from "vitest";
import { initialValues } from "../../src/formula/normalization.js";
import {
  apply,
  catalog,
  Layer,
  layerNormGRU,
  layerNormGRUCell,
  layerNormLSTM,
  layerNormLSTMCell,
  maskOfLengths,
  type Normalization,
  open,
  type PlainArray,
  recurrentBatchNorm,
} from "../../src/index.js";
import { install, layers } from "../../src/tfjs/index.js";
import { expectClose, largest, normal } from "../support/numerics.js";
import { backends, use } from "../support/tfjs-backends.js";

const truth = await open({ backend: "reference" });
const wasm = await open({ backend: "wasm", threads: 1 });

const random = (shape: readonly number[], seed: number) => ({
  shape: [...shape],
  data: Float64Array.from(
    normal(
      shape.reduce((a, b) => a * b, 1),
      seed,
    ),
  ),
});

const close = (name: string, actual: PlainArray, expected: ArrayLike<number>, tolerance = 1e-12) =>
  expectClose(name, actual.data, expected, () => tolerance * Math.max(1, largest(expected)));

const pairs = [
  { layer: layerNormLSTM, cell: layerNormLSTMCell, states: 2, options: { carry: "normalized" } },
  { layer: layerNormGRU, cell: layerNormGRUCell, states: 1, options: {} },
];

describe.each(pairs)("$layer.about.name", ({ layer, cell, states, options }) => {
  const units = 4;
  const [batch, steps, features] = [3, 5, 2];
  const norm = layer({ units, ...options } as object);

  it("is the loop of its cell, gradients too", () => {
    const single = cell({ units, ...options } as object) as Normalization;
    const x = random([batch, steps, features], 3);
    const dy = random([batch, steps, units], 4);
    const whole = apply(truth, norm, x as PlainArray);
    const gradients = whole.backward(dy);
    let held: PlainArray[] = Array.from({ length: states }, () => ({
      shape: [batch, units],
      data: new Float64Array(batch * units),
    }));
    const at = ({ data, shape: [, , width] }: PlainArray, t: number) => ({
      shape: [batch, width],
      data: Float64Array.from({ length: batch * width }, (_, i) => {
        const b = Math.floor(i / width);
        return data[(b * steps + t) * width + (i % width)];
      }),
    });
    const taken = Array.from({ length: steps }, (_, t) => {
      const one = apply(truth, single, [at(x, t), ...held] as unknown as [PlainArray]);
      held = [one.y, ...one.more];
      close(`y ${t}`, one.y, at(whole.y, t).data);
      return one;
    });
    // back through time, by hand
    const sums: Record<string, Float64Array> = {};
    let back: (PlainArray | undefined)[] = new Array(states).fill(undefined);
    for (const t of [...taken.keys()].reverse()) {
      const upstream = at(dy, t);
      const later = back[0];
      if (later) for (const i of upstream.data.keys()) upstream.data[i] += later.data[i];
      const { dx, inputs, weights } = taken[t].backward(upstream, { dMore: back.slice(1) });
      close(`dx ${t}`, dx, at(gradients.dx, t).data);
      back = inputs.slice(1) as PlainArray[];
      for (const [name, { data }] of Object.entries(weights)) {
        sums[name] ??= new Float64Array(data.length);
        for (let i = 0; i < data.length; i++) sums[name][i] += data[i];
      }
    }
    expect(Object.keys(sums)).toEqual(Object.keys(gradients.weights));
    for (const [name, data] of Object.entries(sums)) close(name, gradients.weights[name], data);
  });
});

const made: Record<string, (options: { returnSequences?: boolean }) => Normalization> = {
  layerNormLSTM: (options) => layerNormLSTM({ units: 4, ...options }),
  layerNormGRU: (options) => layerNormGRU({ units: 4, ...options }),
  recurrentBatchNorm: (options) => recurrentBatchNorm({ units: 4, ...options }),
};

describe.each(Object.entries(made))("%s", (name, make) => {
  it("padded sequences are those without their padding", () => {
    const lengths = [2, 5, 2];
    const x = random([3, 5, 2], 8);
    const mask = maskOfLengths(lengths, 5);
    const evaluation = { training: false };
    const { y } = apply(truth, make({}), x as PlainArray, {}, { ...evaluation, mask });
    const last = apply(truth, make({ returnSequences: false }), x as PlainArray, {}, { ...evaluation, mask });
    lengths.forEach((length, b) => {
      const alone = { shape: [1, length, 2], data: x.data.slice(b * 10, b * 10 + length * 2) };
      const one = apply(truth, make({}), alone as PlainArray, {}, evaluation);
      close("y", { shape: [], data: y.data.slice(b * 20, b * 20 + length * 4) }, one.y.data);
      expect([...y.data.slice(b * 20 + length * 4, b * 20 + 20)].every((value) => value === 0)).toBe(true);
      close("last", { shape: [], data: last.y.data.slice(b * 4, b * 4 + 4) }, one.y.data.slice(-4));
    });
  });

  it("a mask [batch, time, 1], and one for all sequences, are those of [batch, time]", () => {
    const x = random([3, 4, 2], 8) as PlainArray;
    const steps = [1, 1, 0, 1];
    const of = (shape: number[], data: number[]) => [
      ...apply(truth, make({}), x, {}, { mask: { shape, data: Float64Array.from(data) } }).y.data,
    ];
    const whole = of([3, 4], [...steps, ...steps, ...steps]);
    expect(of([3, 4, 1], [...steps, ...steps, ...steps])).toEqual(whole);
    expect(of([1, 4], steps)).toEqual(whole);
    expect(() => of([3, 4, 2], new Array(24).fill(1))).toThrow(
      new RangeError(
        `${name}: mask must be [batch, time], here [3, 4], got [3, 4, 2]; a step counts as a whole`,
      ),
    );
  });

  it("a sequence, and a step, in which nothing counts gives 0 and takes no gradient", () => {
    const mask = { shape: [3, 4], data: Float64Array.of(0, 0, 0, 0, 1, 0, 1, 1, 1, 0, 1, 1) };
    const x = random([3, 4, 2], 8);
    for (const ek of [truth, wasm]) {
      const applied = apply(ek, make({}), x as PlainArray, {}, { mask });
      const { dx, weights } = applied.backward(random([3, 4, 4], 9));
      for (const { data } of [applied.y, dx, ...Object.values(weights), ...Object.values(applied.state)]) {
        expect(data.every(Number.isFinite)).toBe(true);
      }
      expect([...applied.y.data.slice(0, 16)].every((value) => value === 0)).toBe(true);
      expect([...dx.data.slice(0, 8)].every((value) => value === 0)).toBe(true);
      expect([...applied.y.data.slice(16, 20)].every((value) => value !== 0)).toBe(true);
    }
  });

  it("starts with a Glorot uniform kernel and orthonormal recurrent rows, the same for the same seed, made once", () => {
    const norm: Normalization = make({});
    const { kernel, recurrentKernel } = norm.weights([2, 3, 6]);
    const values = initialValues(kernel);
    const width = kernel.shape[1];
    const limit = Math.sqrt(6 / (6 + width));
    expect(largest(values)).toBeLessThanOrEqual(limit);
    expect(largest(values)).toBeGreaterThan(0.8 * limit);
    expect(Math.abs(values.reduce((a, b) => a + b, 0) / values.length)).toBeLessThan(0.25 * limit);
    const rows = initialValues(recurrentKernel);
    for (let i = 0; i < 4; i++) {
      for (let j = 0; j < 4; j++) {
        let dot = 0;
        for (let k = 0; k < width; k++) dot += rows[i * width + k] * rows[j * width + k];
        expect(dot).toBeCloseTo(i === j ? 1 : 0, 6);
      }
    }
    expect(norm.weights([5, 9, 6]).kernel.initial).toBe(kernel.initial);
    expect([...initialValues(make({}).weights([1, 1, 6]).kernel)]).toEqual([...values]);
  });

  it("says what it needs", () => {
    const norm = catalog[name as "layerNormLSTM"];
    const least = name === "recurrentBatchNorm" ? 1 : 2;
    expect(() => norm()).toThrow(
      new TypeError(
        `${name}: units is needed, the length of the hidden state; for example ${name}({ units: 64 })`,
      ),
    );
    const why = least > 1 ? "; over a single one layer normalization leaves nothing of the input" : "";
    expect(() => norm({ units: least - 1 })).toThrow(
      new RangeError(`${name}: units must be an integer of at least ${least}, got ${least - 1}${why}`),
    );
    expect(() => make({}).weights([2, 3])).toThrow(
      new RangeError(`${name}: x must have at least 3 axes (batch, time and features), got shape [2, 3]`),
    );
    expect(() => make({}).weights([2, 3, 4, 5])).toThrow(
      new RangeError(
        `${name}: x must be [batch, time, features], got shape [2, 3, 4, 5]; flatten what a step consists of into its features`,
      ),
    );
  });

  it("another seed gives other kernels", () => {
    const norm = catalog[name as "layerNormLSTM"];
    const first = (seed: number) => {
      const { kernel, recurrentKernel } = norm({ units: 4, seed }).weights([1, 1, 2]);
      return [kernel, recurrentKernel].map((weight) => initialValues(weight)[0]);
    };
    const [a, b] = [first(0), first(1)];
    expect(a[0]).not.toBe(b[0]);
    expect(a[1]).not.toBe(b[1]);
  });
});

it("cells say which inputs they take", () => {
  expect(() => layerNormLSTMCell({ units: 2 }).weights([3, 4], [3, 2])).toThrow(
    new RangeError(
      "layerNormLSTMCell: inputs must be x [batch, features], h [batch, 2], c [batch, 2], got [3, 4], [3, 2]; states start as zeros",
    ),
  );
  expect(() => layerNormGRUCell({ units: 2 }).weights([3, 4], [3, 4])).toThrow(
    "layerNormGRUCell: inputs must be x [batch, features], h [batch, 2], got [3, 4], [3, 4]; states start as zeros",
  );
});

it("layerNormLSTM refuses another carry", () => {
  expect(() => layerNormLSTM({ units: 2, carry: "both" as "cell" })).toThrow(
    new RangeError('layerNormLSTM: carry must be "cell" or "normalized", got "both"'),
  );
});

describe("recurrentBatchNorm", () => {
  const units = 2;

  it("starts its gammas at 0.1 and the forget gate's bias at 1", () => {
    const weights = recurrentBatchNorm({ units, maxLength: 7 }).weights([4, 3, 5]);
    for (const name of ["kernelGamma", "recurrentGamma", "cellGamma"] as const) {
      expect(weights[name].initial).toBe(0.1);
    }
    expect([...initialValues(weights.bias)]).toEqual([0, 0, 1, 1, 0, 0, 0, 0]);
    expect(weights.runningMean.shape).toEqual([7, 18]);
    expect(weights.cellBeta.initial).toBe(0);
  });

  it("steps at which one sequence counts leave the running statistics alone; so do steps beyond the batch's", () => {
    const norm = recurrentBatchNorm({ units, maxLength: 4 });
    const mask = maskOfLengths([3, 2, 1], 3);
    const { state } = apply(truth, norm, random([3, 3, 2], 5) as PlainArray, {}, { mask });
    expect([...state.runningCount.data]).toEqual([1, 1, 0, 0]);
    const { runningMean, runningVariance } = state;
    expect([...runningMean.data.slice(2 * 18)].every((value) => value === 0)).toBe(true);
    expect([...runningVariance.data.slice(2 * 18)].every((value) => value === 1)).toBe(true);
    expect([...runningMean.data.slice(18, 36)].every((value) => value !== 0)).toBe(true);
  });

  it("evaluation of a batch like those of the training is the training's own result", () => {
    const norm = recurrentBatchNorm({ units: 3, average: "cumulative", maxLength: 5 });
    const x = random([6, 5, 2], 9) as PlainArray;
    const training = apply(truth, norm, x);
    const evaluated = apply(truth, norm, x, training.state, { training: false });
    close("y", evaluated.y, training.y.data);
  });

  it("a batch of one sequence is refused by a layer, and leaves the state alone elsewhere", () => {
    const norm = recurrentBatchNorm({ units });
    const x = random([1, 3, 2], 5) as PlainArray;
    const message =
      "recurrentBatchNorm: a training batch of shape [1, 3, 2] has one sequence, of which every step is its own mean: y does " +
      "not depend on x, and the running statistics were left as they were; train on larger batches, or use layerNormLSTM";
    const warn = vi.fn();
    expect(apply(truth, norm, x, {}, { warn }).state).toEqual({});
    expect(warn).toHaveBeenCalledExactlyOnceWith(message);
    const layer = new Layer(truth, norm, [1, 3, 2]);
    expect(() => layer.forward(x)).toThrow(new RangeError(message));
    layer.dispose();
  });

  it("refuses options out of range", () => {
    expect(() => recurrentBatchNorm({ units, maxLength: 0 })).toThrow(
      new RangeError("recurrentBatchNorm: maxLength must be an integer of at least 1, got 0"),
    );
    expect(() => recurrentBatchNorm({ units, momentum: 2 })).toThrow(
      "recurrentBatchNorm: momentum must be from 0 to 1",
    );
  });
});

const factories = {
  LayerNormLSTM: (returnSequences: boolean) =>
    layers.layerNormLSTM({
      units: 5,
      returnSequences,
      seed: 3,
      kernelInitializer: tfl.initializers.heNormal({ seed: 5 }),
    }),
  LayerNormGRU: (returnSequences: boolean) => layers.layerNormGRU({ units: 5, returnSequences, seed: 4 }),
  RecurrentBatchNormalization: (returnSequences: boolean) =>
    layers.recurrentBatchNormalization({ units: 5, returnSequences, maxLength: 6, momentum: 0.5 }),
};

/** A model's JSON and weights as it would be on disk. */
async function artifacts(model: tfl.LayersModel): Promise<tf.io.ModelArtifacts> {
  let saved: tf.io.ModelArtifacts | undefined;
  await model.save(
    tf.io.withSaveHandler(async (kept) => {
      saved = kept;
      return { modelArtifactsInfo: { dateSaved: new Date(), modelTopologyType: "JSON" } };
    }),
  );
  return saved as tf.io.ModelArtifacts;
}

describe.each(backends)("in TensorFlow.js on %s", (backend) => {
  beforeAll(async () => {
    await use(backend);
    await install();
  });

  const own = (make: (returnSequences: boolean) => unknown, returnSequences: boolean) =>
    make(returnSequences) as tfl.layers.Layer;

  describe.each(Object.entries(factories))("%s", (className, make) => {
    const model = (first: tfl.layers.Layer[]) => {
      const layered = tfl.sequential({
        layers: [
          ...first,
          own(make, true),
          own(make, false),
          tfl.layers.dense({ units: 1, kernelInitializer: tfl.initializers.glorotNormal({ seed: 2 }) }),
        ],
      });
      layered.compile({ optimizer: tf.train.adam(0.03), loss: "meanSquaredError" });
      return layered;
    };

    it("has Keras's shapes, unknown lengths left open", () => {
      const layer = own(make, true);
      expect(layer.getClassName()).toBe(className);
      expect(layer.computeOutputShape([null, null, 7])).toEqual([null, null, 5]);
      expect(own(make, false).computeOutputShape([null, 9, 7])).toEqual([null, 5]);
      const symbolic = layer.apply(tfl.input({ shape: [null, 7] })) as tfl.SymbolicTensor;
      expect(symbolic.shape).toEqual([null, null, 5]);
      expect(() => layer.apply(tf.zeros([2, 3, 6]))).toThrow(/expected axis 2 .* to have value 7/);
      const mask = tf.ones([2, 3]);
      expect(layer.computeMask(tf.zeros([2, 3, 7]), mask)).toBe(mask);
      // the last state has no steps to mask
      expect(own(make, false).computeMask(tf.zeros([2, 3, 7]), mask)).toBe(null);
    });

    it("trains behind an embedding with maskZero, and survives saving", async () => {
      const vocabulary = 6;
      const layered = model([
        tfl.layers.embedding({
          inputDim: vocabulary,
          outputDim: 4,
          maskZero: true,
          inputLength: 6,
          embeddingsInitializer: tfl.initializers.randomNormal({ seed: 1, stddev: 1 }),
        }),
      ]);
      // whether a sequence has more of token 1 than of token 2; padded with 0
      const tokens = Array.from(normal(32 * 6, 7), (value, i) =>
        i % 6 >= 3 + (Math.floor(i / 6) % 4) ? 0 : value > 0 ? 1 : 2,
      );
      const labels = Array.from({ length: 32 }, (_, b) => {
        const row = tokens.slice(b * 6, b * 6 + 6);
        return row.filter((token) => token === 1).length > row.filter((token) => token === 2).length ? 1 : 0;
      });
      const x = tf.tensor(tokens, [32, 6]);
      const y = tf.tensor(labels, [32, 1]);
      const { history } = await layered.fit(x, y, { epochs: 20, batchSize: 32, shuffle: false, verbose: 0 });
      expect(history.loss[19] as number).toBeLessThan(0.5 * (history.loss[0] as number));
      const before = (layered.predict(x) as tf.Tensor).dataSync();
      const loaded = await tfl.loadLayersModel(tf.io.fromMemory(await artifacts(layered)));
      expect([...(loaded.predict(x) as tf.Tensor).dataSync()]).toEqual([...before]);
      tf.dispose([x, y]);
      layered.dispose();
      loaded.dispose();
    });

    it("takes the mask of tf.layers.masking", () => {
      const layered = model([tfl.layers.masking({ maskValue: -9, inputShape: [4, 3] })]);
      const values = normal(2 * 4 * 3, 3);
      const predict = (from: ArrayLike<number>, steps: number, rows: number) =>
        tf.tidy(() => [
          ...(layered.predict(tf.tensor(Float32Array.from(from), [rows, steps, 3])) as tf.Tensor).dataSync(),
        ]);
      // the first has two steps, then padding; the second starts with padding
      const padded = Float32Array.from(values, (value, i) =>
        (i >= 6 && i < 12) || (i >= 12 && i < 15) ? -9 : value,
      );
      const [first, second] = predict(padded, 4, 2);
      const masked = tfl.sequential({ layers: layered.layers.slice(1) });
      const alone = (from: number, to: number) =>
        tf.tidy(() => {
          let state: tf.Tensor = tf.tensor(values.slice(from, to), [1, (to - from) / 3, 3]);
          for (const layer of masked.layers) state = layer.apply(state) as tf.Tensor;
          return state.dataSync()[0];
        });
      expect(first).toBeCloseTo(alone(0, 6), 5);
      expect(second).toBeCloseTo(alone(15, 24), 5);
      layered.dispose();
    });

    it("is the layer without a framework, and keeps its options", () => {
      const layer = own(make, true);
      const [Class, fromConfig] = tf.serialization.SerializationMap.getMap().classNameMap[className];
      const copy = fromConfig(Class, layer.getConfig()) as unknown as tfl.layers.Layer;
      expect(copy.getConfig()).toEqual(layer.getConfig());
      const x = random([3, 4, 2], 6);
      const y = tf.tidy(() =>
        (layer.apply(tf.tensor(Float32Array.from(x.data), [3, 4, 2])) as tf.Tensor).dataSync<"float32">(),
      );
      const names = Object.keys((layer as unknown as { variables: object }).variables);
      const weights = Object.fromEntries(
        layer.getWeights().map((weight, i) => [names[i], { shape: weight.shape, data: weight.dataSync() }]),
      );
      const { normalization } = layer as unknown as { normalization: Normalization };
      const expected = apply(truth, normalization, x as PlainArray, weights as never, { training: false });
      close("y", { shape: [], data: y }, expected.y.data, 1e-5);
      layer.dispose();
    });
  });
});
