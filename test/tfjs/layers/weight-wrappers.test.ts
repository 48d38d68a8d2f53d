/** Wrappers of layers: the plain layer with the normalized kernel, its gradients, training, saving, and removal. */
import * as tf from "@tensorflow/tfjs-core";
import * as tfl from "@tensorflow/tfjs-layers";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { spectralNorm, weightNorm, weightNormGain, weightStandardization } from "../../../src/index.js";
import * as evenkeel from "../../../src/tfjs/index.js";
import {
  install,
  residual,
  weightNormalization,
  withoutWeightNormalization,
} from "../../../src/tfjs/index.js";
import addons from "../../fixtures/goldens/addons.json" with { type: "json" };
import { expectClose, largest, normal } from "../../support/numerics.js";
import { artifacts } from "../../support/tfjs-artifacts.js";
import { backends, use } from "../../support/tfjs-backends.js";

type Layer = tfl.layers.Layer;
type Plain = { shape: readonly number[]; data: ArrayLike<number> };

const values = (tensor: tf.Tensor | tf.Tensor[]) => (tensor as tf.Tensor).dataSync() as Float32Array;
const close = (name: string, actual: Float32Array, expected: ArrayLike<number>, tolerance = 1e-5) =>
  expectClose(name, actual, expected, () => tolerance * Math.max(1, largest(expected)));
const random = (shape: readonly number[], seed: number) =>
  tf.tensor(normal(tf.util.sizeFromShape([...shape]), seed, 0.2), [...shape]);
const plain = (tensor: tf.Tensor): Plain => ({ shape: tensor.shape, data: tensor.dataSync() });
const last = (variable: { originalName: string }) => variable.originalName.split("/").pop() as string;
const init = (seed: number) => tfl.initializers.randomNormal({ mean: 0.1, stddev: 1, seed });

/** Layers with kernels, their input, and where the outputs of each kernel are. */
const cases: Record<
  string,
  { make(): Layer; input(seed: number): tf.Tensor; axes: Record<string, number[]> }
> = {
  dense: {
    make: () =>
      tfl.layers.dense({
        units: 3,
        activation: "tanh",
        kernelInitializer: init(1),
        biasInitializer: init(2),
      }),
    input: (seed) => random([5, 4], seed),
    axes: { kernel: [1] },
  },
  conv1d: {
    make: () => tfl.layers.conv1d({ filters: 3, kernelSize: 2, kernelInitializer: init(3) }),
    input: (seed) => random([2, 5, 4], seed),
    axes: { kernel: [2] },
  },
  conv2d: {
    make: () =>
      tfl.layers.conv2d({ filters: 3, kernelSize: 2, activation: "relu", kernelInitializer: init(4) }),
    input: (seed) => random([2, 4, 4, 2], seed),
    axes: { kernel: [3] },
  },
  conv2dTranspose: {
    make: () =>
      tfl.layers.conv2dTranspose({ filters: 3, kernelSize: 2, strides: 2, kernelInitializer: init(5) }),
    input: (seed) => random([2, 3, 3, 2], seed),
    axes: { kernel: [2] },
  },
  depthwiseConv2d: {
    make: () =>
      tfl.layers.depthwiseConv2d({ kernelSize: 2, depthMultiplier: 2, depthwiseInitializer: init(6) }),
    input: (seed) => random([2, 4, 4, 3], seed),
    axes: { depthwise_kernel: [2, 3] },
  },
  separableConv2d: {
    make: () =>
      tfl.layers.separableConv2d({
        filters: 5,
        kernelSize: 2,
        depthwiseInitializer: init(7),
        pointwiseInitializer: init(8),
      }),
    input: (seed) => random([2, 4, 4, 3], seed),
    axes: { depthwise_kernel: [2, 3], pointwise_kernel: [3] },
  },
  embedding: {
    make: () => tfl.layers.embedding({ inputDim: 6, outputDim: 3, embeddingsInitializer: init(9) }),
    input: (seed) =>
      tf.tensor2d(
        Int32Array.from(normal(8, seed), (value) => Math.abs(value * 10) % 6),
        [2, 4],
        "int32",
      ),
    axes: { embeddings: [1] },
  },
  lstm: {
    make: () => tfl.layers.lstm({ units: 3, kernelInitializer: init(10), recurrentInitializer: init(11) }),
    input: (seed) => random([2, 4, 3], seed),
    axes: { kernel: [1], recurrent_kernel: [1] },
  },
  gru: {
    make: () =>
      tfl.layers.gru({
        units: 3,
        kernelInitializer: init(12),
        recurrentInitializer: init(13),
        returnSequences: true,
      }),
    input: (seed) => random([2, 4, 3], seed),
    axes: { kernel: [1], recurrent_kernel: [1] },
  },
  "timeDistributed dense": {
    make: () =>
      tfl.layers.timeDistributed({ layer: tfl.layers.dense({ units: 3, kernelInitializer: init(14) }) }),
    input: (seed) => random([2, 3, 4], seed),
    axes: { kernel: [1] },
  },
};

