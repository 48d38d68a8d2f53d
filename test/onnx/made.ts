/** Models that `toOnnx` makes, run in ONNX Runtime and held to the formula in float64. */
import { Eager, type Values64 } from "../../src/formula/eager.js";
import { initialValues } from "../../src/formula/normalization.js";
import { run as runFormula } from "../../src/formula/run.js";
import type { Normalization } from "../../src/index.js";
import { openModel } from "../../src/onnx/model.js";
import { type OpenLength, type ToOnnxOptions, toOnnx } from "../../src/onnx/to-onnx.js";
import { sizeOf } from "../../src/shape.js";
import type { Row } from "../norms/rows/index.js";
import { largest, normal } from "../support/numerics.js";
import { roundedTo, run } from "../support/onnx-models.js";

type Weights = Readonly<Record<string, Float64Array>>;

/** Random weights of float32. */
export function weightsOf({
  norm,
  shapes,
  weights: chosen,
}: Pick<Row, "norm" | "shapes" | "weights">): Weights {
  const entries = Object.entries(norm.weights(...shapes)).map(([name, weight], i) => {
    const start = initialValues(weight);
    const values = Float64Array.from(normal(sizeOf(weight.shape), 31 + i), (value, at) =>
      weight.trained ? start[at] + 0.3 * value : Math.abs(value) + 0.5,
    );
    return [name, (chosen?.(name, values) ?? values).map(Math.fround)];
  });
  return Object.fromEntries(entries);
}

/** Random inputs of a type. */
export function inputsOf(
  { shapes, input = (value) => value }: Pick<Row, "shapes" | "input">,
  type: "float32" | "float16" = "float32",
): Values64[] {
  return shapes.map((shape, i) => {
    const data = Array.from(normal(sizeOf(shape), 11 + i, 0.3), i === 0 ? input : (value) => value);
    return { shape, data: Float64Array.from(roundedTo(type, data)) };
  });
}

/** All outputs of the formula in evaluation, in float64. */
export function exact(norm: Normalization, inputs: readonly Values64[], weights: Weights): Float64Array[] {
  const specified = norm.weights(...inputs.map(({ shape }) => shape));
  const arrays = Object.entries(weights).map(([name, data]) => [
    name,
    { shape: specified[name].shape, data },
  ]);
  const options = { training: false };
  const { y, more = [] } = runFormula(new Eager(), norm, inputs, Object.fromEntries(arrays), options);
  return [y, ...more].map(({ data }) => data);
}

/** All outputs of a model in ONNX Runtime. */
export async function executed(bytes: Uint8Array, inputs: readonly Values64[]): Promise<Float32Array[]> {
  const { graph } = await openModel(bytes);
  const given = await run(bytes, Object.fromEntries(graph.inputs.map(({ name }, i) => [name, inputs[i]])));
  return graph.outputs.map(({ name }) => given[name]);
}

/** The largest difference in any output, relative to its largest value, or to 1; infinite where lengths differ, or NaN is. */
export function difference(actual: readonly Float32Array[], expected: readonly Float64Array[]): number {
  let most = actual.length === expected.length ? 0 : Number.POSITIVE_INFINITY;
  for (const [i, values] of expected.entries()) {
    if (actual[i]?.length !== values.length) return Number.POSITIVE_INFINITY;
    const scale = Math.max(1, largest(values));
    for (const [at, value] of values.entries()) {
      const distance = Math.abs(actual[i][at] - value) / scale;
      if (!(distance <= most)) most = Number.isNaN(distance) ? Number.POSITIVE_INFINITY : distance;
    }
  }
  return most;
}

/** How far a row's model is from its formula. @param shapes that the model is made for; default: those of the row */
export async function compared(
  row: Row,
  options: ToOnnxOptions = {},
  shapes: readonly (readonly OpenLength[])[] = row.shapes,
): Promise<number> {
  const [weights, inputs] = [weightsOf(row), inputsOf(row, options.type)];
  const bytes = toOnnx(row.norm, shapes, weights, options);
  return difference(await executed(bytes, inputs), exact(row.norm, inputs, weights));
}
