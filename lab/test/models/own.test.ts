/** A network of the user's own: normalizations where it asks for them, the rest the same for a seed, and what is refused. */
import * as tf from "@tensorflow/tfjs-core";
import type { LayersModel } from "@tensorflow/tfjs-layers";
import { beforeAll, describe, expect, test } from "vitest";
import type { Form } from "../../src/data/form.js";
import { UsageError } from "../../src/errors.js";
import { buildNetwork, type Network } from "../../src/models/network.js";
import { type OwnArgs, type OwnFacts, type OwnNetwork, ownModel } from "../../src/models/own.js";
import { startTensorFlow } from "../../src/node/tensorflow.js";
import type { NormName } from "../../src/norms.js";

beforeAll(startTensorFlow);

const table: Form = { input: { kind: "features", shape: [6] }, outputs: [3] };
const usual = { depth: 1, width: 1, activation: "relu" } as const;

const build = (make: OwnNetwork, norm: NormName, form = table, seed = 1, found?: (facts: OwnFacts) => void) =>
  buildNetwork(ownModel("mine", "mine.ts", make, found), usual, norm, form, seed);

const dense: OwnNetwork = ({ norm, inputShape, outputs, tf: { layers, sequential } }) =>
  sequential({
    layers: [
      layers.dense({ units: 24, inputShape }),
      norm(),
      layers.activation({ activation: "relu" }),
      norm.weights(layers.dense({ units: 10 })),
      norm(),
      layers.dense({ units: outputs, activation: "softmax" }),
    ],
  });

const classes = ({ model }: Network) => model.layers.map((layer) => layer.getClassName());
const kernels = ({ model, kernels: names }: Network) =>
  names.map((name) => {
    const weight = model.trainableWeights.find((each) => each.name === name);
    return Array.from(weight?.read().dataSync() ?? []);
  });

test("norm() is the normalization that is compared, of options that suit its width; without one nothing", () => {
  const none = build(dense, "none");
  expect(classes(none)).toEqual([
    "InputLayer",
    "Dense",
    "Activation",
    "Activation",
    "Dense",
    "Activation",
    "Dense",
  ]);
  const group = build(dense, "group");
  expect(classes(group).filter((name) => /Norm/.test(name))).toEqual([
    "GroupNormalization",
    "GroupNormalization",
  ]);
  // at least four channels in each
  expect(
    group.model.layers.filter(({ name }) => /group/.test(name)).map((layer) => layer.getConfig().groups),
  ).toEqual([6, 2]);
  const weight = build(dense, "weight");
  expect(classes(weight).filter((name) => /Norm/.test(name))).toEqual(["WeightNormalization"]);
});

test("what is probed: every kernel in its order, and what follows each normalization", () => {
  for (const norm of ["none", "layer", "weight"]) {
    const network = build(dense, norm);
    expect([norm, kernels(network).map(({ length }) => length)]).toEqual([norm, [144, 240, 30]]);
    expect(network.blocks.map((layer) => layer.getClassName())).toEqual([
      "Activation",
      norm === "layer" ? "LayerNormalization" : "Activation",
    ]);
  }
});

test("an activation that several normalizations share is the block of none", () => {
  const shared: OwnNetwork = ({ norm, inputShape, outputs, tf: { layers, model, input } }) => {
    const relu = layers.activation({ activation: "relu" });
    const x = input({ shape: inputShape });
    const block = (from: typeof x) => relu.apply(norm(layers.dense({ units: 8 }).apply(from) as typeof x));
    const last = layers.dense({ units: outputs }).apply(block(block(x) as typeof x)) as typeof x;
    return model({ inputs: x, outputs: last });
  };
  const { blocks } = build(shared, "layer");
  expect(blocks.map((layer) => layer.getClassName())).toEqual(["LayerNormalization", "LayerNormalization"]);
});

test("of one seed, all but the normalization is the same; of another, it is not", () => {
  const [none, layer, spectral, other] = [
    build(dense, "none"),
    build(dense, "layer"),
    build(dense, "spectral"),
    build(dense, "none", table, 2),
  ].map(kernels);
  expect(layer).toEqual(none);
  expect(spectral).toEqual(none);
  expect(other[0]).not.toEqual(none[0]);
  // no two are one
  expect(none[0].slice(0, 30)).not.toEqual(none[2]);
});

test("an initializer with a seed of its own keeps it, and one without is left without", () => {
  const given: { seed?: number }[] = [];
  const seeded: OwnNetwork = ({ norm, inputShape, outputs, tf: { layers, sequential, initializers } }) => {
    const own = initializers.glorotUniform({ seed: 7 });
    const none = initializers.glorotUniform({});
    given.push(none as { seed?: number });
    return sequential({
      layers: [
        layers.dense({ units: 6, inputShape, kernelInitializer: own }),
        norm(),
        layers.dense({ units: 6, kernelInitializer: none }),
        layers.dense({ units: outputs, kernelInitializer: none }),
      ],
    });
  };
  const [one, two] = [build(seeded, "none", table, 1), build(seeded, "none", table, 2)].map(kernels);
  expect(two[0]).toEqual(one[0]);
  expect(two[1]).not.toEqual(one[1]);
  expect(one[2]).not.toEqual(one[1].slice(0, 18));
  expect(given.map(({ seed }) => seed ?? null)).toEqual([null, null]);
});

