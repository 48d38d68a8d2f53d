/**
 * Networks of every framework in every format of theirs (../fixtures/checkpoints), in TensorFlow.js: built from the file's architecture or by
 * hand, loaded, and run. Outputs are the framework's within 1e-5 of the largest.
 */

import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import * as tf from "@tensorflow/tfjs-core";
import * as tfl from "@tensorflow/tfjs-layers";
import { beforeAll, describe, expect, it, vi } from "vitest";
import { open } from "../../src/checkpoints/index.js";
import { layersModelFrom, loadInto } from "../../src/tfjs/index.js";
import { expectClose, largest } from "../support/numerics.js";
import { use } from "../support/tfjs-backends.js";
import { type Cell, cells } from "./networks/cells.js";
import { channelsFirst, channelsLast } from "./networks/network.js";

interface Listed {
  shape: number[];
  values: number[];
}

const listed = (given: unknown): Listed[] => {
  if (Array.isArray(given)) return given;
  return "values" in (given as object) ? [given as Listed] : Object.values(given as Record<string, Listed>);
};

async function modelOf({ how, path, made, format }: Cell): Promise<tfl.LayersModel> {
  const checkpoint = await open(path);
  if (how === "layersModelFrom") return layersModelFrom(checkpoint);
  if (made === undefined) throw new Error(`${path}: no network to load it into`);
  const model = await made.build();
  const { warnings, unmatched } = await loadInto(model, checkpoint, made.options?.(format));
  // where the file has no options the layer's are the live object's, and may not be the defaults
  expect(warnings.filter((line) => !line.includes("file does not say"))).toEqual([]);
  expect(unmatched.layers).toEqual([]);
  return model;
}

/** Of quantized weights: what TensorFlow.js itself makes of the file. */
async function asTensorFlowLoads(path: string, x: tf.Tensor): Promise<tf.Tensor> {
  const { modelTopology, weightsManifest } = JSON.parse(readFileSync(path, "utf8"));
  const paths = weightsManifest.flatMap((group: { paths: string[] }) => group.paths);
  const bytes = Buffer.concat(paths.map((name: string) => readFileSync(join(dirname(path), name))));
  const model = await tfl.loadLayersModel(
    tf.io.fromMemory({
      modelTopology,
      weightSpecs: weightsManifest.flatMap(
        (group: { weights: tf.io.WeightsManifestEntry[] }) => group.weights,
      ),
      weightData: Uint8Array.from(bytes).buffer,
    }),
  );
  return model.predict(x) as tf.Tensor;
}

describe("networks", () => {
  beforeAll(async () => {
    await use("cpu");
    vi.spyOn(console, "warn").mockImplementation(() => {});
  });

  it.each(
    cells.map((cell) => [`${cell.framework}, ${cell.format} (${cell.how}): ${cell.network}`, cell] as const),
  )("%s", async (_, cell) => {
    const { made, described, path } = cell;
    const model = await modelOf(cell);
    const given = listed(described.input).map(({ shape, values }) => tf.tensor(values, shape));
    const inputs = made?.channelsFirst ? given.map(channelsLast) : given;
    let outputs = [model.predict(inputs.length === 1 ? inputs[0] : inputs)].flat();
    if (made?.after) outputs = outputs.map(made.after);
    if (made?.channelsFirst) outputs = outputs.map(channelsFirst);
    const quantized = /^(u?int\d+|float16)$/.test(cell.format);
    const expected = quantized
      ? [await asTensorFlowLoads(path, inputs[0])].map((y) => ({ shape: y.shape, values: [...y.dataSync()] }))
      : listed(described.output);
    expect(outputs).toHaveLength(expected.length);
    for (const [i, { shape, values }] of expected.entries()) {
      expect(outputs[i].shape).toEqual(shape);
      expectClose("output", outputs[i].dataSync() as Float32Array, values, () => 1e-5 * largest(values));
    }
  });
});
