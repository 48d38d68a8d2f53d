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
});
