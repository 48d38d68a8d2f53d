/**
 * The gradients of the reference against central differences in float64, with a random dy: never through sum(),
 * under which dx is zero and any mistake passes.
 */
import { describe, it } from "vitest";
import {
  batchNorm,
  type ForwardOptions,
  type FusedNorm,
  groupNorm,
  instanceNorm,
  layerNorm,
  open,
  type PlainArray,
  rmsNorm,
  type Values,
} from "../../src/index.js";
import { sizeOf } from "../../src/shape.js";
import { expectClose, normal, random } from "../support/numerics.js";

const ek = await open({ backend: "reference" });

const cases: [FusedNorm, number[]][] = [
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

/** d(loss)/d(values), one value at a time. */
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

const dot = (a: Values, b: Values) => Float64Array.from(a, (v, i) => v * b[i]).reduce((x, y) => x + y);

describe.each([
  { given: false, residual: false, masked: false },
  { given: true, residual: false, masked: false },
  { given: false, residual: true, masked: false },
  { given: true, residual: true, masked: false },
  { given: false, residual: true, masked: true },
  { given: true, residual: true, masked: true },
])("statistics given: $given, residual: $residual, masked: $masked", ({ given, residual: added, masked }) => {
  it.each(cases.map(([norm, shape]) => ({ norm, shape, name: `${norm.name} [${shape}]` })))(
    "$name",
    ({ norm, shape }) => {
      const plan = norm.plan(shape);
      const of = (length: number, seed: number) => Float64Array.from(normal(length, seed));
      const like = (seed: number) => ({ shape, data: of(sizeOf(shape), seed) });
      const [x, dy, residual, dSum] = [like(1), like(2), like(7), like(8)];
      const gamma = of(sizeOf(plan.parameterShape), 3);
      const beta = of(sizeOf(plan.parameterShape), 4);
      const options: ForwardOptions = { gamma, beta };
      if (added) options.residual = residual;
      if (masked) {
        const next = random(9);
        options.mask = { shape, data: Array.from({ length: sizeOf(shape) }, () => next() < 0.6) };
      }
      if (given) {
        options.variance = of(sizeOf(plan.statisticsShape), 5).map((v) => v * v + 0.1);
        if (norm.centered) options.mean = of(sizeOf(plan.statisticsShape), 6);
      }
      const loss = () => {
        const { y, sum } = ek.forward<PlainArray>(norm, x, options);
        return dot(y.data, dy.data) + (sum ? dot(sum.data, dSum.data) : 0);
      };
      const { saved } = ek.forward<PlainArray>(norm, x, options);
      const { dx, dGamma, dBeta } = ek.backward(saved, dy, added ? dSum : undefined);
      const close = (name: string, actual: PlainArray | undefined, values: Float64Array) =>
        expectClose(name, actual?.data ?? new Float64Array(), differences(values, loss), () => 1e-7);
      close("dx", dx, x.data);
      if (added) close("dx as the residual's", dx, residual.data);
      close("dGamma", dGamma, gamma);
      close("dBeta", dBeta, beta);
    },
  );
});
