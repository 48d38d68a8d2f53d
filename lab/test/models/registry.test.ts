/** Which models take which examples, and which normalizations have a place in which models. */
import { catalog } from "evenkeel";
import * as tfjs from "evenkeel/tfjs";
import { describe, expect, test } from "vitest";
import type { Form, InputKind } from "../../src/data/form.js";
import type { Model } from "../../src/models/model.js";
import {
  acceptingModels,
  fits,
  modelNames,
  models,
  normsFor,
  usualLearningRate,
  usualModel,
  usualNormsOf,
  usualOf,
} from "../../src/models/registry.js";
import { kebab, type NormName } from "../../src/norms.js";

const shapes: Record<InputKind, number[]> = {
  features: [30],
  image: [8, 8, 1],
  series: [24, 2],
  tokens: [20],
  items: [9],
};
const form = (kind: InputKind, shape = shapes[kind]): Form => ({
  input: { kind, shape, ...(["tokens", "items"].includes(kind) && { vocabulary: 50 }) },
  outputs: kind === "series" ? [6, 2] : kind === "items" ? [50] : [3],
});
const norms: NormName[] = ["none", "layer", "rms", "batch", "group", "instance"];

test("every model is listed by its own name", () => {
  for (const name of modelNames) expect(models[name].name).toBe(name);
});

test("the usual model is the most particular one that accepts the inputs", () => {
  const usual = (Object.keys(shapes) as InputKind[]).map((kind) => usualModel(form(kind)));
  expect(usual).toEqual(["mlp", "cnn", "linear", "transformer", "autoencoder"]);
  expect(usualModel(form("image", [2, 2, 1]))).toBe("mlp");
});

test("which models accept what", () => {
  expect(acceptingModels(form("features"))).toEqual(["mlp", "residual-mlp"]);
  expect(acceptingModels(form("image"))).toEqual(["mlp", "residual-mlp", "cnn", "residual-cnn"]);
  expect(acceptingModels(form("series"))).toEqual([
    "mlp",
    "residual-mlp",
    "linear",
    "transformer",
    "lstm",
    "gru",
  ]);
  expect(acceptingModels(form("tokens"))).toEqual(["transformer", "lstm", "gru"]);
  expect(acceptingModels(form("items"))).toEqual(["autoencoder", "two-towers"]);
  // too small to be pooled
  expect(acceptingModels(form("image", [2, 2, 1]))).toEqual(["mlp", "residual-mlp"]);
  expect(acceptingModels(form("image", [2, 2, 1]), 1)).toEqual([
    "mlp",
    "residual-mlp",
    "cnn",
    "residual-cnn",
  ]);
});

test("what is usual of a model depends on what it sees", () => {
  const { depth, optimizer, width } = usualOf(models.mlp, form("series"));
  expect([depth, optimizer, width]).toEqual([2, "adam", 128]);
  expect(usualOf(models.mlp, form("features"))).toEqual(models.mlp.usual);
  const { usual } = models.mlp;
  expect(usualLearningRate(usual, "momentum")).toBe(usual.learningRate.sgd / 10);
});

test("a normalization of weights is compared where TensorFlow.js has a wrapper for it", () => {
  for (const { about } of Object.values(catalog)) {
    if (about.takes !== "weight") continue;
    const wrapper = about.name.replace(/norm$/i, (end) => `${end}alization`);
    expect([about.name, fits(kebab(about.name), models.mlp)]).toEqual([about.name, wrapper in tfjs]);
  }
});

describe("fits", () => {
  test("instance normalization needs positions, all others fit both networks", () => {
    expect(norms.filter((norm) => fits(norm, models.mlp))).toEqual([
      "none",
      "layer",
      "rms",
      "batch",
      "group",
    ]);
    expect(norms.filter((norm) => fits(norm, models.cnn))).toEqual(norms);
  });

  test("what is around a network is around one of series", () => {
    for (const norm of ["reversible-instance", "layer+reversible-instance"]) {
      expect(fits(norm, models.mlp)).toBe(true);
      expect(fits(norm, models.mlp, form("series"))).toBe(true);
      expect(fits(norm, models.mlp, form("features"))).toBe(false);
    }
    expect(normsFor(models.mlp, form("image"))).not.toContain("reversible-instance");
  });

  test("an arrangement needs blocks that have it; another than the usual one is compared", () => {
    expect(fits("post-layer", models["residual-mlp"])).toBe(true);
    expect(fits("post-layer", models.mlp)).toBe(false);
    expect(fits("sandwich-layer", models["residual-cnn"])).toBe(false);
    expect(normsFor(models["residual-cnn"])).toContain("post-layer");
    expect(normsFor(models["residual-cnn"])).not.toContain("pre-layer");
  });

  test("what was tried and has no place does not fit, wherever it was to be", () => {
    const tried: Model = {
      ...models.cnn,
      unfit: (norm) => (norm === "group" ? "it has no place" : undefined),
    };
    expect(usualNormsOf(tried)).toEqual(["none", "layer", "rms", "batch", "instance"]);
    expect(normsFor(tried)).not.toContain("group");
  });
});
