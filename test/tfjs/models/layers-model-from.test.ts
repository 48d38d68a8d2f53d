/** Architectures that Keras 2 and 3 wrote (test/fixtures/architectures) build, take their weights, and give Keras's outputs. */
import * as tf from "@tensorflow/tfjs-core";
import * as tfl from "@tensorflow/tfjs-layers";
import { beforeAll, describe, expect, it, vi } from "vitest";
import type { Checkpoint, Module } from "../../../src/checkpoints/checkpoint.js";
import { CheckpointError, open } from "../../../src/checkpoints/index.js";
import { madeTensor } from "../../../src/checkpoints/tensors.js";
import { layersModelFrom } from "../../../src/tfjs/index.js";
import { itWithModel, modelFile } from "../../checkpoints/support/shared-models.js";
import keras2 from "../../fixtures/architectures/keras2.json" with { type: "json" };
import keras3 from "../../fixtures/architectures/keras3.json" with { type: "json" };
import { expectClose, largest, random } from "../../support/numerics.js";
import { artifacts } from "../../support/tfjs-artifacts.js";
import { use } from "../../support/tfjs-backends.js";

interface Listed {
  shape: number[];
  values: number[];
}

interface Saved {
  topology: Record<string, unknown>;
  /** By the layer's path; in Keras's order, by its numbers. */
  layers: Record<string, Record<string, Listed>>;
  inputs: Listed[];
  outputs: Listed[];
}

/** What a reader gives of such a file. */
function checkpointOf({ topology, layers }: Pick<Saved, "topology" | "layers">, version: string): Checkpoint {
  const modules: Module[] = Object.entries(layers).map(([name, weights]) => ({
    name,
    type: "",
    config: {},
    tensors: Object.fromEntries(
      Object.entries(weights).map(([local, { shape, values }]) => [
        local,
        madeTensor({
          name: `${name}/${local}`,
          shape,
          dtype: "float32",
          at: { file: "model", byteLength: 4 * values.length },
          read: async () => Float32Array.from(values),
        }),
      ]),
    ),
  }));
  const tensors = new Map(
    modules.flatMap((module) => Object.values(module.tensors).map((one) => [one.name, one])),
  );
  return {
    format: "Keras",
    framework: version.startsWith("3") ? "keras3" : "keras2",
    version,
    file: "model.keras",
    byteLength: 0,
    metadata: version.startsWith("1.") ? { backend: "theano" } : {},
    tensors,
    others: new Map(),
    modules,
    architecture: { topology, version },
  };
}

const saved = Object.values({ keras2, keras3 }).flatMap(({ version, models }) =>
  Object.entries(models as unknown as Record<string, Saved>).map(([name, file]) => ({ version, name, file })),
);

