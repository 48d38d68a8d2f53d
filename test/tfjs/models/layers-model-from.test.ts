/** Architectures that Keras 2 and 3 wrote (test/fixtures/architectures) build, take their weights, and give Keras's outputs. */
import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import type { Checkpoint, Module } from "../../../src/checkpoints/checkpoint.js";
import { madeTensor } from "../../../src/checkpoints/tensors.js";
import { layersModelFrom } from "../../../src/tfjs/index.js";
import keras2 from "../../fixtures/architectures/keras2.json" with { type: "json" };
import keras3 from "../../fixtures/architectures/keras3.json" with { type: "json" };
import { expectClose, largest } from "../../support/numerics.js";
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
    metadata: {},
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
});
