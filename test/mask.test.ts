/**
 * Masks: norms × backends × masks × statistics given or not × residual or not, against plain loops in float64 over the
 * elements that count, gathered one by one. Padding holds NaN and Infinity; outputs start as NaN, between guard zones.
 */
import { describe, expect, it } from "vitest";
import {
  batchNorm,
  type FusedNorm,
  groupNorm,
  instanceNorm,
  layerNorm,
  open,
  type PlainArray,
  rmsNorm,
  type Values,
} from "../src/index.js";
import type { Kernels } from "../src/kernels/contract.js";
import { type Mask, maskOfLengths } from "../src/mask.js";
import { Evenkeel } from "../src/native/evenkeel.js";
import { sizeOf } from "../src/shape.js";
import { backends, handleFrom } from "./support/backends.js";
import { expectClose, normal, random, tolerance } from "./support/numerics.js";

const GUARD = 32;
const EXACT = Number.MIN_VALUE;

/** Kernels whose arrays start as NaN and stand between guard zones, which are looked at when an array is released. */
function guarded(kernels: Kernels<unknown>): Kernels<unknown> {
  const allocate = kernels.allocate.bind(kernels);
  const release = kernels.release.bind(kernels);
  const wholes = new Map<unknown, { whole: unknown; length: number }>();
  return Object.assign(Object.create(kernels) as Kernels<unknown>, {
    allocate(length: number) {
      const whole = allocate(length + 2 * GUARD);
      kernels.values(whole, length + 2 * GUARD).fill(Number.NaN);
      const handle = handleFrom(whole, GUARD);
      wholes.set(handle, { whole, length });
      return handle;
    },
    values: (handle: unknown, length: number) => kernels.values(handle, length).subarray(0, length),
    release(handle: unknown) {
      const { whole, length } = wholes.get(handle) as { whole: unknown; length: number };
      wholes.delete(handle);
      const all = kernels.values(whole, length + 2 * GUARD);
      const guards = [...all.subarray(0, GUARD), ...all.subarray(GUARD + length)];
      expect(guards.every(Number.isNaN), "guard zone was written").toBe(true);
      release(whole);
    },
  });
}

const opened = await Promise.all(
  backends.map(async ({ name, open }) => ({ backend: name, ek: new Evenkeel(guarded(await open())) })),
);

type Position = readonly number[];

interface Case {
  norm: FusedNorm;
  shape: number[];
  /** Of the mask. */
  mask: number[];
  /** Which statistic, and which parameter, an element has: coordinates in the shapes of these. */
  statistic: (position: Position) => number[];
  parameter: (position: Position) => number[];
}

const groups = 3;
const of = (
  norm: FusedNorm,
  shape: number[],
  mask: number[],
  rest: Pick<Case, "statistic" | "parameter">,
): Case => ({
  norm,
  shape,
  mask,
  ...rest,
});
const rows = {
  statistic: ([b, t]: Position) => [b, t],
  parameter: ([, , c]: Position) => [c],
};
const examples = {
  statistic: ([b]: Position) => [b],
  parameter: ([, t, c]: Position) => [t, c],
};
const channel = (axis: number) => (position: Position) => [position[axis]];
const grouped = (axis: number, channels: number) => ({
  statistic: (position: Position) => [position[0], Math.floor(position[axis] / (channels / groups))],
  parameter: channel(axis),
});
const instances = (axis: number) => ({
  statistic: (position: Position) => [position[0], position[axis]],
  parameter: channel(axis),
});