describe("layersModelFrom", () => {
  beforeAll(() => use("cpu"));

  it.each(saved)("Keras $version: $name", async ({ version, file }) => {
    const model = await layersModelFrom(checkpointOf(file, version));
    const inputs = file.inputs.map(({ shape, values }) => tf.tensor(values, shape));
    const outputs = [model.predict(inputs.length === 1 ? inputs[0] : inputs)].flat();
    expect(outputs).toHaveLength(file.outputs.length);
    for (const [i, { shape, values }] of file.outputs.entries()) {
      expect(outputs[i].shape).toEqual(shape);
      expectClose(`output ${i}`, outputs[i].dataSync() as Float32Array, values, () => 1e-5 * largest(values));
    }
  });

  /** The first values for x[i] = (7919 i mod 1000) / 1000: of Keras 2.15 and 3.12, of Keras 1 by its formulas with numpy. */
  const others: [name: string, shape: number[], first: number[]][] = [
    [
      "keras-h5/fer-emotion_model.hdf5",
      [64, 64, 1],
      [5.3978974e-6, 3.7229279e-14, 6.3823645e-6, 0.0010987096, 7.572978e-5, 0.99881374],
    ],
    [
      "keras-h5/dl4j-batch_to_conv2d_theano_1.h5",
      [100],
      [0.43018016, -0.07296383, -0.4202689, 0.39518884, 0.05317217, 0.17534144],
    ],
    [
      "keras-h5/dl4j-batch_to_conv2d_tensorflow_2.h5",
      [100],
      [-0.21650906, 0.23638365, -8.51609e-4, -0.32371986, -0.24386153, 1.0505935],
    ],
    [
      "keras3/arnav-best_model.keras",
      [28, 28, 1],
      [1.507678e-8, 1.400438e-6, 5.908476e-6, 1.1268815e-8, 0.80173516, 0.00450233],
    ],
  ];
  for (const [name, shape, expected] of others) {
    itWithModel(name)(`of others: ${name}`, async () => {
      const model = await layersModelFrom(await open(modelFile(name)));
      const length = shape.reduce((a, b) => a * b, 1);
      const x = tf.tensor(
        Float32Array.from({ length }, (_, i) => ((i * 7919) % 1000) / 1000),
        [1, ...shape],
      );
      const y = (model.predict(x) as tf.Tensor).dataSync().slice(0, expected.length) as Float32Array;
      expectClose(name, y, expected, () => 1e-5 * largest(expected));
    });
  }

  /** A model of a layer, as Keras writes it. */
  const sequential = (className: string, config: object, more: object = {}) => ({
    class_name: "Sequential",
    config: {
      name: "net",
      layers: [
        { class_name: "InputLayer", config: { batch_shape: [null, 4, 4, 2], name: "x" } },
        { class_name: className, config: { name: "layer", ...config }, ...more },
      ],
    },
  });
  const kerasTensor = (name: string) => ({
    class_name: "__keras_tensor__",
    config: { shape: [null, 4], dtype: "float32", keras_history: [name, 0, 0] },
  });
  const call = (...inputs: unknown[]) => [inputs.map((name) => [name, 0, 0, {}])];
  const graph = (nodes: Record<string, unknown[]>, output: unknown[]) => ({
    class_name: "Functional",
    config: {
      name: "net",
      layers: [
        {
          class_name: "InputLayer",
          name: "x",
          config: { batch_shape: [null, 2], name: "x" },
          inbound_nodes: [],
        },
        ...Object.entries(nodes).map(([name, inbound_nodes]) => ({
          class_name: "Dense",
          name,
          config: { name, units: 2 },
          inbound_nodes,
        })),
      ],
      input_layers: [["x", 0, 0]],
      output_layers: [output],
    },
  });
  const BUILD = "build the model in TensorFlow.js and load its weights with loadInto(model, checkpoint)";

  it.each<[string, Record<string, unknown>, string]>([
    [
      "an unknown class",
      sequential("Wavelet", {}),
      'layer "layer": its class Wavelet is not known; register it with tf.serialization.registerClass, or build the model yourself and ' +
        "load its weights with loadInto(model, checkpoint)",
    ],
    [
      "a class by a name that every object has",
      sequential("constructor", {}),
      'layer "layer": its class constructor is not known',
    ],
    [
      "a Lambda",
      sequential("Lambda", {}),
      `layer "layer": its class Lambda is not one of TensorFlow.js's layers models; ${BUILD}`,
    ],
    [
      "attention",
      sequential("AdditiveAttention", {}),
      `layer "layer": its class AdditiveAttention is not one of TensorFlow.js's layers models; ${BUILD}`,
    ],
    [
      "groups that do not divide the channels",
      sequential("Conv2D", { filters: 3, kernel_size: 1, groups: 3 }),
      'layer "layer": TensorFlow.js does not make this GroupedConv2D: GroupedConv2D: groups must divide the 2 channels and 3 filters, got 3',
    ],
    [
      "two halves of a bidirectional layer that differ",
      sequential("Bidirectional", {
        layer: { class_name: "LSTM", config: { name: "a", units: 2 } },
        backward_layer: {
          class_name: "LSTM",
          config: { name: "b", units: 2, activation: "relu", go_backwards: true },
        },
      }),
      `layer "layer": its backward_layer is not like its forward one, as TensorFlow.js has it; ${BUILD}`,
    ],
    [
      "preprocessing",
      sequential("TextVectorization", { vocabulary: ["a"] }),
      'layer "layer": TensorFlow.js does not have this preprocessing; save the model without it, from the layer after it, and do it ' +
        "before predict",
    ],
    [
      "quantized weights",
      sequential("Dense", {
        units: 2,
        dtype: { class_name: "QuantizedDTypePolicy", config: { mode: "int8", source_name: "float32" } },
      }),
      'layer "layer": its weights are quantized (int8); save the model before it is quantized',
    ],
    [
      "a layer with options as an activation",
      sequential("Dense", {
        units: 2,
        activation: { class_name: "ReLU", config: { name: "relu", max_value: 0.5 } },
      }),
      'layer "layer": a ReLU with options of its own as an activation is not supported; make it a layer after this one',
    ],
    [
      "an operation by an index that the model computes",
      sequential(
        "GetItem",
        {},
        {
          module: "keras.src.ops.numpy",
          inbound_nodes: [{ args: [kerasTensor("x"), [kerasTensor("y")]], kwargs: {} }],
        },
      ),
      'layer "layer": it is the operation GetItem, whose index is computed by the model, which is not supported',
    ],
    [
      "an activation of a program's own",
      sequential("Dense", {
        units: 2,
        activation: { class_name: "function", config: "snake", registered_name: "snake" },
      }),
      'layer "layer": the activation "snake" is not known to TensorFlow.js; register a class of that name with tf.serialization.registerClass',
    ],
    [
      "what TensorFlow.js does not make",
      sequential("Dense", { units: -1 }),
      'layer "layer": TensorFlow.js does not make this Dense: ',
    ],
    [
      "a model in code",
      { class_name: "MyModel", config: { name: "net" } },
      `layer "net": it is a model of its own class MyModel, whose layers are in code: expected Sequential or Functional; ${BUILD}`,
    ],
    [
      "axes that no array has",
      sequential("PReLU", { shared_axes: [1e9, 2] }),
      `layer "layer": shared_axes [1000000000, 2] are none of its input; ${BUILD}`,
    ],
    [
      "attention with a mask",
      sequential(
        "MultiHeadAttention",
        { num_heads: 1, key_dim: 2 },
        {
          inbound_nodes: [
            { args: [kerasTensor("x"), kerasTensor("x")], kwargs: { attention_mask: kerasTensor("x") } },
          ],
        },
      ),
      `layer "layer": its attention_mask is not supported; ${BUILD}`,
    ],
    [
      "a mask of the model's own",
      graph({ a: [{ args: [kerasTensor("x")], kwargs: { mask: kerasTensor("x") } }] }, ["a", 0, 0]),
      `layer "a": it is called with a mask of the model's own: TensorFlow.js has those of Embedding and Masking alone; ${BUILD}`,
    ],
    [
      "a circle",
      graph({ a: call("b"), b: call("a") }, ["b", 0, 0]),
      'layer "a": its inputs come from its own output, or from a layer that is never called',
    ],
    [
      "a layer that is not there",
      graph({ a: call("y") }, ["a", 0, 0]),
      'layer "net": it refers to a layer "y", which there is not',
    ],
    [
      "a call that is not there",
      graph({ a: call("x") }, ["a", 3, 0]),
      'layer "net": it refers to call 3 of "a", which has 1',
    ],
    [
      "an output that is not there",
      graph({ a: call("x") }, ["a", 0, 2]),
      'layer "a": expected an output 2, it has 1',
    ],
    [
      "an operation that is no layer",
      sequential("Sort", {}, { module: "keras.src.ops.numpy" }),
      'layer "layer": it is the operation Sort, which is no layer',
    ],
    [
      "a model that was never built",
      {
        class_name: "Sequential",
        config: { name: "net", layers: [{ class_name: "Dense", config: { name: "d", units: 2 } }] },
      },
      'layer "d": the shape of the model\'s input is not in the file: it was saved before it was built',
    ],
  ])("%s", async (_, topology, message) => {
    const error = await layersModelFrom(checkpointOf({ topology, layers: {} }, "3.12.0")).catch(
      (thrown) => thrown,
    );
    expect(error).toBeInstanceOf(CheckpointError);
    expect(error.message).toContain(`model.keras (Keras): ${message}`);
  });

  it("no backend", async () => {
    vi.spyOn(tf.engine(), "backendNames").mockReturnValueOnce([]);
    const checkpoint = checkpointOf({ topology: {}, layers: {} }, "3.12.0");
    await expect(layersModelFrom(checkpoint)).rejects.toThrow(
      "layersModelFrom: expected a backend of TensorFlow.js, none is loaded; import one, such as @tensorflow/tfjs-backend-wasm",
    );
  });

  it("training in evaluation, which Keras 2 keeps and Keras 3 does not", async () => {
    const topology = graph({ a: [[["x", 0, 0, { training: true }]]] }, ["a", 0, 0]);
    const layers = { a: { 0: { shape: [2, 2], values: [1, 2, 3, 4] }, 1: { shape: [2], values: [0, 0] } } };
    await expect(layersModelFrom(checkpointOf({ topology, layers }, "2.15.0"))).rejects.toThrow(
      'layer "a": it is called with training true, in evaluation too, which TensorFlow.js\'s models cannot',
    );
    expect((await layersModelFrom(checkpointOf({ topology, layers }, "3.12.0"))).outputs).toHaveLength(1);
  });

  it("weights alone", async () => {
    const { architecture: _, ...checkpoint } = checkpointOf({ topology: {}, layers: {} }, "3.12.0");
    await expect(layersModelFrom(checkpoint)).rejects.toThrow(
      `model.keras (Keras): expected the layers of a Keras model, it has none; ${BUILD}`,
    );
  });

  it("a model with weights missing is refused, and leaves no tensors", async () => {
    const checkpoint = checkpointOf({ topology: sequential("Dense", { units: 2 }), layers: {} }, "3.12.0");
    const { numTensors } = tf.memory();
    await expect(layersModelFrom(checkpoint)).rejects.toThrow(
      "nothing fits layer (Dense: kernel [2, 2], bias [2])",
    );
    expect(tf.memory().numTensors).toBe(numTensors);
  });

  it("is saved and loaded by TensorFlow.js", async () => {
    const { version, models } = keras3 as unknown as { version: string; models: Record<string, Saved> };
    const sequences = Object.keys(models).filter((name) => models[name].inputs.length === 1);
    for (const name of sequences) {
      const model = await layersModelFrom(checkpointOf(models[name], version));
      const again = await tfl.loadLayersModel(tf.io.fromMemory(await artifacts(model)));
      const x = tf.tensor(models[name].inputs[0].values, models[name].inputs[0].shape);
      const [y, z] = [model, again].map((one) => ([one.predict(x)].flat() as tf.Tensor[])[0].dataSync());
      expectClose(name, z as Float32Array, y as Float32Array, () => 1e-6 * largest(y as Float32Array));
    }
  });

  it("a layer larger than its file is refused before it is made", async () => {
    const file = { topology: sequential("Dense", { units: 2e9 }), layers: {} };
    await expect(layersModelFrom(checkpointOf(file, "3.12.0"))).rejects.toThrow(
      'layer "layer": its kernel [2, 2000000000] is more than is left of the file\'s values; the file seems damaged: fetch or write it again',
    );
  });

  it("a class of yours, registered", async () => {
    class Doubled extends tfl.layers.Layer {
      static readonly className = "Doubled";
      override call(inputs: tf.Tensor | tf.Tensor[]): tf.Tensor {
        return tf.mul([inputs].flat()[0], 2);
      }
    }
    tf.serialization.registerClass(Doubled);
    const file = { topology: sequential("Doubled", {}, { registered_name: "mine>Doubled" }), layers: {} };
    const model = await layersModelFrom(checkpointOf(file, "3.12.0"));
    expect([...(model.predict(tf.ones([1, 4, 4, 2])) as tf.Tensor).dataSync().slice(0, 2)]).toEqual([2, 2]);
  });

  it("a model in each step of a sequence", async () => {
    const inner = {
      class_name: "Sequential",
      config: {
        name: "inner",
        layers: [
          { class_name: "InputLayer", config: { batch_shape: [null, 4, 2], name: "y" } },
          { class_name: "Dense", config: { name: "dense", units: 1, use_bias: false } },
        ],
      },
    };
    const layers = { "layer/inner/dense": { 0: { shape: [2, 1], values: [1, -3] } } };
    const file = { topology: sequential("TimeDistributed", { layer: inner }), layers };
    const model = await layersModelFrom(checkpointOf(file, "3.12.0"));
    expect([...(model.predict(tf.ones([1, 4, 4, 2])) as tf.Tensor).dataSync()]).toEqual(Array(16).fill(-2));
    // as .keras, .h5 and .weights.h5 have them
    inner.config.layers.push({ class_name: "Dense", config: { name: "other", units: 1, use_bias: false } });
    const kernels = [
      { shape: [2, 1], values: [1, -3] },
      { shape: [1, 1], values: [4] },
    ];
    for (const [path, role] of [
      ["layer", "layer/layers/*/0"],
      ["layer", "*/kernel"],
      ["layers/layer/layer/layers/*", "0"],
    ]) {
      const named = kernels.map((kernel, i) => [["dense", "other"][i], kernel] as const);
      const stored: Record<string, Record<string, Listed>> = {};
      for (const [name, kernel] of named) {
        const module = path.replace("*", name);
        stored[module] = { ...stored[module], [role.replace("*", name)]: kernel };
      }
      const whole = checkpointOf(
        { topology: sequential("TimeDistributed", { layer: inner }), layers: stored },
        "3.12.0",
      );
      const modules = whole.modules.map((module) => ({
        ...module,
        type: path === "layer" ? "TimeDistributed" : "",
      }));
      const deeper = await layersModelFrom({ ...whole, modules });
      expect([...(deeper.predict(tf.ones([1, 4, 4, 2])) as tf.Tensor).dataSync()]).toEqual(
        Array(16).fill(-8),
      );
    }
  });

  it("400 damaged architectures build or are refused, and leave no tensors", async () => {
    const next = random(11);
    const all = saved.map(({ version, file }) => checkpointOf(file, version));
    const pick = <T>(list: readonly T[]): T => list[Math.floor(next() * list.length)];
    const junk = [null, -1, 0, 1e9, 2 ** 31, "x", "__proto__", [], {}, true, 1.5, [1e9, 1e9], [null]];
    const { numTensors } = tf.memory();
    vi.spyOn(console, "warn").mockImplementation(() => {});
    for (let i = 0; i < 400; i++) {
      const checkpoint = all[i % all.length];
      const architecture = JSON.parse(JSON.stringify(checkpoint.architecture));
      const places: [Record<string, unknown>, string][] = [];
      const walk = (value: unknown) => {
        if (typeof value !== "object" || value === null) return;
        for (const [key, one] of Object.entries(value)) {
          places.push([value as Record<string, unknown>, key]);
          walk(one);
        }
      };
      walk(architecture.topology);
      for (let fault = 0; fault <= i % 3; fault++) {
        const [object, key] = pick(places);
        object[key] = structuredClone(next() < 0.3 ? pick(places)[0] : pick(junk));
      }
      const start = performance.now();
      const model = await layersModelFrom({ ...checkpoint, architecture }).catch((error) => {
        if (!(error instanceof CheckpointError)) throw new Error(`mutation ${i}`, { cause: error });
      });
      expect(performance.now() - start).toBeLessThan(2000);
      for (const weight of new Set(model?.weights)) weight.dispose();
    }
    expect(tf.memory().numTensors - numTensors).toBeLessThan(40);
  });

  it("Keras 1 with Theano's order of axes, whose convolutions turn the kernel round", async () => {
    const options = {
      nb_filter: 1,
      nb_row: 2,
      nb_col: 2,
      border_mode: "valid",
      dim_ordering: "th",
      activation: "linear",
      bias: true,
    };
    const topology = {
      class_name: "Sequential",
      config: [
        {
          class_name: "Convolution2D",
          config: { name: "conv", batch_input_shape: [null, 1, 3, 3], ...options },
        },
        { class_name: "Flatten", config: { name: "flat" } },
      ],
    };
    const layers = {
      conv: { 0: { shape: [1, 1, 2, 2], values: [1, 2, 3, 4] }, 1: { shape: [1], values: [0.5] } },
    };
    const model = await layersModelFrom(checkpointOf({ topology, layers }, "1.2.2"));
    const y = model.predict(tf.tensor([1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 1, 3, 3])) as tf.Tensor;
    // of each square [[a, b], [c, d]]: 4 a + 3 b + 2 c + d
    expect([...y.dataSync()]).toEqual([23.5, 33.5, 53.5, 63.5]);
  });

  const inKeras1 = (...layers: [className: string, config: object][]) => ({
    class_name: "Sequential",
    config: layers.map(([class_name, config], i) => ({
      class_name,
      config: { name: `layer${i}`, ...(i === 0 && { batch_input_shape: [null, 4, 4, 2] }), ...config },
    })),
  });

  it.each<[string, ReturnType<typeof inKeras1>]>([
    [
      'layer "layer0": BatchNormalization of mode 1, which only Keras 1 has, is not supported',
      inKeras1(["BatchNormalization", { mode: 1, axis: -1 }]),
    ],
    [
      'layer "layer0": padding "same" of MaxPooling2D is not TensorFlow\'s where Theano computed it, and is not supported',
      inKeras1([
        "MaxPooling2D",
        { pool_size: [2, 2], strides: [2, 2], border_mode: "same", dim_ordering: "tf" },
      ]),
    ],
    [
      'layer "layer0": Deconvolution2D of Keras 1, whose weights are laid out in a way of their own, is not supported',
      inKeras1(["Deconvolution2D", { nb_filter: 1, nb_row: 2, nb_col: 2, dim_ordering: "tf" }]),
    ],
    ['layer "layer0": its class Highway is not known', inKeras1(["Highway", {}])],
    [
      'layer "layer0": the dim_ordering of its ZeroPadding2D is not in the file, nor all the same in other layers',
      inKeras1(["ZeroPadding2D", { padding: [1, 1] }]),
    ],
    [
      'layer "layer0": a Merge of models at the head of a Sequential one is not supported',
      inKeras1(["Merge", { mode: "sum", mode_type: "raw", layers: [] }]),
    ],
    [
      'layer "layer1": Merge of mode "dot" is not supported',
      inKeras1(["Activation", { activation: "relu" }], ["Merge", { mode: "dot", mode_type: "raw" }]),
    ],
  ])("Keras 1: %s", async (message, topology) => {
    const made = layersModelFrom(checkpointOf({ topology, layers: {} } as unknown as Saved, "1.2.2"));
    await expect(made).rejects.toThrow(message);
  });

  it("Keras 1 with a tensor for each gate of a GRU", async () => {
    const topology = inKeras1(["GRU", { output_dim: 1, batch_input_shape: [null, 1, 1] }]);
    const one = (value: number, ...shape: number[]) => ({ shape, values: [value] });
    const gates = Object.fromEntries(
      ["z", "r", "h"].flatMap((gate, i) => [
        [`W_${gate}`, one(i + 1, 1, 1)],
        [`U_${gate}`, one(i + 4, 1, 1)],
        [`b_${gate}`, one(i + 7, 1)],
      ]),
    );
    const file = { topology, layers: { layer0: gates } } as unknown as Saved;
    const model = await layersModelFrom(checkpointOf(file, "1.2.2"));
    expect(model.getWeights().map((weight) => [...weight.dataSync()])).toEqual([
      [1, 2, 3],
      [4, 5, 6],
      [7, 8, 9],
    ]);
  });
});
