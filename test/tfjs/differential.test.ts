/**
 * A model gives the same numbers before and after `install()`: outputs, gradients and running statistics of models that were made
 * before, made after, or saved before and loaded after, against what TensorFlow.js gave before. That is observed first, in this
 * process, before anything of Evenkeel is imported. What may differ are faults of TensorFlow.js itself, each by its issue.
 */
import * as tf from "@tensorflow/tfjs-core";
import * as tfl from "@tensorflow/tfjs-layers";
import { beforeAll, describe, expect, it } from "vitest";
import { expectClose, largest } from "../support/numerics.js";
import { artifacts } from "../support/tfjs-artifacts.js";
import { backends, use } from "../support/tfjs-backends.js";
import {
  type Case,
  cases,
  type Observed,
  observe,
  setWeights,
  weightsByName,
} from "./differential-models.js";

type Backend = (typeof backends)[number];

/** What is wrong in TensorFlow.js: in which models, in which of what is observed, how, and what is right instead. */
interface Fault {
  readonly issue: string;
  readonly models: readonly string[];
  readonly parts: RegExp;
  /** The error that it throws; absent where it gives wrong values. */
  readonly theirs?: RegExp;
  /** A model in which TensorFlow.js computes the same right, with values for weights that the other has not; or what is right. */
  readonly right:
    | (Case & { readonly weights?: Readonly<Record<string, number>> })
    | ((model: tfl.LayersModel) => Observed);
}

const { layers } = tfl;
const batch = cases["batch normalization"];
const withAxisLast = (from: number[], back: number[]): Case => ({
  build: () =>
    tfl.sequential({
      layers: [
        layers.permute({ dims: from, inputShape: [3, 2, 4] }),
        layers.batchNormalization({}),
        layers.permute({ dims: back }),
      ],
    }),
  inputs: cases["batch normalization, axis 1"].inputs,
});
const asFloats = (name: string, like: string): Case => ({
  build: cases[like].build,
  inputs: () => cases[name].inputs().map((x) => tf.cast(x, "float32")),
});
/** Weights that training leaves as they were. */
const untrained = (model: tfl.LayersModel): Observed =>
  Object.fromEntries(
    model.weights.map((one, i) => [
      `after training: ${i} ${one.originalName.split("/").pop()}`,
      { shape: one.shape as number[], values: one.read().dataSync() as Float32Array },
    ]),
  );
/** As in evaluation, where a gradient of nothing is 0; and the same weights. */
const untouched =
  (name: string) =>
  (model: tfl.LayersModel): Observed => {
    const evaluated = Object.entries(observe(model, cases[name])).filter(([part]) =>
      part.startsWith("evaluation"),
    );
    setWeights(model);
    return {
      ...Object.fromEntries(
        evaluated.map(([part, value]) => [part.replace("evaluation", "training"), value]),
      ),
      ...untrained(model),
    };
  };

