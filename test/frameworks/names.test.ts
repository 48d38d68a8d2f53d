/** Names of weights in other frameworks, there and back. */
import { describe, expect, it } from "vitest";
import { conventions, type Framework } from "../../src/frameworks/conventions.js";
import { ours, theirs } from "../../src/frameworks/names.js";

const frameworks = Object.keys(conventions) as Framework[];

describe.each(frameworks)("%s", (framework) => {
  it.each(["gamma", "beta", "runningMean", "runningVariance", "renormMean", "someOther"])("%s", (weight) => {
    for (const norm of [undefined, "layerNorm", "rmsNorm", "groupNorm", "spectralNorm"]) {
      expect(ours(framework, theirs(framework, weight, norm), norm)).toBe(weight);
    }
  });
});

it("are the frameworks' own", () => {
  const all = ["gamma", "beta", "runningMean", "runningVariance"];
  const named = (framework: Framework) => all.map((weight) => theirs(framework, weight));
  expect(named("pytorch")).toEqual(["weight", "bias", "running_mean", "running_var"]);
  expect(named("keras3")).toEqual(["gamma", "beta", "moving_mean", "moving_variance"]);
  expect(named("gluon")).toEqual(["gamma", "beta", "running_mean", "running_var"]);
  expect(named("mxnet")).toEqual(["gamma", "beta", "moving_mean", "moving_var"]);
  expect(named("flax")).toEqual(["scale", "bias", "mean", "var"]);
  expect(named("onnx")).toEqual(["scale", "B", "input_mean", "input_var"]);
  expect(theirs("keras3", "gamma", "rmsNorm")).toBe("scale");
  expect(theirs("pytorch", "u", "spectralNorm")).toBe("weight_u");
  expect(theirs("keras2", "u", "spectralNorm")).toBe("vector_u");
  expect(theirs("pytorch", "gamma", "cumulativeLayerNorm")).toBe("gamma");
});

it("names that every object has are no names of norms or weights", () => {
  for (const name of ["constructor", "toString", "__proto__", "hasOwnProperty"]) {
    expect(theirs("keras3", "gamma", name)).toBe("gamma");
    expect(ours("keras3", theirs("keras3", name))).toBe(name);
  }
});
