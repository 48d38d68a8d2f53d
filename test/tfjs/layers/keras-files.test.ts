/** Models that Keras 2, Keras 3 and TensorFlow Addons saved (test/fixtures/keras/make.py) load, give Keras's outputs, and train like it. */
import * as tf from "@tensorflow/tfjs-core";
import * as tfl from "@tensorflow/tfjs-layers";
import { beforeAll, describe, expect, it } from "vitest";
import { install } from "../../../src/tfjs/index.js";
import keras2 from "../../fixtures/keras/keras2.json" with { type: "json" };
import keras3 from "../../fixtures/keras/keras3.json" with { type: "json" };
import { expectClose, largest } from "../../support/numerics.js";
import { artifacts } from "../../support/tfjs-artifacts.js";
import { backends, use } from "../../support/tfjs-backends.js";

interface Saved {
  shape: number[];
  dtype: string;
  values: number[];
}

interface File {
  topology: object;
  weights: Record<string, Saved>;
  x: Saved;
  y: Saved;
  /** The output in training, and the weights after it. */
  training?: Saved;
  after?: Record<string, Saved>;
  tolerance?: number;
}

const tensor = ({ shape, dtype, values }: Saved) => tf.tensor(values, shape, dtype as "float32");
const close = (name: string, actual: tf.Tensor, expected: Saved, tolerance = 2e-5) => {
  expect(actual.shape).toEqual(expected.shape);
  expectClose(
    name,
    actual.dataSync() as Float32Array,
    expected.values,
    () => tolerance * Math.max(1, largest(expected.values)),
  );
};

function modelArtifacts({ topology, weights }: Pick<File, "topology" | "weights">): tf.io.ModelArtifacts {
  const list = Object.entries(weights);
  const bytes = list.map(([, { dtype, values }]) => {
    if (dtype === "bool") return Uint8Array.from(values);
    return new Uint8Array((dtype === "int32" ? Int32Array : Float32Array).from(values).buffer);
  });
  const weightData = new Uint8Array(bytes.reduce((sum, { length }) => sum + length, 0));
  bytes.reduce((at, one) => {
    weightData.set(one, at);
    return at + one.length;
  }, 0);
  return {
    modelTopology: { model_config: topology },
    weightSpecs: list.map(([name, { shape, dtype }]) => ({ name, shape, dtype: dtype as "float32" })),
    weightData: weightData.buffer,
  };
}

const files = Object.entries({ keras2, keras3 }).flatMap(([version, all]) =>
  Object.entries(all as unknown as Record<string, File>).map(([name, file]) => ({ version, name, file })),
);

/** A model of one layer, as Keras writes it. */
const fileOf = (className: string, config: object, shape: number[], weights: File["weights"] = {}) =>
  modelArtifacts({
    topology: {
      class_name: "Sequential",
      config: {
        name: "saved",
        layers: [
          { class_name: "InputLayer", config: { batch_input_shape: [null, ...shape], name: "x" } },
          { class_name: className, config: { name: "layer", ...config } },
        ],
      },
    },
    weights,
  });
const load = (...file: Parameters<typeof fileOf>) => tfl.loadLayersModel(tf.io.fromMemory(fileOf(...file)));