test.each<[string, (args: OwnArgs, x: object) => object]>([
  [
    "an activation of the last layer",
    ({ outputs, tf: { layers } }, x) =>
      layers.dense({ units: outputs, activation: "softmax" }).apply(x as never),
  ],
  [
    "a layer of its own",
    ({ outputs, tf: { layers } }, x) =>
      layers.softmax().apply(layers.dense({ units: outputs }).apply(x as never)),
  ],
  [
    "an activation layer",
    ({ outputs, tf: { layers } }, x) =>
      layers.activation({ activation: "softmax" }).apply(layers.dense({ units: outputs }).apply(x as never)),
  ],
  [
    "in a layer of a model within it",
    ({ outputs, tf: { layers, sequential } }, x) =>
      sequential({
        layers: [
          layers.dense({ units: outputs, inputShape: [6] }),
          layers.activation({ activation: "softmax" }),
        ],
      }).apply(x as never),
  ],
  [
    "in a layer whose weights are normalized",
    ({ norm, outputs, tf: { layers } }, x) =>
      norm.weights(layers.dense({ units: outputs, activation: "softmax" })).apply(x as never),
  ],
])("a last softmax is taken off: %s", (_, end) => {
  let facts: OwnFacts | undefined;
  const make: OwnNetwork = (args) => {
    const inputs = args.tf.input({ shape: args.inputShape });
    return args.tf.model({ inputs, outputs: end(args, args.norm(inputs)) as never });
  };
  const { model } = build(make, "layer", table, 1, (found) => {
    facts = found;
  });
  const outputs = (
    model.predict(tf.randomNormal([2, 6], 0, 1, "float32", 3)) as tf.Tensor
  ).arraySync() as number[][];
  expect(outputs.flat().some((value) => value < 0)).toBe(true);
  expect(facts).toMatchObject({ norms: 1, takenOff: "softmax" });
});

test("a forecast may come in one row; a network within a network is walked; time-distributed too", () => {
  const series: Form = { input: { kind: "series", shape: [8, 2] }, outputs: [4, 2] };
  const make: OwnNetwork = ({ norm, inputShape, outputs, tf: { layers, sequential } }) => {
    const inner = sequential({
      layers: [
        layers.timeDistributed({ layer: layers.dense({ units: 5 }), inputShape }),
        layers.timeDistributed({ layer: norm() }),
      ],
    });
    return sequential({ layers: [inner, layers.flatten(), layers.dense({ units: outputs })] });
  };
  for (const norm of ["layer", "layer+reversible-instance"]) {
    const network = build(make, norm, series);
    const [y, more] = [network.model.predict(tf.ones([3, 8, 2]))].flat() as tf.Tensor[];
    expect([norm, y.shape, more]).toEqual([norm, [3, 4, 2], undefined]);
    expect(network.blocks.map((layer) => layer.getClassName())).toEqual(["LayerNormalization"]);
    expect(kernels(network).map(({ length }) => length)).toEqual([10, 320]);
  }
});

test("a language model gives for each token what follows, without its softmax", () => {
  const tokens: Form = { input: { kind: "tokens", shape: [5], vocabulary: 7 }, outputs: [5, 8] };
  const given: unknown[] = [];
  const make: OwnNetwork = ({ norm, inputShape, outputs, vocabulary = 0, tf: { layers, sequential } }) => {
    given.push(inputShape, outputs, vocabulary);
    return sequential({
      layers: [
        layers.embedding({ inputDim: vocabulary + 1, outputDim: 4, inputLength: inputShape[0] }),
        norm(),
        layers.timeDistributed({ layer: layers.dense({ units: outputs, activation: "softmax" }) }),
      ],
    });
  };
  let facts: OwnFacts | undefined;
  const { model } = build(make, "layer", tokens, 1, (found) => {
    facts = found;
  });
  expect([given, facts?.takenOff]).toEqual([[[5], 8, 7], "softmax"]);
  const outputs = model.predict(tf.ones([2, 5])) as tf.Tensor;
  expect(outputs.shape).toEqual([2, 5, 8]);
  expect(Math.min(...outputs.dataSync())).toBeLessThan(0);
});

test("categories are embedded before it", () => {
  const form: Form = {
    input: { kind: "features", shape: [6], categories: [{ at: 1, levels: 9 }] },
    outputs: [3],
  };
  let width = 0;
  const { model } = build(
    (args) => {
      [width] = args.inputShape;
      return dense(args);
    },
    "layer",
    form,
  );
  expect(width).toBe(6 - 1 + 5);
  expect((model.predict(tf.ones([2, 6])) as tf.Tensor).shape).toEqual([2, 3]);
});

