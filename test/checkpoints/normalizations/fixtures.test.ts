/**
 * What the frameworks themselves wrote (test/fixtures/checkpoints): every normalization of a network is found in each of its files, under its name, with
 * the options that the live object had, its weights and its statistics.
 */
import { existsSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { type MappedNormalization, normalizationsOf, open } from "../../../src/checkpoints/index.js";
import { catalog, Layer, type Normalization, open as openBackend } from "../../../src/index.js";
import { fixtures, networks, untold } from "../support/networks.js";
import { itWithModel, modelFile } from "../support/shared-models.js";

/** The names that a file gives a layer of the network; files name layers by themselves. */
const lastPart = (name: string) =>
  name
    .replace(/\.parametrizations\.weight\.0$/, "")
    .split(/[./]/)
    .pop() as string;

/** Independent of the code: what a framework's option is here. */
function translated(framework: string, options: Record<string, unknown>): Record<string, unknown> {
  const result: Record<string, unknown> = {};
  const epsilon = options.eps ?? options.epsilon ?? options.variance_epsilon;
  if (epsilon !== undefined && epsilon !== null) result.epsilon = expect.closeTo(Number(epsilon), 9);
  const isTorch = framework === "pytorch" || framework === "fastai";
  if (options.momentum === null) result.average = "cumulative";
  else if (options.momentum !== undefined && options.track_running_stats !== false) {
    result.momentum = expect.closeTo(isTorch ? 1 - Number(options.momentum) : Number(options.momentum), 6);
  }
  if (options.num_groups !== undefined) result.groups = Number(options.num_groups);
  if (typeof options.groups === "number" && options.groups > 0) result.groups = options.groups;
  return result;
}

const ek = await openBackend({ backend: "reference" });

/** A shape of x that fits the tensors of a normalization; undefined where the file does not tell. */
function shapeFor({ kind, options, tensors, statistics }: MappedNormalization): number[] | undefined {
  if (kind === "weightNorm" || kind === "spectralNorm") {
    return [
      ...((tensors.v && kind === "weightNorm" ? tensors.v : (tensors.weight ?? tensors.kernel))?.shape ?? []),
    ];
  }
  if (kind === "groupNorm" && options.groups === undefined) return undefined;
  const axes = [(options.axis ?? -1) as number | number[]].flat();
  const rank = Math.max(3, ...axes.map((axis) => (axis < 0 ? -axis : axis + 1)));
  const shape: number[] = new Array(rank).fill(4);
  const stored = (tensors.gamma ?? tensors.beta ?? tensors.runningMean)?.shape ?? [
    statistics.runningMean?.length ?? 4,
  ];
  const own = stored.length === axes.length ? stored : [stored.reduce((product, one) => product * one, 1)];
  for (const [i, axis] of axes.entries()) shape[axis < 0 ? axis + rank : axis] = own[i] ?? own[0];
  if (options.parameters === "group")
    shape[axes[0] < 0 ? axes[0] + rank : axes[0]] = 2 * (options.groups as number);
  return shape;
}

/** Files that name their layers otherwise than the network does: by operators of a graph, or by numbers. */
const RENAMED = /frozen|ONNX|Gluon|MXNet|uint8|uint16|float16|fastai 1|weights|checkpoint/i;

for (const { folder, file, network } of networks) {
  describe(`${folder}/${file}`, () => {
    const all = Object.entries(network.files).filter(([, path]) =>
      existsSync(`${fixtures}${folder}/${path}`),
    );
    it.each(all)("%s", async (format, path) => {
      const checkpoint = await open(`${fixtures}${folder}/${path}`);
      const mapped = await normalizationsOf(checkpoint);
      const expected = network.normalizations;
      const lost = untold[`${folder}/${file} ${format}`] ?? [];
      const found: MappedNormalization[] = [];
      for (const { name, options: given, type } of expected) {
        const same = mapped.filter((one) => lastPart(one.name) === lastPart(name));
        const exact = same.find((one) => one.name === name) ?? same[0];
        if (exact === undefined && RENAMED.test(format)) continue;
        const hasWeights = Object.keys(network.weights).some((weight) => weight.startsWith(name));
        if (exact === undefined && (!hasWeights || lost.includes(name))) continue;
        expect(
          exact,
          `${name} (${type}) among ${mapped.map((one) => `${one.name} ${one.kind}`).join(", ")}`,
        ).toBeDefined();
        found.push(exact);
        const said = exact.conversions.join("\n");
        if (exact.type === undefined && Object.hasOwn(exact.options, "momentum")) {
          expect(said, name).toMatch(/epsilon not in the file/);
        }
        const options = translated(network.framework, given);
        if (exact.kind === "instanceNorm") delete options.groups;
        for (const option of Object.keys(options))
          if (said.includes(`${option} not in the file`)) delete options[option];
        if (exact.type !== undefined) expect(exact.options, name).toMatchObject(options);
      }
      // a layer made so takes what was read
      for (const one of mapped) {
        const shape = shapeFor(one);
        if (shape === undefined || shape.length === 0) continue;
        const layer = new Layer(
          ek,
          (catalog[one.kind] as (options: object) => Normalization)(one.options),
          shape,
        );
        layer.loadStateDict(one);
        for (const [name, values] of Object.entries(one.weights)) {
          expect(Float32Array.from(layer.weights[name].data), `${one.name} ${name}`).toEqual(
            Float32Array.from(values),
          );
        }
        layer.dispose();
      }
      // of those without weights a file without modules says nothing
      const bare = expected.filter(
        ({ name }) => !Object.keys(network.weights).some((one) => one.startsWith(name)),
      );
      const silent =
        (checkpoint.modules.length === 0 || /weights/.test(format) ? bare.length : 0) + lost.length;
      expect(silent, "some are told").toBeLessThan(expected.length);
      expect(mapped.length, "as many as are told").toBeGreaterThanOrEqual(expected.length - silent);
      if (/float16|bfloat16|uint/i.test(`${format} ${path}`)) return;
      // every value is one that the network has; exporters write 1 and 0 where there is no gamma or beta
      const known = Object.values(network.weights).flatMap(({ values }) => values.map(Math.fround));
      const values = new Set([0, 1, ...known]);
      for (const { name, weights, statistics } of mapped) {
        const read = Object.entries({ ...weights, ...statistics }).filter(([one]) => one !== "runningCount");
        for (const [weight, numbers] of read) {
          const strange = [...numbers].filter((value) => !values.has(Math.fround(value)));
          expect(strange.slice(0, 3), `${name} ${weight}`).toEqual([]);
        }
      }
    });
  });
}

it("Keras's numbered variables: statistics are known where gamma or beta is missing, and which of the two is not guessed", async () => {
  const described = networks.find(
    ({ folder, file }) => folder === "keras3" && file === "normalizations.json",
  );
  const found = await normalizationsOf(await open(`${fixtures}keras3/normalizations.weights.h5`));
  const told = "gamma or beta is in the file, but not which of the two it is: left out";
  for (const [name, live] of [
    ["layers/batch_normalization_1", "batch_no_scale"],
    ["layers/batch_normalization_2", "batch_no_center"],
  ]) {
    const norm = found.find((one) => one.name === name);
    expect(norm?.options).toMatchObject({ scale: false, center: false });
    expect(norm?.options.sources).toBeUndefined();
    expect(norm?.conversions).toContain(told);
    for (const [statistic, theirs] of [
      ["runningMean", "moving_mean"],
      ["runningVariance", "moving_variance"],
    ]) {
      const values = described?.network.weights[`${live}/${theirs}`].values.map(Math.fround);
      expect([...(norm?.statistics[statistic] ?? [])], `${live} ${statistic}`).toEqual(values);
    }
  }
  const layer = found.find(({ name }) => name === "layers/layer_normalization_2");
  expect(layer?.conversions).toContain(told);
  const axes = (name: string) => found.find((one) => one.name === `layers/${name}`)?.options.axis;
  expect([axes("layer_normalization"), axes("layer_normalization_1"), axes("rms_normalization_1")]).toEqual([
    -1,
    [-3, -2, -1],
    [-2, -1],
  ]);
  expect(found.find(({ name }) => name === "layers/layer_normalization_1")?.conversions).toContain(
    "axis not in the file: the last 3, as many as gamma has",
  );
  expect(found[0].conversions).toContain("axis not in the file: Keras's default -1 assumed");
});

itWithModel("keras-h5/dl4j-batch_to_conv2d_theano_1.h5")("Keras 1 fused nothing", async () => {
  const told = async (name: string) => (await normalizationsOf(await open(modelFile(name))))[0].conversions;
  expect(await told("keras-h5/dl4j-batch_to_conv2d_theano_1.h5")).toEqual([
    "running_std holds the variance in Keras 1.2.2: taken as that",
  ]);
  expect(await told("keras-h5/dl4j-batch_to_conv2d_tensorflow_2.h5")).toEqual([
    "running variance unbiased or biased, by Keras 2's version and whether it fused the layer (images): kept as it is",
  ]);
});