describe.each(backends)("%s", (backend) => {
  beforeAll(async () => {
    await use(backend);
    await install();
  });

  it.each(files)("$version: $name", async ({ file }) => {
    const model = await tfl.loadLayersModel(tf.io.fromMemory(modelArtifacts(file)));
    const tensors = tf.memory().numTensors;
    const x = tensor(file.x);
    close("y", model.predict(x) as tf.Tensor, file.y, file.tolerance);

    // saved again, by TensorFlow.js
    const again = await tfl.loadLayersModel(tf.io.fromMemory(await artifacts(model)));
    close("saved again", again.predict(x) as tf.Tensor, file.y, file.tolerance);

    for (const one of file.training ? [model, again] : []) {
      close("in training", one.apply(x, { training: true }) as tf.Tensor, file.training as Saved);
      const after = file.after as Record<string, Saved>;
      const own = (name: string) => name.split("/").pop() as string;
      let compared = 0;
      for (const { originalName } of one.weights) {
        const name = Object.keys(after).find(
          (each) => own(each).replace("sn_u", "vector_u") === own(originalName),
        );
        if (name === undefined) continue;
        const variable = one.weights.find((each) => each.originalName === originalName);
        const values = variable?.read() as tf.Tensor;
        close(originalName, tf.reshape(values, after[name].shape), after[name]);
        compared++;
      }
      expect(compared).toBeGreaterThan(0);
    }
    expect(tf.memory().numTensors).toBeGreaterThanOrEqual(tensors);
  });

  it("regularizers by Keras's class names add their loss", async () => {
    const regularizer = (class_name: string, config: object) => ({ class_name, config });
    const model = await load(
      "LayerNormalization",
      {
        gamma_regularizer: regularizer("L2", { l2: 0.5 }),
        beta_regularizer: regularizer("L1", { l1: 0.25 }),
      },
      [2],
      {
        "layer/gamma": { shape: [2], dtype: "float32", values: [1, 3] },
        "layer/beta": { shape: [2], dtype: "float32", values: [-2, 4] },
      },
    );
    const losses = model.layers[1].calculateLosses().map((loss) => loss.dataSync()[0]);
    expect(losses).toEqual([0.5 * (1 + 9), 0.25 * (2 + 4)]);
  });

  it("keras_contrib's InstanceNormalization of a whole example adds epsilon to the deviation", async () => {
    const model = await load("InstanceNormalization", { axis: null, epsilon: 0.5 }, [2, 2], {
      "layer/gamma": { shape: [1], dtype: "float32", values: [2] },
      "layer/beta": { shape: [1], dtype: "float32", values: [1] },
    });
    const y = model.predict(tf.tensor3d([1, 2, 3, 6, 5, 5, 5, 5], [2, 2, 2])) as tf.Tensor;
    // mean 3, deviation √3.5
    const scale = 2 / (Math.sqrt(3.5) + 0.5);
    close("y", y, {
      shape: [2, 2, 2],
      dtype: "float32",
      values: [...[-2, -1, 0, 3].map((v) => v * scale + 1), 1, 1, 1, 1],
    });
    const dx = tf.grad((x) => model.apply(x) as tf.Tensor)(tf.ones([1, 2, 2]));
    expect([...dx.dataSync()].every(Number.isFinite)).toBe(true);
  });

  it("Addons' classes under their package's name, as Keras up to 2.12 writes them", async () => {
    const { weights, x, y, topology } = (keras2 as unknown as Record<string, File>)[
      "Addons SpectralNormalization"
    ];
    // without the modules that Keras 2.13 began to write
    const text = JSON.stringify(topology)
      .replaceAll(/"module":"[^"]*",/g, "")
      .replaceAll(/,"registered_name":(null|"[^"]*")/g, "")
      .replace('"class_name":"SpectralNormalization"', '"class_name":"Addons>SpectralNormalization"');
    expect(text).toContain("Addons>Spectral");
    const model = await tfl.loadLayersModel(
      tf.io.fromMemory(modelArtifacts({ topology: JSON.parse(text), weights })),
    );
    close("y", model.predict(tensor(x)) as tf.Tensor, y);
  });

  it("weights that no variable is for are refused, as before", async () => {
    const values = { shape: [2], dtype: "float32", values: [1, 3] };
    const file = { "layer/gamma": values, "layer/beta": values, "layer/delta": values };
    await expect(load("LayerNormalization", {}, [2], file)).rejects.toThrow(
      "Provided weight data has no target variable: layer/delta",
    );
    await expect(load("LayerNormalization", {}, [2], { "layer/gamma": values })).rejects.toThrow(
      "1 of 2 weights are not set: layer/beta",
    );
    const longer = { shape: [3], dtype: "float32", values: [1, 2, 3] };
    await expect(
      load("LayerNormalization", {}, [2], { "layer/gamma": longer, "layer/beta": values }),
    ).rejects.toThrow("Shape mismatch");
  });

  it.each<[string, string, object, Error]>([
    [
      "a mean alone",
      "Normalization",
      { mean: [1, 2] },
      new TypeError("Normalization: mean and variance must be given together, or neither of them"),
    ],
    [
      "a mean of text",
      "Normalization",
      { mean: ["1"], variance: [2] },
      new TypeError("Normalization: mean must be a number, or a list of them, got string"),
    ],
    [
      "as many means as there are no features",
      "Normalization",
      { mean: [1, 2, 3], variance: [1, 2, 3] },
      new RangeError("Normalization: mean must have one value, or one for each of the 2 features, got 3"),
    ],
    [
      "a virtual batch of text",
      "BatchNormalization",
      { virtual_batch_size: "2" },
      new TypeError('ghostBatchNorm: batchSize must be a number, got "2"; leave it out for its default'),
    ],
    [
      "an epsilon of null",
      "LayerNormalization",
      { epsilon: null },
      new TypeError("layerNorm: epsilon must be a number, got null; leave it out for its default"),
    ],
    [
      "an option that Keras does not have",
      "GroupNormalization",
      { group: 2 },
      new TypeError('GroupNormalization: no option is called "group"; did you mean "groups"?'),
    ],
    [
      "an initializer by a name that every object has",
      "LayerNormalization",
      { gamma_initializer: { class_name: "constructor", config: {} } },
      new RangeError(
        'LayerNormalization: gammaInitializer names the class "constructor", which is not registered',
      ),
    ],
    [
      "an inner layer by such a name",
      "SpectralNormalization",
      { layer: { class_name: "toString", config: {} } },
      new RangeError(
        'SpectralNormalization: the inner layer is of class "toString", which is not registered',
      ),
    ],
  ])("%s", async (_, className, config, error) => {
    await expect(load(className, config, [2])).rejects.toThrow(error.message);
    await expect(load(className, config, [2])).rejects.toBeInstanceOf(error.constructor);
  });
});