const faults: readonly Fault[] = [
  {
    issue: "tensorflow/tfjs#2868",
    models: ["layer normalization without gamma and beta"],
    parts: /gradient/,
    theirs: /^TypeError: Cannot read properties of undefined/,
    right: { ...cases["layer normalization"], weights: { gamma: 1, beta: 0 } },
  },
  {
    issue: "tensorflow/tfjs#2868",
    models: ["batch normalization without gamma"],
    parts: /gradient|^training/,
    theirs: /^TypeError: Cannot read properties of undefined/,
    right: { build: chainOf({}), inputs: batch.inputs, weights: { gamma: 1 } },
  },
  {
    issue: "tensorflow/tfjs#2868",
    models: ["batch normalization without beta"],
    parts: /gradient|^training/,
    theirs: /^TypeError: Cannot read properties of undefined/,
    right: { build: chainOf({}), inputs: batch.inputs, weights: { beta: 0 } },
  },
  {
    issue: "tensorflow/tfjs#2868",
    models: ["batch normalization without gamma", "batch normalization without beta"],
    parts: /^after training/,
    right: { build: chainOf({}), inputs: batch.inputs, weights: { gamma: 1, beta: 0 } },
  },
  {
    issue: "tensorflow/tfjs#1773",
    models: ["batch normalization, axis 1"],
    parts: /^evaluation: gradient of (?!input)|^training: gradient/,
    theirs: /^Error: Size\(48\) must match the product of shape 1,3,1,1$/,
    right: withAxisLast([2, 3, 1], [3, 1, 2]),
  },
  {
    issue: "tensorflow/tfjs#1773",
    models: ["batch normalization, axis 2 of images"],
    parts: /^evaluation: gradient of (?!input)|^training: gradient/,
    theirs: /^Error: Size\(48\) must match the product of shape 1,1,2,1$/,
    right: withAxisLast([1, 3, 2], [1, 3, 2]),
  },
  // in the kernels of both backends the statistics of channels go round element by element, whatever their axis
  {
    issue: "tensorflow/tfjs#1106",
    models: ["batch normalization, axis 1"],
    parts: /output|^evaluation: gradient of input/,
    right: withAxisLast([2, 3, 1], [3, 1, 2]),
  },
  {
    issue: "tensorflow/tfjs#1106",
    models: ["batch normalization, axis 2 of images"],
    parts: /output|^evaluation: gradient of input/,
    right: withAxisLast([1, 3, 2], [1, 3, 2]),
  },
  {
    issue: "tensorflow/tfjs#8011",
    models: ["batch normalization of rank 5"],
    parts: /output|gradient/,
    theirs: /^Error: batchNormalization is not implemented for array of rank 5 yet$/,
    right: inRank4(),
  },
  {
    issue: "tensorflow/tfjs#8011",
    models: ["batch normalization of rank 5"],
    parts: /^after training/,
    right: inRank4(),
  },
  // y is cut to integers on cpu, and a float32's bits on wasm; integers are cast in Keras
  {
    issue: "keras-team/keras#15778",
    models: ["integers, batch normalization"],
    parts: /^(?!.*of input)/,
    right: asFloats("integers, batch normalization", "batch normalization, defaults"),
  },
  {
    issue: "keras-team/keras#15778",
    models: ["integers, layer normalization"],
    parts: /^(?!.*of input)/,
    right: asFloats("integers, layer normalization", "layer normalization"),
  },
  // a variance of one value, 0, goes into the running statistics
  {
    issue: "tensorflow/tensorflow#34062",
    models: ["one row, batch normalization"],
    parts: /^after training/,
    right: untrained,
  },
  // statistics of nothing go into the running ones
  {
    issue: "pytorch/pytorch#36530",
    models: ["no examples, batch normalization"],
    parts: /training/,
    right: untouched("no examples, batch normalization"),
  },
  {
    issue: "pytorch/pytorch#36530",
    models: ["no examples, a dense network"],
    parts: /training/,
    right: untouched("no examples, a dense network"),
  },
];

function chainOf(args: object): Case["build"] {
  return () =>
    tfl.sequential({
      layers: [
        layers.batchNormalization({ inputShape: [4], ...args } as Parameters<
          typeof layers.batchNormalization
        >[0]),
      ],
    });
}

function inRank4(): Case {
  return {
    build: () =>
      tfl.sequential({
        layers: [
          layers.reshape({ inputShape: [2, 3, 2, 4], targetShape: [6, 2, 4] }),
          layers.batchNormalization({}),
          layers.reshape({ targetShape: [2, 3, 2, 4] }),
        ],
      }),
    inputs: cases["batch normalization of rank 5"].inputs,
  };
}

interface Before {
  readonly model: tfl.LayersModel;
  readonly saved: tf.io.ModelArtifacts;
  readonly seen: Observed;
  /** Of each fault that is in the model, what is right. */
  readonly right: ReadonlyMap<Fault, Observed>;
}

/** Weights are set before each time that a model is observed, since training moves them. */
function watched(model: tfl.LayersModel, one: Case): Observed {
  setWeights(model);
  return observe(model, one);
}

function rightOf({ right }: Fault, model: tfl.LayersModel): Observed {
  setWeights(model);
  if (typeof right === "function") return right(model);
  const other = right.build();
  weightsByName(model, other, right.weights);
  return observe(other, right);
}