const cases: Case[] = [
  of(layerNorm(), [4, 5, 6], [4, 5], rows),
  of(layerNorm(), [4, 5, 6], [4, 5, 6], rows),
  of(layerNorm(), [3, 9, 37], [3], rows),
  of(layerNorm({ axis: [1, 2] }), [4, 5, 6], [4, 5], examples),
  // the plan moves the axes
  of(layerNorm({ axis: [1, 3] }), [2, 3, 4, 5], [2, 3, 1, 5], {
    statistic: ([a, , c]) => [a, c],
    parameter: ([, b, , d]) => [b, d],
  }),
  // no view of four numbers keeps these axes
  of(layerNorm({ axis: [2, 3, 4] }), [2, 3, 4, 2, 3], [2, 1, 4, 1, 3], {
    statistic: ([a, b]) => [a, b],
    parameter: ([, , c, d, e]) => [c, d, e],
  }),
  of(rmsNorm(), [4, 5, 6], [4, 5], rows),
  of(rmsNorm({ axis: [1, 2] }), [4, 5, 6], [4, 5], examples),
  of(batchNorm(), [4, 5, 6], [4, 5], { statistic: channel(2), parameter: channel(2) }),
  of(batchNorm(), [4, 5, 6], [4, 1, 6], { statistic: channel(2), parameter: channel(2) }),
  of(batchNorm(), [7, 4], [7], { statistic: channel(1), parameter: channel(1) }),
  of(batchNorm(), [6, 33, 70], [6, 33], { statistic: channel(2), parameter: channel(2) }),
  of(batchNorm({ axis: 1 }), [4, 6, 5], [4, 1, 5], { statistic: channel(1), parameter: channel(1) }),
  of(batchNorm({ axis: 1 }), [4, 6, 5, 7], [4, 1, 5], { statistic: channel(1), parameter: channel(1) }),
  of(groupNorm({ groups }), [4, 5, 6], [4, 5], grouped(2, 6)),
  of(groupNorm({ groups, axis: 1 }), [4, 6, 5], [4, 1, 5], grouped(1, 6)),
  of(instanceNorm(), [4, 5, 6], [4, 5], instances(2)),
  of(instanceNorm({ axis: 1 }), [4, 6, 5], [4, 1, 5], instances(1)),
];

/** Row-major coordinates of element `index`. */
function positionOf(shape: readonly number[], index: number): number[] {
  const position = new Array<number>(shape.length);
  for (let axis = shape.length - 1, rest = index; axis >= 0; axis--) {
    position[axis] = rest % shape[axis];
    rest = Math.floor(rest / shape[axis]);
  }
  return position;
}

const indexOf = (shape: readonly number[], position: Position) =>
  shape.reduce((index, length, axis) => index * length + position[axis], 0);

/** Which elements of x count. */
function countsOf({ shape, mask }: Case, values: ArrayLike<number | boolean>): boolean[] {
  return Array.from({ length: sizeOf(shape) }, (_, i) => {
    const position = positionOf(shape, i);
    const at = mask.map((length, axis) => (length === 1 ? 0 : position[axis]));
    return Boolean(values[indexOf(mask, at)]);
  });
}

/** Mask values by their kind, for a mask of this shape. */
const masks: Record<string, (one: Case) => ArrayLike<number | boolean>> = {
  random: ({ mask }) => {
    const next = random(11);
    return Float32Array.from({ length: sizeOf(mask) }, () => (next() < 0.6 ? 2.5 : 0));
  },
  lengths: ({ mask, shape }) => {
    // along the last axis that the mask tells apart
    const axis = mask.findLastIndex((length) => length > 1);
    const next = random(12);
    const lengths = Array.from({ length: sizeOf(mask) / mask[axis] }, () =>
      Math.floor(next() * (shape[axis] + 1)),
    );
    return maskOfLengths(lengths, mask[axis]).data;
  },
  "a statistic without elements": (one) => {
    const statistic = String(one.statistic(positionOf(one.shape, 0)));
    return Array.from({ length: sizeOf(one.mask) }, (_, i) => {
      const position = positionOf(one.mask, i);
      const touches = (index: number) => {
        const other = positionOf(one.shape, index);
        return (
          String(one.statistic(other)) === statistic &&
          one.mask.every((length, axis) => length === 1 || other[axis] === position[axis])
        );
      };
      return !Array.from({ length: sizeOf(one.shape) }, (_, index) => index).some(touches);
    });
  },
  everything: ({ mask }) => new Uint8Array(sizeOf(mask)).fill(1),
  nothing: ({ mask }) => new Uint8Array(sizeOf(mask)),
};

interface Inputs {
  x: Float32Array;
  residual?: Float32Array;
  dy: Float32Array;
  dSum?: Float32Array;
  gamma: Float32Array;
  beta: Float32Array;
  mean?: Float32Array;
  variance?: Float32Array;
}

