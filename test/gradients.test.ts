/**
 * The gradients of the reference against central differences in float64, with a random dy: never through sum(),
 * under which dx is zero and any mistake passes.
 */
import { describe, it } from "vitest";
import {
  batchNorm,
  groupNorm,
  instanceNorm,
  layerNorm,
  type Norm,
  open,
  type Parameters,
  type PlainArray,
  rmsNorm,
} from "../src/index.js";
import { sizeOf } from "../src/view.js";
import { expectClose, normal } from "./numerics.js";

const ek = await open({ backend: "reference" });

const cases: [Norm, number[]][] = [
  [layerNorm(), [3, 5]],
  [layerNorm({ axis: [1, 3] }), [2, 3, 2, 4]],
  [layerNorm({ axis: 0 }), [4, 3]],
  [rmsNorm(), [3, 5]],
  [rmsNorm({ axis: [0, 2] }), [2, 3, 4]],
  [batchNorm(), [6, 3]],
  [batchNorm({ axis: 1 }), [3, 2, 2, 2]],
  [groupNorm({ groups: 2 }), [2, 3, 4]],
  [groupNorm({ groups: 3, axis: 1 }), [2, 6, 2, 2]],
  [instanceNorm(), [2, 4, 3]],
  [instanceNorm({ axis: 1 }), [2, 3, 4]],
];

const STEP = 1e-5;

/** d(Σ dy·y)/d(values), one value at a time. */
function differences(values: Float64Array, loss: () => number): Float64Array {
  return values.map((value, i) => {
    values[i] = value + STEP;
    const above = loss();
    values[i] = value - STEP;
    const below = loss();
    values[i] = value;
    return (above - below) / (2 * STEP);
  });
}

describe.each(["measured", "given"] as const)("statistics %s", (source) => {
  it.each(cases.map(([norm, shape]) => ({ norm, shape, name: `${norm.name} [${shape}]` })))(
    "$name",
    ({ norm, shape }) => {
      const plan = norm.plan(shape);
      const of = (length: number, seed: number) => Float64Array.from(normal(length, seed));
      const x: PlainArray & { data: Float64Array } = { shape, data: of(sizeOf(shape), 1) };
      const dy: PlainArray = { shape, data: of(sizeOf(shape), 2) };
      const gamma = of(sizeOf(plan.parameterShape), 3);
      const beta = of(sizeOf(plan.parameterShape), 4);
      const parameters: Parameters = { gamma, beta };
      if (source === "given") {
        parameters.variance = of(sizeOf(plan.statisticsShape), 5).map((v) => v * v + 0.1);
        if (norm.centered) parameters.mean = of(sizeOf(plan.statisticsShape), 6);
      }
      const loss = () =>
        ek.forward(norm, x, parameters).y.data.reduce((sum, y, i) => sum + y * dy.data[i], 0);
      const { dx, dGamma, dBeta } = ek.backward(ek.forward(norm, x, parameters).saved, dy);
      const close = (name: string, actual: PlainArray | undefined, values: Float64Array) =>
        expectClose(name, actual?.data ?? new Float64Array(), differences(values, loss), () => 1e-7);
      close("dx", dx, x.data);
      close("dGamma", dGamma, gamma);
      close("dBeta", dBeta, beta);
    },
  );
});