async function observeBefore(backend: Backend): Promise<Map<string, Before>> {
  await use(backend);
  const all = new Map<string, Before>();
  for (const [name, one] of Object.entries(cases)) {
    const model = one.build();
    setWeights(model);
    const saved = await artifacts(model);
    const own = faults.filter(({ models }) => models.includes(name));
    const right = new Map(own.map((fault) => [fault, rightOf(fault, model)]));
    all.set(name, { model, saved, seen: watched(model, one), right });
  }
  return all;
}

const before = { cpu: await observeBefore("cpu"), wasm: await observeBefore("wasm") };
const { install } = await import("../../src/tfjs/index.js");

/** What the wasm backend has no kernel for: the cpu backend says what is right. */
const MISSING_KERNEL = /Kernel '\w+' not registered for backend 'wasm'/;

/** Without the numbers of weights, which are others in another model. */
const bare = (part: string) => part.replace(/\d+ /, "");

/** What is expected after `install()`: what was seen before it, but for missing kernels and faults. */
function expectedOf(name: string, backend: Backend): Observed {
  const { seen, right } = before[backend].get(name) as Before;
  const expected = { ...seen };
  const replace = (part: string, values: Observed) => {
    delete expected[part];
    for (const each of Object.keys(values)) if (each.startsWith(part)) expected[each] = values[each];
  };
  for (const [part, value] of Object.entries(seen)) {
    if (typeof value === "string" && MISSING_KERNEL.test(value)) {
      replace(part, (before.cpu.get(name) as Before).seen);
    }
  }
  for (const [{ issue, parts, theirs }, values] of right) {
    const wrong = Object.entries(seen).filter(([part]) => parts.test(part));
    const byBare = Object.fromEntries(Object.entries(values).map(([part, value]) => [bare(part), value]));
    let differs = false;
    for (const [part, value] of wrong) {
      if (theirs) expect(value, `${issue}: ${part}`).toMatch(theirs);
      delete expected[part];
      differs ||= theirs !== undefined || !agrees(value, byBare[bare(part)]);
    }
    expect(differs, `${issue} is still there`).toBe(true);
    for (const [part, value] of Object.entries(values)) if (parts.test(part)) expected[part] = value;
  }
  return expected;
}

function agrees(value: Observed[string], other: Observed[string] | undefined): boolean {
  if (other === undefined || typeof value === "string" || typeof other === "string") return value === other;
  const limit = 2e-5 * Math.max(1, largest(other.values));
  return value.values.every((one, i) => Math.abs(one - other.values[i]) <= limit);
}

describe.each(backends)("%s", (backend) => {
  beforeAll(async () => {
    await use(backend);
    await install();
  });

  describe.each(Object.entries(cases))("%s", (name, one) => {
    const { model, saved } = before[backend].get(name) as Before;
    const others: [string, () => tfl.LayersModel | Promise<tfl.LayersModel>][] = [
      ["made before", () => model],
      ["made after", () => one.build()],
      ["loaded", () => tfl.loadLayersModel(tf.io.fromMemory(saved))],
    ];
    it.each(others)("%s", async (_, make) => {
      const seen = watched(await make(), one);
      const expected = expectedOf(name, backend);
      // weights that a model has not: gamma, where it was taken for 1
      const known = new Set(Object.keys(seen).map(bare));
      const wanted = Object.entries(expected).filter(
        ([part]) => known.has(bare(part)) || !/gamma|beta/.test(part),
      );
      const byBare = new Map(wanted.map(([part, value]) => [onlyOne(expected) ? bare(part) : part, value]));
      const got = new Map(
        Object.entries(seen).map(([part, value]) => [onlyOne(expected) ? bare(part) : part, value]),
      );
      expect([...got.keys()].sort()).toEqual([...byBare.keys()].sort());
      for (const [part, want] of byBare) compare(part, got.get(part) as Observed[string], want);
    });
  });
});

/** Whether weights' names alone tell them apart. */
function onlyOne(observed: Observed): boolean {
  const names = Object.keys(observed);
  return new Set(names.map(bare)).size === names.length;
}

function compare(part: string, got: Observed[string], want: Observed[string]): void {
  if (typeof want === "string" || typeof got === "string") {
    expect(got, part).toEqual(want);
    return;
  }
  expect(got.shape, part).toEqual(want.shape);
  const size = Math.max(1, largest(want.values));
  expectClose(part, got.values, want.values, () => 2e-5 * size);
}