/** What comes out, from the formulas, over lists of the elements that count. */
function expectedOf(one: Case, counts: boolean[], inputs: Inputs) {
  const { norm, shape } = one;
  const plan = norm.plan(shape);
  const size = sizeOf(shape);
  const sum = Float64Array.from(inputs.x, (v, i) => Math.fround(v + (inputs.residual?.[i] ?? 0)));
  const zeros = (of: readonly number[]) => new Float64Array(sizeOf(of));
  const [y, dx] = [zeros(shape), Float64Array.from({ length: size }, (_, i) => inputs.dSum?.[i] ?? 0)];
  const [mean, variance] = [zeros(plan.statisticsShape), zeros(plan.statisticsShape)];
  const [dGamma, dBeta] = [zeros(plan.parameterShape), zeros(plan.parameterShape)];
  const members: number[][] = Array.from(mean, () => []);
  const parameter = new Int32Array(size);
  /** By how much a rounding of the stored mean or of a sum moves dx. */
  const sensitivity = new Float64Array(size);
  for (let i = 0; i < size; i++) {
    const position = positionOf(shape, i);
    parameter[i] = indexOf(plan.parameterShape, one.parameter(position));
    if (counts[i]) members[indexOf(plan.statisticsShape, one.statistic(position))].push(i);
  }
  members.forEach((list, s) => {
    const average = (value: (i: number) => number) =>
      list.length === 0 ? 0 : list.reduce((total, i) => total + value(i), 0) / list.length;
    mean[s] = inputs.mean?.[s] ?? (norm.centered ? average((i) => sum[i]) : 0);
    variance[s] = inputs.variance?.[s] ?? average((i) => (sum[i] - mean[s]) ** 2);
    const rstd = 1 / Math.sqrt(variance[s] + norm.epsilon);
    const xHat = (i: number) => (sum[i] - mean[s]) * rstd;
    const g = (i: number) => inputs.dy[i] * inputs.gamma[parameter[i]];
    const given = inputs.variance !== undefined;
    const level = given || !norm.centered ? 0 : average(g);
    const slope = given ? 0 : average((i) => g(i) * xHat(i));
    for (const i of list) {
      y[i] = xHat(i) * inputs.gamma[parameter[i]] + inputs.beta[parameter[i]];
      dx[i] += rstd * (g(i) - level - xHat(i) * slope);
      dGamma[parameter[i]] += inputs.dy[i] * xHat(i);
      dBeta[parameter[i]] += inputs.dy[i];
      sensitivity[i] = rstd * tolerance.backward * (1 + Math.abs(xHat(i)));
    }
  });
  return { sum, y, mean, variance, dx, dGamma, dBeta, sensitivity };
}

const settings = [false, true].flatMap((given) => [false, true].map((residual) => ({ given, residual })));
const nameOf = ({ norm, shape, mask }: Case) => `${norm.name} [${shape}], mask [${mask}]`;

/** What the padding of x and dy holds. */
const STRAY = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1e30];

