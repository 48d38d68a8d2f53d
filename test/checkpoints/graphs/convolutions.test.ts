/** Convolutions in float64, against onnxruntime's. */
import { expect, it } from "vitest";
import { evaluated } from "../../../src/checkpoints/graphs/evaluate.js";
import type { Values64 } from "../../../src/formula/eager.js";
import { openModel } from "../../../src/onnx/model.js";
import { sizeOf } from "../../../src/shape.js";
import { type NewNodeOf, onnxBytes, run } from "../../support/onnx-models.js";

type Lengths = readonly number[];

const integers = (...integer: number[]) => ({ integer });
const group = (integer: number) => ({ group: { integer } });
const x = [2, 6, 7, 5];

/** Operator, shapes of x and w, attributes, and how many values a bias has. */
const cases: readonly [string, Lengths, Lengths, NewNodeOf[3]?, number?][] = [
  ["Conv", x, [4, 6, 3, 3], { pads: integers(1, 1, 1, 1) }, 4],
  ["Conv", x, [6, 1, 3, 3], { ...group(6), strides: integers(2, 2), pads: integers(1, 0, 2, 1) }, 6],
  ["Conv", x, [6, 2, 3, 2], { ...group(3), dilations: integers(2, 1) }],
  ["Conv", x, [4, 6, 2, 3], { auto_pad: "SAME_UPPER", strides: integers(2, 1) }],
  ["Conv", x, [4, 6, 2, 2], { auto_pad: "SAME_LOWER" }, 4],
  ["Conv", x, [4, 6, 1, 1], { auto_pad: "VALID", strides: integers(3, 2) }],
  ["Conv", [2, 3, 9], [4, 3, 4], { strides: integers(2) }],
  ["Conv", [1, 2, 3, 4, 3], [2, 2, 2, 2, 2], { pads: integers(0, 1, 0, 1, 0, 1) }],
  ["ConvTranspose", x, [6, 4, 3, 3], { strides: integers(2, 2), pads: integers(1, 1, 0, 1) }, 4],
  ["ConvTranspose", x, [6, 2, 3, 2], { ...group(2), dilations: integers(1, 2), strides: integers(3, 1) }],
  ["ConvTranspose", x, [6, 4, 2, 2], { strides: integers(2, 2), output_padding: integers(1, 0) }, 4],
  ["ConvTranspose", [2, 3, 5], [3, 4, 4], { strides: integers(2) }],
];

/** Values that float32 holds, of which none is another. */
function filled(shape: Lengths, seed: number): Values64 {
  return {
    shape,
    data: Float64Array.from({ length: sizeOf(shape) }, (_, i) => Math.fround(Math.sin(seed + i))),
  };
}

it.each(cases)("%s of [%s] by [%s], %j", async (operator, xShape, wShape, attributes = {}, bias = 0) => {
  const given = new Map([
    ["x", filled(xShape, 1)],
    ["w", filled(wShape, 2)],
  ]);
  if (bias > 0) given.set("b", filled([bias], 3));
  const bytes = onnxBytes({
    opset: 17,
    nodes: [[operator, [...given.keys()].join(" "), "y", attributes]],
    inputs: Array.from(given, ([name, { shape }]) => [name, shape] as const),
    outputs: [["y"]],
  });
  const theirs = await run(bytes, Object.fromEntries(given));
  const { graph } = await openModel(bytes);
  const ours = (await evaluated(graph, ["y"], { given })).get("y");
  expect(ours?.data.length).toBe(theirs.y.length);
  const distances = Array.from(theirs.y, (value, i) => Math.abs(value - (ours as Values64).data[i]));
  expect(Math.max(...distances)).toBeLessThan(1e-5);
});

it("is not computed where it does not fit, or of padding that the output's shape asks for", async () => {
  const refused: [string, Lengths, Lengths, NewNodeOf[3]?][] = [
    ["Conv", x, [4, 5, 3, 3]],
    ["Conv", x, [4, 6, 9, 3]],
    ["ConvTranspose", x, [6, 4, 3, 3], { output_shape: integers(9, 9) }],
  ];
  for (const [operator, xShape, wShape, attributes] of refused) {
    const bytes = onnxBytes({
      opset: 17,
      nodes: [[operator, "x w", "y", attributes]],
      inputs: [
        ["x", xShape],
        ["w", wShape],
      ],
      outputs: [["y"]],
    });
    const given = new Map([
      ["x", filled(xShape, 1)],
      ["w", filled(wShape, 2)],
    ]);
    expect((await evaluated((await openModel(bytes)).graph, ["y"], { given })).get("y")).toBeUndefined();
  }
});
