/** `evenkeel diagnose` on saved networks: what it writes, and what it refuses. */
import { existsSync, readFileSync } from "node:fs";
import * as tf from "@tensorflow/tfjs-core";
import * as tfl from "@tensorflow/tfjs-layers";
import { afterEach, beforeAll, expect, test, vi } from "vitest";
import type { Diagnosis } from "../../src/ailments.js";
import { type DiagnoseOptions, diagnose } from "../../src/node/diagnose.js";
import { writeModel } from "../../src/node/model-file.js";
import { startTensorFlow } from "../../src/node/tensorflow.js";
import { usualDiagnosis } from "../../src/settings.js";
import { errorOf, pathOf, write } from "../support/files.js";

beforeAll(startTensorFlow);
afterEach(() => vi.restoreAllMocks());

async function saved(name: string, model: tfl.LayersModel): Promise<string> {
  await model.save(
    tf.io.withSaveHandler(async (artifacts) => {
      writeModel(pathOf(name), artifacts, "--save");
      return { modelArtifactsInfo: { dateSaved: new Date(), modelTopologyType: "JSON" } };
    }),
  );
  return pathOf(name);
}

/** Dense layers of 8 units with small kernels. */
function shrinking(depth: number, units: number, activation?: "softmax"): tfl.LayersModel {
  const model = tfl.sequential();
  for (let i = 0; i < depth; i++) {
    const kernelInitializer = tfl.initializers.randomNormal({ stddev: 0.1, seed: i });
    model.add(
      tfl.layers.dense({
        units: 8,
        activation: "relu",
        name: `dense${i}`,
        kernelInitializer,
        ...(i === 0 && { inputShape: [2] }),
      }),
    );
  }
  const kernelInitializer = tfl.initializers.glorotUniform({ seed: 9 });
  model.add(tfl.layers.dense({ units, name: "last", kernelInitializer, ...(activation && { activation }) }));
  return model;
}

const table = write(
  "mine.csv",
  `a,b,y\n${Array.from({ length: 60 }, (_, i) => `${i * i},${(i * 37) % 19},${i % 2 ? "yes" : "no"}\n`).join("")}`,
);

/** What it prints, and its exit code. */
async function said(
  path: string,
  more: Partial<DiagnoseOptions> = {},
): Promise<{ out: string; error: string; code: number }> {
  const [out, error] = (["stdout", "stderr"] as const).map((stream) => {
    const lines: string[] = [];
    vi.spyOn(process[stream], "write").mockImplementation((text) => {
      lines.push(String(text));
      return true;
    });
    return lines;
  });
  const code = await diagnose(path, {
    ...usualDiagnosis,
    reading: {},
    raw: false,
    json: false,
    steps: 2,
    ...more,
  });
  vi.restoreAllMocks();
  return { out: out.join(""), error: error.join(""), code };
}

test("a network on a table, and what is proposed for it, side by side", async () => {
  const path = await saved("shrinking", shrinking(6, 2, "softmax"));
  const page = pathOf("page.html");
  const { out, error, code } = await said(path, { data: table, try: true, html: page });
  expect(code).toBe(0);
  expect(out).toContain("✗ The spread of activations vanishes with depth before training: ");
  expect(out).toContain("With layer normalization after 6 layers\n");
  expect(out).toContain("With batch normalization after 6 layers\n");
  expect(out.split("\n").every((line) => line.length <= 80)).toBe(true);
  expect(error).toBe(`Page  ${page}\n`);
  expect(readFileSync(page, "utf8")).toContain("What a normalization changed");
});

test("every number as JSON, the same each time, from the weights of the file for every network", async () => {
  const path = await saved("again", shrinking(3, 1));
  const numbers = async () => {
    const { out } = await said(path, { data: table, json: true, try: ["layer", "rms"] });
    const { courses, seconds: _, ...rest } = JSON.parse(out) as Diagnosis;
    return { courses, ...rest };
  };
  const first = await numbers();
  expect(await numbers()).toEqual(first);
  const [asItIs, layer, rms] = first.courses;
  const weightsOf = ({ probes }: typeof asItIs) => probes[0].layers.map(({ weightNorm }) => weightNorm);
  expect(weightsOf(layer)).toEqual(weightsOf(asItIs));
  expect(weightsOf(rms)).toEqual(weightsOf(asItIs));
  expect(first.batchSize).toBe(32);
});