describe.each(opened)("$backend", ({ ek }) => {
  describe.each(cases.map((one) => ({ ...one, name: nameOf(one) })))("$name", (one) => {
    describe.each(Object.entries(masks))("%s", (_, make) => {
      it.each(settings)("statistics given: $given, residual: $residual", ({ given, residual }) => {
        const { norm, shape } = one;
        const plan = norm.plan(shape);
        const values = make(one);
        const counts = countsOf(one, values);
        const size = sizeOf(shape);
        const padded = (data: Float32Array) =>
          data.map((value, i) => (counts[i] ? value : STRAY[i % STRAY.length]));
        const inputs: Inputs = {
          x: padded(normal(size, 1, 0.5, 2)),
          residual: residual ? normal(size, 2) : undefined,
          dy: padded(normal(size, 3)),
          dSum: residual ? normal(size, 4) : undefined,
          gamma: normal(sizeOf(plan.parameterShape), 5, 1, 0.5),
          beta: normal(sizeOf(plan.parameterShape), 6),
        };
        if (given) {
          inputs.variance = normal(sizeOf(plan.statisticsShape), 7).map((v) => v * v + 0.5);
          if (norm.centered) inputs.mean = normal(sizeOf(plan.statisticsShape), 8);
        }
        const expected = expectedOf(one, counts, inputs);

        const before = ek.memory().arrays;
        const held: PlainArray[] = [];
        const array = (data: Float32Array | undefined) => {
          const made = data && ek.array(shape, data);
          if (made) held.push(made);
          return made;
        };
        const mask: Mask = { shape: one.mask, data: values };
        const { gamma, beta, mean, variance } = inputs;
        const x = array(inputs.x) as PlainArray;
        const result = ek.forward(norm, x, {
          gamma,
          beta,
          mean,
          variance,
          residual: array(inputs.residual),
          mask,
        });
        const back = ek.backward(result.saved, array(inputs.dy) as PlainArray, array(inputs.dSum));

        const close = (
          name: string,
          actual: PlainArray | undefined,
          wanted: Float64Array,
          allowed: (i: number) => number,
        ) => expectClose(name, (actual as PlainArray).data, wanted, allowed);
        if (residual) {
          expect(result.sum?.data.map(Math.fround)).toEqual(
            (result.sum as PlainArray).data.constructor === Float32Array
              ? Float32Array.from(expected.sum)
              : expected.sum,
          );
        }
        if (!given) {
          if (norm.centered) close("mean", result.mean, expected.mean, () => 1e-6);
          close("variance", result.variance, expected.variance, (s) => 2e-6 * expected.variance[s] + EXACT);
        }
        close("y", result.y, expected.y, (i) =>
          counts[i] ? 4 * tolerance.forward * (1 + Math.abs(expected.y[i])) : EXACT,
        );
        close("dx", back.dx, expected.dx, (i) =>
          counts[i] ? 8 * expected.sensitivity[i] + tolerance.addition * Math.abs(expected.dx[i]) : EXACT,
        );
        const most = Math.sqrt(size);
        close("dGamma", back.dGamma, expected.dGamma, () => 4 * tolerance.backward * most);
        close("dBeta", back.dBeta, expected.dBeta, () => 1e-6 * most);
        const results = [...Object.values(result), ...Object.values(back)] as { dispose?: () => void }[];
        for (const one of [...held, ...results] as { dispose?: () => void }[]) one?.dispose?.();
        expect(ek.memory().arrays).toBe(before);
      });
    });

    it("where everything counts, all is as without a mask", () => {
      const { norm, shape } = one;
      const plan = norm.plan(shape);
      const like = (seed: number) => ({ shape, data: normal(sizeOf(shape), seed) as Values });
      const [x, dy] = [like(1), like(2)];
      const options = {
        gamma: normal(sizeOf(plan.parameterShape), 3),
        beta: normal(sizeOf(plan.parameterShape), 4),
      };
      const mask: Mask = { shape: one.mask, data: new Array(sizeOf(one.mask)).fill(true) };
      const plain = ek.forward<PlainArray>(norm, x, options);
      const masked = ek.forward<PlainArray>(norm, x, { ...options, mask });
      const [plainBack, maskedBack] = [ek.backward(plain.saved, dy), ek.backward(masked.saved, dy)];
      const close = (name: string, actual: PlainArray | undefined, wanted: PlainArray | undefined) => {
        if (!wanted) return expect(actual, name).toBeUndefined();
        const { data } = wanted;
        expectClose(name, actual?.data as Values, data, (i) => 2e-5 * (1 + Math.abs(data[i])));
      };
      close("y", masked.y, plain.y);
      close("mean", masked.mean, plain.mean);
      close("variance", masked.variance, plain.variance);
      close("dx", maskedBack.dx, plainBack.dx);
      close("dGamma", maskedBack.dGamma, plainBack.dGamma);
      close("dBeta", maskedBack.dBeta, plainBack.dBeta);
    });
  });

  it("takes a mask that lives in the backend, and keeps it for the backward pass", () => {
    const before = ek.memory().arrays;
    const [x, dy] = [
      ek.array([2, 3], [1, 3, Number.NaN, 5, 5, 8]),
      ek.array([2, 3], [1, 2, Number.NaN, 4, 5, 6]),
    ];
    const mask = ek.array([2, 3], [1, 1, 0, 1, 1, 1]);
    const { y, mean, variance, saved } = ek.forward(layerNorm({ epsilon: 0 }), x, { mask });
    expectClose("y", y.data, [-1, 1, 0, -Math.SQRT1_2, -Math.SQRT1_2, Math.SQRT2], () => 1e-6);
    const { dx } = ek.backward(saved, dy);
    expectClose("dx", dx.data.subarray(0, 3), [0, 0, 0], () => 1e-6);
    expect(mask.disposed).toBe(false);
    for (const one of [x, dy, mask, y, mean, variance, dx]) one?.dispose();
    expect(ek.memory().arrays).toBe(before);
  });

  it("a statistic of which nothing counts is finite without epsilon too", () => {
    const x = { shape: [2, 2], data: Float32Array.of(Number.NaN, 1, 2, 4) as Values };
    const { y, mean, variance, saved } = ek.forward<PlainArray>(layerNorm({ epsilon: 0 }), x, {
      gamma: new Float32Array([1, 1]),
      mask: { shape: [2], data: [false, true] },
    });
    expect([...y.data]).toEqual([0, 0, -1, 1]);
    expect([mean?.data[0], variance?.data[0]]).toEqual([0, 0]);
    const { dx, dGamma } = ek.backward(saved, { shape: [2, 2], data: Float32Array.of(Number.NaN, 1, 2, 4) });
    expect([...dx.data]).toEqual([0, 0, 0, 0]);
    expect([...(dGamma as PlainArray).data]).toEqual([-2, 4]);
  });
});

