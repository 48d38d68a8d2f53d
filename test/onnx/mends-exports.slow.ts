/** Models of real exporters, mended in each way and run in onnxruntime beside what they were. */
import * as ort from "onnxruntime-node";
import { expect, it } from "vitest";
import { fromHalf } from "../../src/checkpoints/tensors.js";
import { find } from "../../src/onnx/find.js";
import { type MendOptions, mendsOf } from "../../src/onnx/mends.js";
import { openModel } from "../../src/onnx/model.js";
import { type Exported, exportsOf, packs, type Values } from "../support/onnx-exports.js";
import { halfTensor, mendedBytes } from "../support/onnx-models.js";

/** Each so-manyth model is run: all of them are a thousand. */
const STEP = 16;
const skipping = new Set(["SkipLayerNormalization", "SkipSimplifiedLayerNormalization"]);
const ways: readonly MendOptions[] = [
  {},
  { target: "onnxruntime" },
  { target: "onnxruntime", runtimeOperators: skipping },
  { opset: 23 },
];
/** Of the largest value of an output: float16 has 11 bits, and what was kept in float32 between nodes is rounded to it after mending. */
const TOLERANCES = { float32: 1e-5, float16: 3e-3, mixed: 3e-3 };

async function given(bytes: Uint8Array, inputs: readonly Values[]): Promise<Record<string, Float32Array>> {
  const session = await ort.InferenceSession.create(bytes, {
    logSeverityLevel: 4,
    intraOpNumThreads: 1,
    // onnxruntime 1.30 breaks down on a Transpose before a MatMul in float16 when it does all it can
    graphOptimizationLevel: "layout",
  });
  const feeds = Object.fromEntries(
    inputs.map(({ name, dtype, bits, data, shape }) => [
      name,
      bits ? halfTensor(bits, shape) : new ort.Tensor(dtype, data as never, shape),
    ]),
  );
  const outputs = await session.run(feeds);
  await session.release();
  return Object.fromEntries(
    Object.entries(outputs).map(([name, { data }]) => [
      name,
      data instanceof Uint16Array ? fromHalf(data) : Float32Array.from(data as ArrayLike<number>, Number),
    ]),
  );
}

function differenceOf(y: ArrayLike<number>, expected: ArrayLike<number>): number {
  let [difference, most] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    const one = Math.abs(y[i] - expected[i]);
    difference = one <= difference ? difference : one;
    most = Math.max(most, Math.abs(expected[i]));
  }
  return difference === 0 ? 0 : difference / most;
}

async function differencesOf(
  { model: bytes, inputs, entry: { dtype } }: Exported,
  told: string,
): Promise<string[]> {
  const model = await openModel(bytes);
  const found = await find(model);
  let before: Record<string, Float32Array>;
  try {
    before = await given(bytes, inputs);
  } catch {
    // what onnxruntime does not run cannot be compared
    return [];
  }
  const wrong: string[] = [];
  for (const way of ways) {
    const mends = await mendsOf(model, found, way);
    if (mends.length === 0) continue;
    const after = await given(await mendedBytes(model, mends), inputs);
    for (const [name, expected] of Object.entries(before)) {
      const difference = differenceOf(after[name], expected);
      if (!(difference < TOLERANCES[dtype]))
        wrong.push(`${told} ${JSON.stringify(way)}: ${name} off by ${difference}`);
    }
  }
  return wrong;
}

it.each(packs)("%s", async (pack) => {
  const exported = (await exportsOf(pack)).filter(({ weights }) => weights === undefined);
  const wrong: string[] = [];
  for (const [i, one] of exported.entries()) {
    if (i % STEP === 0) wrong.push(...(await differencesOf(one, one.name)));
  }
  expect(wrong).toEqual([]);
});
