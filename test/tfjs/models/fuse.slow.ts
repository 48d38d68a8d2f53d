/** Graph models that TensorFlow's converter made, run by our operation: what the framework gives, on backends with kernels and without. */
import { loadGraphModel } from "@tensorflow/tfjs-converter";
import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, it } from "vitest";
import { fuse } from "../../../src/tfjs/index.js";
import { type ExpectedNorm, type Exported, exportsOf } from "../../support/onnx-exports.js";
import { backends, use } from "../../support/tfjs-backends.js";

const NORMS: Partial<Record<ExpectedNorm["kind"], string>> = {
  layer: "layerNorm",
  rms: "rmsNorm",
  group: "groupNorm",
  instance: "instanceNorm",
  batch: "batchNorm",
};

async function load({ model, weights }: Exported) {
  const { modelTopology, weightsManifest, ...rest } = JSON.parse(new TextDecoder().decode(model));
  const weightSpecs = (weightsManifest as tf.io.WeightsManifestConfig).flatMap((group) => group.weights);
  const weightData = (weights as Uint8Array).slice().buffer;
  return loadGraphModel(tf.io.fromMemory({ ...rest, modelTopology, weightSpecs, weightData }));
}

describe.each(backends)("on %s", (backend) => {
  it.each(["tfjs-keras2", "tfjs-keras3"])("%s", async (pack) => {
    await use(backend);
    for (const one of await exportsOf(pack)) {
      const model = await load(one);
      const { norms, left } = await fuse(model);
      const inputs = one.inputs.map(({ data, shape }) => tf.tensor(data as Float32Array, shape));
      const outputs = [model.execute(inputs)].flat();
      for (const [i, y] of outputs.entries()) {
        const expected = one.outputs[i].data as Float32Array;
        const worst = (y.dataSync() as Float32Array).reduce(
          (most, value, j) => Math.max(most, Math.abs(value - expected[j])),
          0,
        );
        expect(worst, one.name).toBeLessThan(2e-6);
      }
      // what is found and not fused is not what the operation computes
      expect(
        left.map(({ norm }) => norm).filter((norm) => norm !== "unitNorm"),
        one.name,
      ).toEqual([]);
      const known = one.entry.norms.flatMap(({ kind }) => NORMS[kind] ?? []);
      expect(known, one.name).toEqual(expect.arrayContaining(norms.map(({ norm }) => norm)));
      tf.dispose([inputs, outputs]);
      model.dispose();
    }
  });
});