const wrappers = {
  weightNormalization: evenkeel.weightNormalization,
  spectralNormalization: (layer: Layer) => evenkeel.spectralNormalization(layer, { powerIterations: 2 }),
  weightStandardization: (layer: Layer) => evenkeel.weightStandardization(layer, { scaled: true }),
};
type Wrapper = keyof typeof wrappers;

/** The kernel as each paper has it, composed of TensorFlow.js's operations; `state` as after the last call in training. */
function composed(
  wrapper: Wrapper,
  kernel: tf.Tensor,
  axes: readonly number[],
  { g, gain, u, v }: Record<string, tf.Tensor>,
): tf.Tensor {
  const rest = [...kernel.shape.keys()].filter((axis) => !axes.includes(axis));
  const spread = (each: tf.Tensor) =>
    tf.reshape(
      each,
      kernel.shape.map((length, axis) => (axes.includes(axis) ? length : 1)),
    );
  if (wrapper === "weightNormalization") {
    return tf.div(tf.mul(kernel, spread(g)), tf.sqrt(tf.sum(tf.square(kernel), rest, true)));
  }
  if (wrapper === "weightStandardization") {
    const distance = tf.sub(kernel, tf.mean(kernel, rest, true));
    const variance = tf.mean(tf.square(distance), rest, true);
    const fanIn = rest.reduce((product, axis) => product * kernel.shape[axis], 1);
    return tf.div(tf.mul(distance, spread(gain)), tf.sqrt(tf.mul(tf.add(variance, 1e-5), fanIn)));
  }
  const matrix = tf.reshape(tf.transpose(kernel, [...axes, ...rest]), [u.size, -1]);
  const [row, column] = [tf.reshape(u, [1, -1]), tf.reshape(v, [-1, 1])] as tf.Tensor2D[];
  return tf.div(kernel, tf.reshape(tf.matMul(tf.matMul(row, matrix as tf.Tensor2D), column), [1]));
}

/** What a wrapper learned and keeps for one of its kernels, by our names. */
function ownWeights(wrapper: evenkeel.WeightWrapper, kernel: string): Record<string, tf.Tensor> {
  const prefixes = wrapper.weights.some((one) => last(one).startsWith(`${kernel}_`)) ? `${kernel}_` : "";
  const own = { g: "g", gain: "gain", u: "vector_u", v: "vector_v" };
  return Object.fromEntries(
    Object.entries(own).flatMap(([name, label]) => {
      const found = wrapper.weights.find((one) => last(one) === `${prefixes}${label}`);
      return found ? [[name, found.read()]] : [];
    }),
  );
}

/** Weights apart from where they start, so that g is not the length of v; u and v stay directions. */
function shaken(layer: Layer): void {
  layer.setWeights(
    layer.weights.map((variable, i) =>
      /vector/.test(variable.originalName)
        ? variable.read()
        : tf.add(variable.read(), tf.mul(random(variable.shape as number[], 40 + i), 0.3)),
    ),
  );
}