test("saved and loaded, it gives the same", async () => {
  const { layers } = await import("../../src/models/tensorflow.js");
  expect(layers.layerNormalization).toBeDefined();
  const tfl = await import("@tensorflow/tfjs-layers");
  for (const categories of [[], [{ at: 1, levels: 9 }]]) {
    const { model } = build(dense, "group", { ...table, input: { ...table.input, categories } });
    let saved: tf.io.ModelArtifacts = {};
    await model.save(
      tf.io.withSaveHandler(async (artifacts) => {
        saved = artifacts;
        return { modelArtifactsInfo: { dateSaved: new Date(), modelTopologyType: "JSON" } };
      }),
    );
    const loaded: LayersModel = await tfl.loadLayersModel(tf.io.fromMemory(saved));
    const x = tf.tensor2d([
      [1, 2, 0.5, -1, 3, 0],
      [0, 7, -2, 1, 1, 2],
    ]);
    const [was, is] = [model, loaded].map((each) => Array.from((each.predict(x) as tf.Tensor).dataSync()));
    expect(is).toEqual(was);
  }
});

describe("is refused with what to do", () => {
  const layersOf = ({ tf: { layers } }: OwnArgs) => layers;
  test.each<[string, OwnNetwork, string]>([
    [
      "no model",
      () => 7,
      "expected a model, such as tf.sequential({ layers }) or tf.model({ inputs, outputs }), got a number; return the model",
    ],
    [
      "nothing",
      () => undefined,
      "expected a model, such as tf.sequential({ layers }) or tf.model({ inputs, outputs }), got nothing; return the model",
    ],
    [
      "a promise",
      async () => 7,
      "expected the model itself, got a promise of it; make the function one without async, and await what it needs at the top of the module",
    ],
    [
      "a model of another TensorFlow.js",
      () => ({ predict: () => 0 }),
      "expected a model of the lab's TensorFlow.js, got one of another copy; make it with the tf that the function is given",
    ],
    [
      "no normalization",
      (args) => args.tf.sequential({ layers: [layersOf(args).dense({ units: 3, inputShape: [6] })] }),
      "expected a network that asks for its normalizations, got one that never calls norm(); put norm() wherever a normalization is to stand",
    ],
    [
      "a normalization that is in no network",
      (args) => {
        args.norm();
        return args.tf.sequential({ layers: [layersOf(args).dense({ units: 3, inputShape: [6] })] });
      },
      "expected a network with the layers that norm() gave, got one without any of them; put them between its other layers",
    ],
    [
      "another input",
      (args) => dense({ ...args, inputShape: [7] }),
      "expected a network that takes [batch, 6], as an example of the data has it, got one that takes [batch, 7]; use the inputShape that the function is given",
    ],
    [
      "other outputs",
      (args) => dense({ ...args, outputs: 1 }),
      "expected a network that gives [batch, 3], as the task needs it, got one that gives [batch, 1]; let its last layer have as many units as the outputs that the function is given (3)",
    ],
    [
      "an output for each step",
      (args) => {
        const { layers } = args.tf;
        return args.tf.sequential({
          layers: [
            layers.reshape({ targetShape: [2, 3], inputShape: [6] }),
            args.norm(),
            layers.dense({ units: 3 }),
          ],
        });
      },
      "expected a network that gives [batch, 3], as the task needs it, got one that gives [batch, 2, 3]; let it give one for each example: put tf.layers.flatten() before its last layer, or leave out returnSequences",
    ],
    [
      "a softmax that cannot be taken off",
      (args) => {
        const { layers } = args.tf;
        const end = args.tf.sequential({
          layers: [layers.dense({ units: 3, inputShape: [6] }), layers.softmax()],
          name: "end",
        });
        return args.tf.sequential({
          layers: [layers.dense({ units: 6, inputShape: [6] }), args.norm(), end],
        });
      },
      "expected a network without a softmax at its end, got one within end; leave it out: the loss takes what comes before it",
    ],
    [
      "norm of a layer",
      (args) => (args.norm as unknown as (layer: object) => object)(layersOf(args).dense({ units: 3 })),
      "norm(layer): expected norm() for a layer of its own, or norm.weights(layer) to normalize its weights",
    ],
    [
      "norm of a number",
      ({ norm }) => (norm as unknown as (units: number) => object)(64),
      "norm(…): expected nothing, or what is to be normalized, got a number; call norm()",
    ],
    [
      "weights of no layer",
      ({ norm }) => norm.weights(64 as never),
      "norm.weights(…): expected a layer, such as tf.layers.dense({ units: 64 }), got a number",
    ],
  ])("%s", (_, make, problem) => {
    expect(() => build(make, "layer")).toThrow(new UsageError(`mine.ts: ${problem}`));
  });

  test("layers that two networks share", () => {
    let first: object | undefined;
    const make: OwnNetwork = ({ norm, inputShape, outputs, tf: { layers, sequential } }) => {
      first ??= layers.dense({ units: 4, inputShape, name: "mine" });
      return sequential({ layers: [first as never, norm(), layers.dense({ units: outputs })] });
    };
    build(make, "layer");
    expect(() => build(make, "layer")).toThrow(
      "mine.ts: expected a new network from each call, got one with mine/kernel, which another has too; make all layers within the function",
    );
  });
});