test("without data and where nothing is found, it says so", async () => {
  const model = tfl.sequential();
  model.add(tfl.layers.dense({ units: 1, inputShape: [4], kernelInitializer: tfl.initializers.ones() }));
  const { out, error } = await said(await saved("linear", model), { try: true, steps: 5, learningRate: 0.1 });
  expect(out).toContain("without --data: inputs and targets are random");
  expect(out).toContain("Nothing was found in 1 layer.\n");
  expect(error).toBe(
    "Nothing is proposed, so nothing was tried: every layer has its normalization, or\nthere is only one\n",
  );
});

test.each<[string, Partial<DiagnoseOptions>, string]>([
  [
    "a name that is none",
    { try: ["lyer"] },
    'UsageError: --try: expected normalizations that stand between two layers, got "lyer"; did you mean "layer"?',
  ],
  [
    "one of weights",
    { try: ["spectral"] },
    'UsageError: --try: expected normalizations that stand between two layers, got "spectral", which does not; name layer, batch or another of these (evenkeel norms lists them)',
  ],
  [
    "a target that the network does not give",
    { data: table },
    'UsageError: --target: expected a network with 2 outputs for 2 classes, or 1, the target of "mine", got one that gives 3; name another --target or --task, or leave --data out (random inputs and targets)',
  ],
])("%s is refused before anything is trained", async (_, options, message) => {
  const path = await saved("refusing", shrinking(2, 3));
  expect(await errorOf(() => said(path, { ...options, html: pathOf("refused.html") }))).toBe(message);
  expect(existsSync(pathOf("refused.html"))).toBe(false);
});

test("a network that has nothing to measure is refused", async () => {
  const model = tfl.sequential();
  model.add(tfl.layers.flatten({ inputShape: [2, 2] }));
  const path = await saved("flat", model);
  expect(await errorOf(() => said(path, { steps: 0 }))).toBe(
    'UsageError: "flat": expected a network with a layer that has weights of two axes or more, such as dense or convolution, got none; name another network',
  );
});

test("a network whose weights are all frozen is refused", async () => {
  const model = tfl.sequential();
  model.add(tfl.layers.dense({ units: 1, inputShape: [4], trainable: false }));
  const path = await saved("frozen", model);
  expect(await errorOf(() => said(path))).toBe(
    'UsageError: "frozen": expected a network with weights that training changes, all of them are frozen; save it with layers whose trainable is true',
  );
});

test("a layer of the user's own needs a module, and is then as any other", async () => {
  class Gated extends tfl.layers.Layer {
    static className = "Gated";
  }
  const model = shrinking(1, 1) as tfl.Sequential;
  model.add(new Gated({ name: "mine" }));
  const path = await saved("own", model);
  const told =
    'UsageError: own/model.json (TensorFlow.js layers-model): layer "mine": its class Gated is not known; ';
  expect(await errorOf(() => said(path))).toBe(
    `${told}name a module that registers it with --layers FILE.js (tf.serialization.registerClass, of @tensorflow/tfjs)`,
  );
  const idle = write("idle.mjs", "export {};");
  expect(await errorOf(() => said(path, { layers: idle }))).toBe(
    `${told}call tf.serialization.registerClass for it in "idle.mjs"`,
  );
  expect(await errorOf(() => said(path, { layers: pathOf("absent.mjs") }))).toBe(
    'UsageError: --layers: there is no such file "absent.mjs"; check the path',
  );
  const broken = write("broken.mjs", "throw new Error('not today');");
  expect(await errorOf(() => said(path, { layers: broken }))).toBe(
    'UsageError: --layers: "broken.mjs" cannot be imported: not today; bring a module of JavaScript (.js, .mjs) that registers its classes with tf.serialization.registerClass',
  );
  tf.serialization.registerClass(Gated);
  expect((await said(path)).code).toBe(0);
});

test("what layers draw, as dropout does, is the same each time", async () => {
  const model = shrinking(2, 1) as tfl.Sequential;
  model.add(tfl.layers.dropout({ rate: 0.5 }));
  model.add(tfl.layers.dense({ units: 2, kernelInitializer: tfl.initializers.glorotUniform({ seed: 1 }) }));
  const path = await saved("dropout", model);
  const lossesOf = async () => {
    const { courses }: Diagnosis = JSON.parse((await said(path, { json: true })).out);
    return courses.map(({ losses }) => losses);
  };
  expect(await lossesOf()).toEqual(await lossesOf());
});
