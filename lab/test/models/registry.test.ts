/** Which normalizations have a place in which models. */
import { catalog } from "evenkeel";
import * as tfjs from "evenkeel/tfjs";
import { expect, test } from "vitest";
import { acceptingModels, fits, modelNames, models, usualModel } from "../../src/models/registry.js";
import { kebab, type NormName } from "../../src/norms.js";

test("every model is listed by its own name", () => {
  for (const name of modelNames) expect(models[name].name).toBe(name);
});

test("the usual model is the most particular one that accepts the inputs", () => {
  expect([usualModel([30]), usualModel([8, 8, 1]), usualModel([2, 2, 1])]).toEqual(["mlp", "cnn", "mlp"]);
  expect(acceptingModels([2, 2, 1], 1)).toEqual(["mlp", "cnn"]);
});

test("a normalization of weights is compared where TensorFlow.js has a wrapper for it", () => {
  for (const { about } of Object.values(catalog)) {
    if (about.takes !== "weight") continue;
    const wrapper = about.name.replace(/norm$/i, (end) => `${end}alization`);
    expect([about.name, fits(kebab(about.name), "mlp")]).toEqual([about.name, wrapper in tfjs]);
  }
});

test("fits: instance normalization needs positions, all others fit both networks", () => {
  const norms: NormName[] = ["none", "layer", "rms", "batch", "group", "instance"];
  expect(norms.filter((norm) => fits(norm, "mlp"))).toEqual(["none", "layer", "rms", "batch", "group"]);
  expect(norms.filter((norm) => fits(norm, "cnn"))).toEqual(norms);
});
