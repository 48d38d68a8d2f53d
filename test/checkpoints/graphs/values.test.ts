import { describe, expect, it } from "vitest";
import type { Graph } from "../../../src/checkpoints/graphs/graph.js";
import { constantOf, giversOf, readWithin, sourceOf } from "../../../src/checkpoints/graphs/values.js";
import { graphOf, constantOf as madeConstant } from "../../support/graphs.js";

const outer = graphOf({
  nodes: [["TopK", "x k", "_ places"]],
  constants: [madeConstant("k", 1), madeConstant("hidden", 2), madeConstant("own", 3)],
  inputs: [["x", [4]]],
});
const inner: Graph = graphOf({
  nodes: [["Add", "hidden own", "y"]],
  constants: [madeConstant("own", 5)],
  inputs: [["hidden", []]],
  around: outer,
});

describe("a value", () => {
  it("comes from the nearest graph that has it, and from without where that is an input", () => {
    expect(sourceOf(inner, "y")).toEqual({ source: inner.nodes[0], graph: inner });
    expect(sourceOf(inner, "places")).toEqual({ source: outer.nodes[0], graph: outer });
    expect(sourceOf(inner, "own")?.graph).toBe(inner);
    expect(sourceOf(outer, "hidden")?.source).toBe(outer.constants.get("hidden"));
    for (const name of ["hidden", "x", "nowhere"]) expect(sourceOf(inner, name)).toBeUndefined();
    expect(constantOf(inner, "k")).toBe(outer.constants.get("k"));
    expect(constantOf(inner, "places")).toBeUndefined();
  });

  it("that is left out has no giver", () => {
    expect([...giversOf(outer).keys()]).toEqual(["places"]);
  });
});

it("graphs in a node read what they do not have themselves, however deep", () => {
  const deep = graphOf({ nodes: [["Add", "far y", "z"]], outputs: ["z", "also"] });
  const body = graphOf({
    nodes: [
      ["Add", "near own", "y"],
      ["Clip", "y _ hidden", "w"],
      ["If", "c", "v", { then_branch: deep }],
    ],
    constants: [madeConstant("own", 1)],
    inputs: [["hidden", []]],
    outputs: ["v"],
  });
  const [node] = graphOf({ nodes: [["Loop", "n", "out", { body }]] }).nodes;
  expect(readWithin(node).sort()).toEqual(["also", "c", "far", "near"]);
});
