/** What was reported of networks in ONNX: wrong where a machine computes in the file's types, and right after mending. */
import { expect, it } from "vitest";
import { evaluated } from "../../src/checkpoints/graphs/evaluate.js";
import { find } from "../../src/onnx/find.js";
import { type MendOptions, mendsOf } from "../../src/onnx/mends.js";
import { type Model, openModel } from "../../src/onnx/model.js";
import {
  mendedBytes,
  type NewNodeOf,
  newConstant,
  onnxBytes,
  roundedTo,
  run,
} from "../support/onnx-models.js";

type Type = "float32" | "float16";

const over = { axes: { integer: [-1] }, keepdims: { integer: 1 } };
const SQUARES = {
  centred: [
    ["Pow", "distance two", "squares"],
    ["ReduceMean", "squares", "variance", over],
  ],
  cancelling: [
    ["Mul", "x x", "squares"],
    ["ReduceMean", "squares", "power", over],
    ["Mul", "mean mean", "meanSquared"],
    ["Sub", "power meanSquared", "variance"],
  ],
} as const satisfies Record<string, readonly NewNodeOf[]>;

/** Layer normalization over the last axis, as exporters write it below opset 17. */
function layerNorm(dtype: Type, shape: readonly number[], squares: keyof typeof SQUARES): Uint8Array {
  const width = shape[shape.length - 1];
  const perFeature = (name: string, value: (i: number) => number) =>
    newConstant(
      name,
      Float64Array.from({ length: width }, (_, i) => value(i)),
      [width],
      dtype,
    );
  return onnxBytes({
    opset: 13,
    nodes: [
      ["ReduceMean", "x", "mean", over],
      ["Sub", "x mean", "distance"],
      ...SQUARES[squares],
      ["Add", "variance epsilon", "guarded"],
      ["Sqrt", "guarded", "deviation"],
      ["Div", "distance deviation", "xHat"],
      ["Mul", "xHat gamma", "scaled"],
      ["Add", "scaled beta", "y"],
    ],
    constants: [
      newConstant("two", 2, [], dtype),
      newConstant("epsilon", 1e-5, [], dtype),
      perFeature("gamma", (i) => 1 + (i % 3) / 4),
      perFeature("beta", (i) => (i % 5) / 8),
    ],
    inputs: [["x", shape, dtype]],
    outputs: [["y", shape, dtype]],
  });
}

const mended = async (model: Model, options?: MendOptions) =>
  mendedBytes(model, await mendsOf(model, await find(model), options));

/** The farthest y from float64, where all values are rounded to their types. */
async function errorOf(
  bytes: Uint8Array,
  x: { shape: readonly number[]; data: Float64Array },
): Promise<number> {
  const { graph } = await openModel(bytes);
  const given = new Map([["x", x]]);
  const [exact, rounded] = await Promise.all(
    [false, true].map(async (one) => (await evaluated(graph, ["y"], { given, rounded: one })).get("y")?.data),
  );
  if (exact === undefined || rounded === undefined) throw new Error("expected y");
  return Math.max(
    ...exact.map((value, i) => (Number.isNaN(rounded[i]) ? Infinity : Math.abs(value - rounded[i]))),
  );
}

it.each([
  [
    "its squares overflow (onnxruntime#31626): one value of 60000",
    (i: number) => (i === 7 ? 60000 : Math.sin(i)),
  ],
  ["its squares overflow (onnxruntime#26732): values of 300", (i: number) => 300 * Math.sin(3 * i)],
])("a layer normalization in float16: %s", async (_, value) => {
  const shape = [2, 64];
  const x = {
    shape,
    data: Float64Array.from(
      roundedTo(
        "float16",
        Array.from({ length: 128 }, (_, i) => value(i)),
      ),
    ),
  };
  const bytes = layerNorm("float16", shape, "centred");
  expect(await errorOf(bytes, x)).toBeGreaterThan(0.02);
  const model = await openModel(bytes);
  for (const options of [{}, { opset: 17 }, { target: "onnxruntime" } as const]) {
    const after = await mended(model, options);
    expect(await errorOf(after, x), JSON.stringify(options)).toBeLessThan(0.01);
    const { y } = await run(after, { x });
    expect(y.every(Number.isFinite)).toBe(true);
  }
});

it("rows of 40000 to 40003 by E[x²] − E[x]² (onnxruntime#28463)", async () => {
  const shape = [2, 4];
  const x = { shape, data: Float64Array.of(40000, 40001, 40002, 40003, 40003, 40001, 40000, 40002) };
  const bytes = layerNorm("float32", shape, "cancelling");
  expect(await errorOf(bytes, x)).toBeGreaterThan(0.5);
  const { graph } = await openModel(bytes);
  const exact = (await evaluated(graph, ["y"], { given: new Map([["x", x]]) })).get("y")?.data;
  const { y: before } = await run(bytes, { x });
  expect(before.every((value, i) => Math.abs(value - (exact?.[i] ?? 0)) < 0.5)).toBe(false);
  for (const options of [{}, { opset: 17 }, { target: "onnxruntime" } as const]) {
    const after = await mended(await openModel(bytes), options);
    expect(await errorOf(after, x)).toBeLessThan(1e-5);
    const { y } = await run(after, { x });
    for (const [i, value] of y.entries()) expect(value).toBeCloseTo(exact?.[i] ?? Number.NaN, 3);
  }
});