it("is one part, which other threads leave alone", async () => {
  const one = await open({ backend: "wasm", threads: 1 });
  const two = await open({ backend: "wasm", threads: 2 });
  const shape = [8, 128, 96];
  const like = (seed: number) => ({ shape, data: normal(sizeOf(shape), seed) });
  const mask = maskOfLengths([128, 3, 0, 17, 128, 64, 99, 1], 128);
  for (const norm of [layerNorm(), batchNorm()]) {
    const [first, second] = [one, two].map((ek) => {
      const { y, saved } = ek.forward<PlainArray>(norm, like(1), { gamma: normal(96, 3), mask });
      const { dx, dGamma } = ek.backward(saved, like(2));
      return [y.data, dx.data, dGamma?.data];
    });
    expect(second).toEqual(first);
  }
  two.close();
});

describe("what does not fit", async () => {
  const ek = await open({ backend: "reference" });
  const x = { shape: [2, 3, 4], data: new Float32Array(24) };
  const forward = (mask: unknown) => () => ek.forward(layerNorm(), x, { mask: mask as Mask });

  it.each([[3], [2, 4], [2, 3, 4, 1], [1, 2]])("shape %j", (...shape) => {
    expect(forward({ shape, data: new Uint8Array(sizeOf(shape)) })).toThrow(
      new RangeError(
        "layerNorm: mask must have the shape of x, [2, 3, 4], with axes of length 1 or left out at the end, " +
          `got [${shape.join(", ")}]; give length 1 to each axis that it does not tell apart`,
      ),
    );
  });

  it("values", () => {
    expect(forward({ shape: [2, 3], data: new Uint8Array(5) })).toThrow(
      new RangeError("layerNorm: mask of shape [2, 3] must have 6 values, got 5"),
    );
    expect(forward([1, 0])).toThrow(
      new TypeError(
        "layerNorm: mask must be an array with a shape, such as { shape: [2, 3], data }, got undefined for its shape",
      ),
    );
  });
});

describe("maskOfLengths", () => {
  it("counts from the start of each sequence", () => {
    expect(maskOfLengths([2, 0, 3], 3)).toEqual({
      shape: [3, 3],
      data: Uint8Array.of(1, 1, 0, 0, 0, 0, 1, 1, 1),
    });
    expect(maskOfLengths(Int32Array.of(1), 2).data).toEqual(Uint8Array.of(1, 0));
  });

  it.each([4, -1, 1.5, Number.NaN])("refuses a length of %d", (length) => {
    expect(() => maskOfLengths([1, length], 3)).toThrow(
      new RangeError(
        `maskOfLengths: lengths must be whole numbers from 0 to longest, 3, got ${length} at 1; ` +
          "cut the sequence, or pad the batch to its length",
      ),
    );
  });

  it("refuses what is no list, and a longest that is no length", () => {
    expect(() => maskOfLengths(3 as never, 3)).toThrow(
      new TypeError(
        "maskOfLengths: lengths must be an array of one length per sequence, got 3; put a single one in brackets",
      ),
    );
    expect(() => maskOfLengths([1], 1.5)).toThrow(
      new RangeError(
        "maskOfLengths: longest must be a whole number from 0 on, got 1.5; it is the length that sequences were padded to",
      ),
    );
  });
});