describe.each(backends)("%s", (backend) => {
  beforeAll(async () => {
    await use(backend);
    await evenkeel.install();
  });
  beforeEach(() => tf.engine().startScope());
  afterEach(() => tf.engine().endScope());

  const table = Object.keys(cases).flatMap((layer) =>
    (Object.keys(wrappers) as Wrapper[]).map((wrapper) => ({ layer, wrapper })),
  );

  describe.each(table)("$wrapper of $layer", ({ layer: name, wrapper: kind }) => {
    const { make, input, axes } = cases[name];
    /** A wrapper and a plain layer with the same weights. */
    const pair = () => {
      const wrapper = wrappers[kind](make());
      const reference = make();
      const x = input(1);
      wrapper.apply(x, { training: true });
      shaken(wrapper);
      wrapper.apply(x, { training: true });
      reference.apply(x);
      return { wrapper, reference, x };
    };
    /** The plain layer's weights in its order, kernels by the formula. */
    const normalized = (wrapper: evenkeel.WeightWrapper, read = (one: tf.Tensor) => one) =>
      wrapper.layer.weights.map((variable) => {
        const kernel = read(variable.read());
        const own = ownWeights(wrapper, last(variable));
        const mine = Object.fromEntries(Object.entries(own).map(([label, one]) => [label, read(one)]));
        return axes[last(variable)] ? composed(kind, kernel, axes[last(variable)], mine) : kernel;
      });

    it("is the plain layer with the normalized kernel", () => {
      const { wrapper, reference, x } = pair();
      const y = values(wrapper.apply(x) as tf.Tensor);
      const untouched = values(wrapper.layer.apply(x) as tf.Tensor);
      reference.setWeights(normalized(wrapper));
      close("output", y, values(reference.apply(x) as tf.Tensor));
      expect([...untouched], "the inner layer by itself").not.toEqual([...y]);
    });

    it("has the gradient of the composed formula, of all that it learns", () => {
      const { wrapper, reference, x } = pair();
      const dy = random((reference.apply(x) as tf.Tensor).shape, 5);
      const loss = (y: tf.Tensor) => tf.sum(tf.mul(y, dy)) as tf.Scalar;
      const learned = wrapper.trainableWeights.map((one) => one.read() as tf.Variable);
      const names = wrapper.trainableWeights.map(last);
      const { grads } = tf.variableGrads(() => loss(wrapper.apply(x) as tf.Tensor), learned);
      // the inner layer with kernels composed of variables of the test's own
      const own = new Map(wrapper.weights.map((one) => [one.read().id, tf.variable(one.read(), true)]));
      const composedLoss = () => {
        const made = normalized(wrapper, (one) => own.get(one.id) as tf.Tensor);
        for (const [i, variable] of reference.weights.entries())
          Object.assign(variable, { read: () => made[i] });
        return loss(reference.apply(x) as tf.Tensor);
      };
      const list = learned.map((one) => own.get(one.id) as tf.Variable);
      const expected = tf.variableGrads(composedLoss, list).grads;
      expect(names.length).toBeGreaterThan(kind === "spectralNormalization" ? 0 : Object.keys(axes).length);
      for (const [i, one] of learned.entries()) {
        close(names[i], values(grads[one.name]), values(expected[list[i].name]), 1e-4);
      }
    });

    it("gives the plain layer back, which gives the same", () => {
      const { wrapper, x } = pair();
      const before = values(wrapper.apply(x) as tf.Tensor);
      const own = wrapper.weights.length - wrapper.layer.weights.length;
      const tensors = tf.memory().numTensors;
      const inner = wrapper.remove();
      expect(tf.memory().numTensors, "what it learned is released").toBe(tensors - own);
      expect(inner).toBe(wrapper.layer);
      close("the inner layer", values(inner.apply(x) as tf.Tensor), before, 1e-6);
      close("the wrapper, still in its model", values(wrapper.apply(x) as tf.Tensor), before, 1e-6);
      expect(wrapper.weights.length).toBe(inner.weights.length);
      for (const { originalName } of inner.weights)
        expect(originalName.startsWith(`${inner.name}/`)).toBe(true);
    });

    it("trains, survives saving and cloning, comes off a model, and leaves no tensor behind", async () => {
      const x = input(2);
      const { shape } = make().apply(x) as tf.Tensor;
      const target = tf.tanh(random(shape, 9));
      const before = tf.memory().numTensors;
      const layers = [
        tfl.layers.inputLayer({ inputShape: x.shape.slice(1), dtype: x.dtype as "float32" }),
        wrappers[kind](make()),
      ];
      const model = tfl.sequential({ layers });
      const optimizer = tf.train.adam(0.02);
      model.compile({ optimizer, loss: "meanSquaredError" });
      await model.trainOnBatch(x, target);
      const stable = tf.memory().numTensors;
      const first = (await model.trainOnBatch(x, target)) as number;
      let loss = first;
      for (let step = 0; step < 8; step++) loss = (await model.trainOnBatch(x, target)) as number;
      expect(tf.memory().numTensors).toBe(stable);
      expect(loss).toBeLessThan(first);

      const output = model.predict(x) as tf.Tensor;
      const loaded = await tfl.loadLayersModel(tf.io.fromMemory(await artifacts(model)));
      const [original, copy] = [model, loaded].map((one) => one.layers[one.layers.length - 1]);
      expect(copy.constructor).toBe(original.constructor);
      // what JSON and TensorFlow.js's own layers make of options that were left out
      const config = (one: Layer) =>
        JSON.parse(JSON.stringify(one.getConfig(), (_, value) => value ?? undefined));
      const { dtype, ...kept } = config(copy).layer.config;
      expect({ ...config(copy), layer: null, ...kept }).toEqual({
        ...config(original),
        layer: null,
        ...config(original).layer.config,
      });
      const again = loaded.predict(x) as tf.Tensor;
      expect([...values(again)]).toEqual([...values(output)]);

      const bare = evenkeel.withoutWeightNormalization(model);
      const [inner] = bare.layers.slice(-1);
      expect(inner.getClassName()).toBe((original as evenkeel.WeightWrapper).layer.getClassName());
      const bareOutput = bare.predict(x) as tf.Tensor;
      close("without the wrapper", values(bareOutput), values(output), 1e-6);
      tf.dispose([output, again, bareOutput]);
      for (const one of [model, loaded, bare]) one.dispose();
      optimizer.dispose();
      expect(tf.memory().numTensors).toBe(before);
    });
  });

  it("weight normalization changes nothing at first, also of a layer that is built and trained", () => {
    const x = random([5, 4], 1);
    const layer = cases.dense.make();
    const before = values(layer.apply(x) as tf.Tensor);
    const wrapper = evenkeel.weightNormalization(layer);
    close("output", values(wrapper.apply(x) as tf.Tensor), before, 1e-6);
    const [kernel] = layer.getWeights();
    close("g", values(ownWeights(wrapper, "kernel").g), weightNormGain(plain(kernel)), 1e-6);
    expect(wrapper.weights.map((one) => one.originalName)).toEqual(
      ["kernel", "bias", "g"].map((name) => `${wrapper.name}/${name}`),
    );
  });

  it("the data-dependent start makes every pre-activation of mean 0 and variance 1", () => {
    const activation = "relu";
    const model = tfl.sequential({
      layers: [
        tfl.layers.inputLayer({ inputShape: [8, 8, 2] }),
        evenkeel.weightNormalization(tfl.layers.conv2d({ filters: 4, kernelSize: 3, activation })),
        evenkeel.weightNormalization(
          tfl.layers.depthwiseConv2d({ kernelSize: 2, depthMultiplier: 2, activation }),
        ),
        evenkeel.weightNormalization(tfl.layers.separableConv2d({ filters: 5, kernelSize: 2, activation })),
        evenkeel.weightNormalization(tfl.layers.conv2dTranspose({ filters: 3, kernelSize: 2, activation })),
        tfl.layers.flatten(),
        evenkeel.weightNormalization(tfl.layers.dense({ units: 6, activation: "tanh" })),
        tfl.layers.dense({ units: 1 }),
      ],
    });
    const wrapped = model.layers.filter((one) => one instanceof evenkeel.WeightNormalization);
    const x = tf.add(tf.mul(random([64, 8, 8, 2], 3), 5), 7);
    const before = tf.memory().numTensors;
    expect(evenkeel.initializeWeightNormalization(model, x)).toEqual(wrapped.map(({ name }) => name));
    expect(tf.memory().numTensors).toBe(before);
    const linear = (tfl.layers.activation({ activation: "linear" }) as unknown as { activation: unknown })
      .activation;
    let at = x as tf.Tensor;
    for (const layer of model.layers.slice(1)) {
      const y = layer.apply(at) as tf.Tensor;
      if (layer instanceof evenkeel.WeightNormalization) {
        const inner = layer.layer as unknown as { activation: unknown };
        const { activation: own } = inner;
        inner.activation = linear;
        const pre = layer.apply(at) as tf.Tensor;
        inner.activation = own;
        const { mean, variance } = tf.moments(pre, [...pre.shape.keys()].slice(0, -1));
        close(`${layer.name}: mean`, values(mean), new Float32Array(mean.size), 1e-4);
        close(`${layer.name}: variance`, values(variance), new Float32Array(mean.size).fill(1), 1e-3);
        expect([...values(pre)]).not.toEqual([...values(y)]);
      }
      at = y;
    }
    const bare = tfl.sequential({ layers: [tfl.layers.dense({ units: 1, inputShape: [2] })] });
    expect(() => evenkeel.initializeWeightNormalization(bare, tf.ones([3, 2]))).toThrow(
      `initializeWeightNormalization: ${bare.name} has no dense or convolutional layer with weight normalization; ` +
        "wrap some with weightNormalization(layer)",
    );
  });

  it("comes off functional models, models in models, and other wrappers", () => {
    const inner = tfl.sequential({
      layers: [evenkeel.spectralNormalization(tfl.layers.dense({ units: 3, inputShape: [4] }))],
    });
    const x = tfl.input({ shape: [5, 4] });
    const shared = evenkeel.weightNormalization(tfl.layers.dense({ units: 4, activation: "tanh" }));
    const twice = shared.apply(shared.apply(x)) as tfl.SymbolicTensor;
    const standard = evenkeel.weightStandardization(
      evenkeel.spectralNormalization(tfl.layers.dense({ units: 4 })),
    );
    const both = tfl.layers
      .add()
      .apply([twice, standard.apply(x) as tfl.SymbolicTensor]) as tfl.SymbolicTensor;
    const each = tfl.layers.timeDistributed({
      layer: evenkeel.weightNormalization(tfl.layers.dense({ units: 4 })),
    });
    const flat = tfl.layers.globalMaxPooling1d({}).apply(each.apply(both)) as tfl.SymbolicTensor;
    const model = tfl.model({ inputs: x, outputs: inner.apply(flat) as tfl.SymbolicTensor });
    const data = random([2, 5, 4], 3);
    model.layers.forEach((layer) => {
      shaken(layer);
    });
    model.apply(data, { training: true });
    const bare = evenkeel.withoutWeightNormalization(model);
    expect(JSON.stringify(bare.getConfig())).not.toMatch(/"className":"(Weight|Spectral)/);
    close("output", values(bare.predict(data)), values(model.predict(data)), 1e-6);
  });

  it("names with slashes, and chosen kernels, survive saving (tfjs issue 3004)", async () => {
    const model = tfl.sequential({
      layers: [
        evenkeel.weightNormalization(
          tfl.layers.lstm({ units: 3, recurrentInitializer: init(2), name: "cell/lstm" }),
          { name: "encoder/first/norm", kernels: ["recurrent_kernel"], inputShape: [4, 3] },
        ),
        residual(tfl.layers.dense({ units: 3, name: "a/b" }), { name: "encoder/block" }),
        evenkeel.spectralNormalization(
          evenkeel.weightNormalization(tfl.layers.dense({ units: 2, name: "c/d" })),
          {
            name: "head/last",
          },
        ),
      ],
    });
    const names = model.weights.map(({ originalName }) => originalName);
    expect(names).toEqual([
      "encoder/first/norm/kernel",
      "encoder/first/norm/recurrent_kernel",
      "encoder/first/norm/bias",
      "encoder/first/norm/g",
      "encoder/block/layer/kernel",
      "encoder/block/layer/bias",
      "encoder/block/normalization/gamma",
      "encoder/block/normalization/beta",
      "head/last/kernel",
      "head/last/bias",
      "head/last/g",
      "head/last/vector_u",
      "head/last/vector_v",
    ]);
    const x = random([2, 4, 3], 3);
    const loaded = await tfl.loadLayersModel(tf.io.fromMemory(await artifacts(model)));
    expect([...values(loaded.predict(x))]).toEqual([...values(model.predict(x))]);
  });

  it("an inner layer that throws leaves the variables as they were", () => {
    const layer = tfl.layers.dense({ units: 2, inputShape: [3] });
    const wrapper = evenkeel.weightNormalization(layer);
    wrapper.apply(tf.ones([1, 3]));
    const { call } = layer;
    layer.call = () => {
      throw new Error("inner");
    };
    expect(() => wrapper.apply(tf.ones([1, 3]))).toThrow("inner");
    layer.call = call;
    for (const variable of layer.weights) expect(Object.hasOwn(variable, "read")).toBe(false);
  });

  it("spectral normalization evaluates before any training step, and after weights were set", () => {
    const kernelInitializer = tfl.initializers.randomNormal({ seed: 3 });
    const layer = tfl.layers.dense({ units: 24, inputShape: [32], useBias: false, kernelInitializer });
    const wrapper = evenkeel.spectralNormalization(layer);
    const model = tfl.sequential({ layers: [wrapper] });
    const identity = tf.eye(32);
    /** Σ of squared singular values over the largest, which power iteration finds in many steps. */
    const largestSingular = () =>
      tf.tidy(() => {
        const w = model.predict(identity) as tf.Tensor2D;
        let v = tf.ones([24, 1]);
        for (let i = 0; i < 300; i++) {
          const u = tf.matMul(w, v) as tf.Tensor2D;
          v = tf.div(tf.matMul(w, u, true), tf.norm(tf.matMul(w, u, true)));
        }
        return tf.norm(tf.matMul(w, v)).dataSync()[0];
      });
    expect(largestSingular()).toBeLessThan(1.05);
    model.compile({ optimizer: "sgd", loss: "meanSquaredError" });
    for (let i = 0; i < 300; i++) wrapper.call(identity, { training: true });
    expect(largestSingular()).toBeCloseTo(1, 3);
    // vectors that are taken away are searched for again, whatever was known of them
    const weights = Object.fromEntries(
      wrapper.weights.map((one) => [one.originalName.split("/").pop(), one]),
    );
    const names = Object.keys(weights).filter((name) => /v$/.test(name));
    expect(names.length).toBe(1);
    for (const name of names) weights[name].write(tf.zerosLike(weights[name].read()));
    expect(largestSingular()).toBeCloseTo(1, 3); // from the u that is left
  });

  it("spectral normalization keeps u through saving, moves it in training alone, and finds the largest singular value", () => {
    const layer = tfl.layers.dense({ units: 3, useBias: false, kernelInitializer: init(3) });
    const wrapper = evenkeel.spectralNormalization(layer);
    wrapper.build([null, 4]);
    const u = () => [...values(ownWeights(wrapper, "kernel").u)];
    expect(wrapper.nonTrainableWeights.map(last)).toEqual(["vector_u", "vector_v"]);
    const started = u();
    expect(Math.hypot(...started)).toBeCloseTo(1, 6);
    wrapper.apply(tf.ones([1, 4]));
    expect(u()).toEqual(started);
    for (let i = 0; i < 60; i++) wrapper.apply(tf.ones([1, 4]), { training: true });
    expect(u()).not.toEqual(started);
    const kernel = layer.getWeights()[0] as tf.Tensor2D;
    const normalized = wrapper.apply(tf.eye(4)) as tf.Tensor2D;
    // no unit vector is stretched, and one is kept as long as it was: the largest eigenvalue of WᵀW is 1
    let power = tf.matMul(normalized, normalized, true, false);
    for (let i = 0; i < 6; i++) power = tf.matMul(power, power);
    expect(values(tf.sum(tf.mul(power, tf.eye(3))))[0]).toBeCloseTo(1, 3);
    expect(kernel.shape).toEqual([4, 3]);
  });

  it("spectral normalization learns the largest singular value with scale, and saves that it does", () => {
    const make = () => tfl.layers.dense({ units: 3, useBias: false, kernelInitializer: init(3) });
    const [plain, scaled] = [false, true].map((scale) => evenkeel.spectralNormalization(make(), { scale }));
    const x = tf.tensor(normal(8, 5), [2, 4]);
    for (const wrapper of [plain, scaled]) wrapper.build([null, 4]);
    expect(scaled.trainableWeights.map(last)).toEqual(["kernel", "gamma"]);
    expect(plain.trainableWeights.map(last)).toEqual(["kernel"]);
    const of = (wrapper: typeof plain) => values(wrapper.apply(x) as tf.Tensor);
    expectClose("at first", of(scaled), of(plain), () => 1e-6);
    const [, gamma] = scaled.trainableWeights;
    gamma.write(tf.tensor([2.5]));
    const larger = of(plain).map((value) => 2.5 * value);
    expectClose("y", of(scaled), larger, () => 1e-5);
    expect(scaled.getConfig().scale).toBe(true);
    expect(() => evenkeel.spectralNormalization(make(), { scale: true, inPlace: true })).toThrow(
      new RangeError(
        "SpectralNormalization: scale must be left out with inPlace, which replaces the kernel at each step; give one of them",
      ),
    );
  });

  it("takes other axes and other weights, and says what it has not", () => {
    const lstm = evenkeel.weightNormalization(cases.lstm.make(), { kernels: ["recurrent_kernel"] });
    lstm.build([null, 4, 3]);
    expect(lstm.trainableWeights.map(last)).toEqual(["kernel", "recurrent_kernel", "bias", "g"]);
    const rows = evenkeel.weightNormalization(cases.embedding.make(), { axis: 0, epsilon: 1e-6 });
    rows.build([null, 4]);
    expect(rows.trainableWeights.map((one) => one.shape)).toEqual([[6, 3], [6]]);
    const whole = evenkeel.weightNormalization(cases.dense.make(), { axis: null });
    whole.build([null, 4]);
    expect(whole.trainableWeights[2].shape).toEqual([1]);
    const build = (wrapper: Layer, shape: (number | null)[]) => () => wrapper.build(shape);
    const relu = tfl.layers.reLU({ name: "relu" });
    expect(build(evenkeel.weightNormalization(relu), [null, 4])).toThrow(
      new RangeError(
        "WeightNormalization: relu (ReLU) has no weight whose name ends in kernel, nor embeddings; it has none; " +
          "name some of these in kernels, or wrap another layer",
      ),
    );
    const dense = tfl.layers.dense({ units: 2, name: "d" });
    expect(build(evenkeel.spectralNormalization(dense, { kernels: ["filter"] }), [null, 4])).toThrow(
      "SpectralNormalization: d (Dense) has no weight called filter; it has kernel, bias; name some of these in kernels",
    );
    expect(() => evenkeel.spectralNormalization(dense, { powerIterations: 0 })).toThrow(
      new RangeError("spectralNorm: iterations must be an integer from 1 to 10000, got 0"),
    );
    expect(() => evenkeel.weightStandardization({} as Layer)).toThrow(
      new TypeError(
        "WeightStandardization: expected a layer to wrap, such as tf.layers.dense({ units: 8 }), got object",
      ),
    );
    const unregistered = { layer: { className: "Nowhere", config: {} } };
    expect(() =>
      evenkeel.WeightNormalization.fromConfig(evenkeel.WeightNormalization as never, unregistered),
    ).toThrow('WeightNormalization: the inner layer is of class "Nowhere", which is not registered');
  });

  it("freezes and thaws with the inner layer", () => {
    const wrapper = evenkeel.weightNormalization(tfl.layers.dense({ units: 2 }));
    wrapper.build([null, 3]);
    wrapper.trainable = false;
    expect(wrapper.trainableWeights).toEqual([]);
    expect(wrapper.nonTrainableWeights.map(last)).toEqual(["kernel", "bias", "g"]);
    wrapper.trainable = true;
    expect(wrapper.trainableWeights.map(last)).toEqual(["kernel", "bias", "g"]);
  });

  it("knows no layer of these names among the normalizations of activations", () => {
    for (const norm of [weightNorm, spectralNorm, weightStandardization]) {
      expect(norm.about.takes).toBe("weight");
      expect(Object.keys(evenkeel.layers)).not.toContain(norm.about.name.replace(/Norm$/, "Normalization"));
    }
  });

  const goldens = addons.cases.filter(
    ({ of, name }) => of === "layers.WeightNormalization" && /False/.test(name),
  ) as unknown as Golden[];
  it.each(goldens)("is as TensorFlow Addons has it: $name", ({ weights: { kernel, bias }, steps }) => {
    const tensor = ({ data, shape }: Golden["weights"][string]) => tf.tensor(data, shape);
    const units = kernel.shape[kernel.shape.length - 1];
    const layer =
      kernel.shape.length === 2
        ? tfl.layers.dense({ units })
        : tfl.layers.conv2d({ filters: units, kernelSize: kernel.shape[0] });
    layer.build([null, ...steps[0].inputs[0].shape.slice(1)]);
    layer.setWeights([tensor(kernel), tensor(bias)]);
    // g starts with the lengths of the kernel, as theirs does in the first step
    const wrapper = evenkeel.weightNormalization(layer);
    for (const [i, { inputs, outputs, upstream, gradients }] of steps.entries()) {
      const call = () => wrapper.apply(tensor(inputs[0])) as tf.Tensor;
      close("outputs", values(call()), outputs[0].data);
      // the gradients of their first step pass by the g that it set
      if (!gradients || !upstream || i === 0) continue;
      const learned = wrapper.trainableWeights.map((one) => one.read() as tf.Variable);
      const loss = () => tf.sum(tf.mul(call(), tensor(upstream[0]))) as tf.Scalar;
      const { grads } = tf.variableGrads(loss, learned);
      for (const [j, variable] of wrapper.trainableWeights.entries()) {
        close(last(variable), values(grads[learned[j].name]), gradients.weights[last(variable)].data, 1e-4);
      }
    }
  });
});

interface Golden {
  name: string;
  weights: Record<string, { shape: number[]; data: number[] }>;
  steps: {
    inputs: Golden["weights"][string][];
    outputs: Golden["weights"][string][];
    upstream?: Golden["weights"][string][];
    gradients?: { weights: Golden["weights"] };
  }[];
}

describe("models of other wrappers", () => {
  beforeAll(async () => {
    await use("cpu");
    await install();
  });

  const values = (model: tfl.LayersModel, x: tf.Tensor) => (model.predict(x) as tf.Tensor).dataSync();
  const wrapped = (options = {}) =>
    weightNormalization(tfl.layers.dense({ units: 6, kernelInitializer: "glorotNormal", ...options }));

  it.each<[string, () => tfl.layers.Layer[], number[]]>([
    ["beside a residual block", () => [wrapped(), residual(tfl.layers.dense({ units: 6 }))], [6]],
    ["in a residual block", () => [residual(wrapped())], [6]],
    [
      "beside a bidirectional layer",
      () => [
        tfl.layers.timeDistributed({ layer: wrapped() }),
        tfl.layers.bidirectional({
          layer: tfl.layers.gru({ units: 2, recurrentInitializer: "glorotNormal" }) as never,
          mergeMode: "concat",
        }) as unknown as tfl.layers.Layer,
      ],
      [3, 6],
    ],
    [
      "around a layer with a constraint",
      () => [wrapped({ kernelConstraint: tfl.constraints.maxNorm({ maxValue: 0.1, axis: 0 }) })],
      [6],
    ],
  ])("%s", (_, make, shape) => {
    const input = tfl.input({ shape });
    let y: tfl.SymbolicTensor = input;
    for (const layer of make()) y = layer.apply(y) as tfl.SymbolicTensor;
    const model = tfl.model({ inputs: input, outputs: y });
    const x = tf.randomNormal([4, ...shape]);
    expectClose(
      "y",
      values(withoutWeightNormalization(model), x) as Float32Array,
      values(model, x) as Float32Array,
      () => 1e-5,
    );
  });

  it("a layer is in one wrapper, and a wrapper that was removed is not saved", () => {
    const dense = tfl.layers.dense({ units: 6, name: "shared" });
    weightNormalization(dense, { name: "first" }).build([null, 6]);
    expect(() => weightNormalization(dense).build([null, 6])).toThrow(
      "WeightNormalization: shared is already inside first, under whose name its weights are saved; give each wrapper its own layer",
    );
    const wrapper = weightNormalization(tfl.layers.dense({ units: 6 }), { name: "once" });
    wrapper.build([null, 6]);
    const inner = wrapper.remove();
    expect(() => wrapper.getConfig()).toThrow("WeightNormalization: once was removed, and cannot be saved");
    expect(() => weightNormalization(inner).build([null, 6])).not.toThrow();
  });
});
