/**
 * The ONNX project's own node tests for the norms built here (test/fixtures/onnx-node-cases.json, credit: ONNX,
 * Apache-2.0), on every backend, as a user would call them.
 */
import { describe, expect, it } from "vitest";
import {
  type BackendName,
  batchNorm,
  type Evenkeel,
  type FusedNorm,
  groupNorm,
  instanceNorm,
  layerNorm,
  open,
  type Parameters,
  type PlainArray,
  rmsNorm,
} from "../../src/index.js";
import cases from "../fixtures/onnx-node-cases.json" with { type: "json" };
import { expectClose } from "../support/numerics.js";

interface Tensor {
  shape: number[];
  data: number[];
}
interface OnnxCase {
  name: string;
  op: string;
  attrs: { axis?: number; epsilon?: number; num_groups?: number; training_mode?: number };
  inputs: Tensor[];
  outputs: Tensor[];
}

const built = [
  "LayerNormalization",
  "RMSNormalization",
  "BatchNormalization",
  "GroupNormalization",
  "InstanceNormalization",
];
/** Not built yet; counted, so that a case is never lost silently. */
const later = ["LpNormalization", "MeanVarianceNormalization"];

/** From `axis` to the last one. */
const trailing = ({ axis = -1 }: OnnxCase["attrs"], rank: number) => {
  const first = axis < 0 ? axis + rank : axis;
  return Array.from({ length: rank - first }, (_, i) => first + i);
};

function normOf({ op, attrs, inputs }: OnnxCase): FusedNorm {
  const epsilon = attrs.epsilon ?? 1e-5;
  const rank = inputs[0].shape.length;
  switch (op) {
    case "LayerNormalization":
      return layerNorm({ axis: trailing(attrs, rank), epsilon });
    case "RMSNormalization":
      return rmsNorm({ axis: trailing(attrs, rank), epsilon });
    case "BatchNormalization":
      return batchNorm({ axis: 1, epsilon });
    case "GroupNormalization":
      return groupNorm({ axis: 1, epsilon, groups: attrs.num_groups });
    default:
      return instanceNorm({ axis: 1, epsilon });
  }
}

/** The outputs that ONNX names, in its order. */
function run(ek: Evenkeel, onnx: OnnxCase): (ArrayLike<number> | undefined)[] {
  const plain = (tensor: Tensor): PlainArray => ({
    data: Float32Array.from(tensor.data),
    shape: tensor.shape,
  });
  const [x, gamma, beta, mean, variance] = onnx.inputs.map(plain);
  const norm = normOf(onnx);
  const parameters: Parameters = { gamma: gamma.data, beta: beta?.data };
  if (onnx.op !== "BatchNormalization") {
    const result = ek.forward(norm, x, parameters);
    const inverse =
      result.variance && Array.from(result.variance.data, (v) => 1 / Math.sqrt(v + norm.epsilon));
    return [result.y.data, result.mean?.data, inverse];
  }
  if (onnx.attrs.training_mode !== 1) {
    return [ek.forward(norm, x, { ...parameters, mean: mean.data, variance: variance.data }).y.data];
  }
  const result = ek.forward(norm, x, parameters);
  const running = (old: PlainArray, batch?: PlainArray) =>
    Array.from(old.data, (v, c) => 0.9 * v + 0.1 * (batch?.data[c] ?? Number.NaN));
  return [result.y.data, running(mean, result.mean), running(variance, result.variance)];
}

it("every case is either run or named as not built yet", () => {
  expect(cases.filter(({ op }) => ![...built, ...later].includes(op))).toEqual([]);
  expect(cases.filter(({ op }) => built.includes(op)).length).toBe(46);
});

describe.each<BackendName>(["reference", "wasm"])("%s", async (backend) => {
  const ek = await open({ backend });
  it.each((cases as OnnxCase[]).filter(({ op }) => built.includes(op)))("$name", (onnx) => {
    const outputs = run(ek, onnx);
    for (const [i, expected] of onnx.outputs.entries()) {
      const actual = Float64Array.from(outputs[i] ?? []);
      expectClose(`output ${i}`, actual, expected.data, (at) => 2e-6 * (1 + Math.abs(expected.data[at])));
    }
    expect(ek.memory().arrays).toBe(0);
  });
});
