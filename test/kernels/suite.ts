/**
 * One suite for every backend: norms × layouts × sizes × parameters × residual × hard inputs, forward and backward,
 * against the float64 reference. Arrays stand between guard zones of NaN and outputs start as NaN, so that what is left
 * unwritten or written astray shows.
 */
import { describe, expect, it } from "vitest";
import {
  batchNorm,
  type FusedNorm,
  groupNorm,
  instanceNorm,
  layerNorm,
  type Plan,
  rmsNorm,
  type View,
} from "../../src/index.js";
import type { Kernels, Values } from "../../src/kernels/contract.js";
import { reference } from "../../src/kernels/reference/reference.js";
import { sizeOf } from "../../src/shape.js";
import { keptSize, reducedSize, statisticIndex } from "../../src/view.js";
import { backends, handleFrom } from "../support/backends.js";
import {
  expectClose,
  extremeInputs,
  type hardInputs,
  largest,
  normal,
  random,
  tolerance,
} from "../support/numerics.js";

const opened = await Promise.all(
  backends.map(async ({ name, open }) => ({ backend: name, kernels: await open() })),
);
const others = opened.filter(({ kernels }) => kernels !== reference);
const GUARD = 32;

/** Values between guard zones, in a backend. */
class Guarded {
  readonly handle: unknown;
  private readonly whole: unknown;

  constructor(
    private readonly kernels: Kernels<unknown>,
    private readonly length: number,
    values?: ArrayLike<number>,
  ) {
    this.whole = kernels.allocate(length + 2 * GUARD);
    kernels.values(this.whole, length + 2 * GUARD).fill(Number.NaN);
    this.handle = handleFrom(this.whole, GUARD);
    if (values) kernels.values(this.handle, length).set(values);
  }

  take(name: string): Values {
    const all = this.kernels.values(this.whole, this.length + 2 * GUARD);
    const guards = [...all.subarray(0, GUARD), ...all.subarray(GUARD + this.length)];
    expect(guards.every(Number.isNaN), `${name}: guard zone was written`).toBe(true);
    return all.slice(GUARD, GUARD + this.length);
  }

  release(): void {
    this.kernels.release(this.whole);
  }
}

interface Case {
  name: string;
  plan: Plan;
  centered: boolean;
}

const last = -1;
const shapes: [FusedNorm, number[][]][] = [
  [
    layerNorm(),
    [
      [1, 1],
      [3, 1],
      [1, 7],
      [5, 3],
      [4, 4],
      [7, 5],
      [3, 8],
      [2, 13],
      [9, 32],
      [2, 64],
      [3, 769],
      [2, 1031],
      [2, 2053],
      // pairs of rows, and one more
      [3, 3101],
    ],
  ],
  [
    layerNorm({ axis: [1, 2] }),
    [
      [3, 5, 7],
      [2, 16, 8],
    ],
  ],
  [layerNorm({ axis: [0, 1] }), [[6, 11]]],
  [
    rmsNorm(),
    [
      [1, 1],
      [5, 3],
      [4, 17],
      [3, 768],
      [2, 2053],
      [3, 3001],
    ],
  ],
  [
    batchNorm({ axis: last }),
    [
      [2, 1],
      [5, 3],
      [7, 4],
      [150, 5],
      [33, 16],
      [300, 19],
      [9, 64],
      [4, 3, 3, 20],
      [2, 4100],
    ],
  ],
  [
    batchNorm({ axis: 1 }),
    [
      [5, 3, 1],
      [2, 3, 4, 4],
      [3, 5, 7, 9],
      [2, 4, 16, 17],
      [3, 700, 7],
    ],
  ],
  [
    groupNorm({ groups: 2, axis: last }),
    [
      [3, 4],
      [2, 3, 3, 4],
      [2, 5, 6],
      [2, 3, 130],
      [3, 7, 24],
    ],
  ],
  [
    groupNorm({ groups: 4, axis: 1 }),
    [
      [3, 8],
      [2, 4, 3, 3],
      [2, 8, 5, 5],
      [1, 12, 9, 9],
    ],
  ],
  [groupNorm({ groups: 1, axis: last }), [[2, 3, 3, 8]]],
  [
    instanceNorm({ axis: last }),
    [
      [2, 5, 3],
      [2, 4, 4, 16],
      [3, 5, 5, 21],
    ],
  ],
  [
    instanceNorm({ axis: 1 }),
    [
      [2, 3, 5],
      [2, 3, 8, 8],
      [3, 4, 9, 13],
    ],
  ],
];

const cases: Case[] = shapes.flatMap(([norm, list]) =>
  list.map((shape) => {
    const plan = norm.plan(shape);
    const view = Object.values(plan.statistics).join(",");
    return { name: `${norm.name} [${shape}] (${view})`, plan, centered: norm.centered };
  }),
);

/** Views that no norm here asks for, and every kernel answers: parameters across the statistics, in odd steps. */
const odd: [View, View][] = [
  [
    { k1: 1, r1: 1, k2: 1, r2: 24 },
    { k1: 1, r1: 1, k2: 24, r2: 1 },
  ],
  [
    { k1: 1, r1: 1, k2: 12, r2: 1 },
    { k1: 1, r1: 1, k2: 12, r2: 1 },
  ],
  [
    { k1: 4, r1: 1, k2: 1, r2: 6 },
    { k1: 1, r1: 1, k2: 24, r2: 1 },
  ],
  [
    { k1: 2, r1: 3, k2: 4, r2: 5 },
    { k1: 1, r1: 8, k2: 5, r2: 3 },
  ],
  [
    { k1: 2, r1: 3, k2: 4, r2: 5 },
    { k1: 2, r1: 3, k2: 20, r2: 1 },
  ],
  [
    { k1: 3, r1: 4, k2: 2, r2: 70 },
    { k1: 2, r1: 6, k2: 7, r2: 20 },
  ],
  [
    { k1: 1, r1: 30, k2: 4, r2: 1 },
    { k1: 30, r1: 1, k2: 1, r2: 4 },
  ],
  [
    { k1: 6, r1: 1, k2: 1, r2: 20 },
    { k1: 1, r1: 1, k2: 1, r2: 120 },
  ],
];
for (const [statistics, parameters] of odd) {
  const shape = [keptSize(statistics) * reducedSize(statistics)];
  const sizes = { statisticsShape: [keptSize(statistics)], parameterShape: [keptSize(parameters)] };
  cases.push({
    name: `views ${Object.values(statistics)} × ${Object.values(parameters)}`,
    plan: { shape, statistics, parameters, ...sizes },
    centered: true,
  });
}

interface Setting {
  affine: "gamma and beta" | "gamma" | "beta" | "neither";
  given: boolean;
  /** A residual in the forward pass, and dSum in the backward pass. */
  residual: boolean;
}
const settings: Setting[] = (["gamma and beta", "gamma", "beta", "neither"] as const).flatMap((affine) =>
  [false, true].flatMap((given) => [false, true].map((residual) => ({ affine, given, residual }))),
);

interface Results {
  sum?: Values;
  y: Values;
  mean?: Values;
  variance: Values;
  dx: Values;
  dGamma?: Values;
  dBeta?: Values;
}

interface Inputs {
  x: Float32Array;
  residual?: Float32Array;
  dy: Float32Array;
  dSum?: Float32Array;
  gamma?: Float32Array;
  beta?: Float32Array;
  mean: Float32Array;
  variance: Float32Array;
  mask?: Float32Array;
  masks?: View;
  /** Default: EPSILON. */
  epsilon?: number;
}

const EPSILON = 1e-5;
/** The least float32. */
const DENORMAL = 1.5e-45;

function run(kernels: Kernels<unknown>, { plan, centered }: Case, given: boolean, inputs: Inputs): Results {
  const held: Guarded[] = [];
  const array = (length: number, values?: ArrayLike<number>) => {
    held.push(new Guarded(kernels, length, values));
    return held[held.length - 1];
  };
  const optional = (values?: Float32Array) => values && array(values.length, values);
  const size = inputs.x.length;
  const statistics = keptSize(plan.statistics);
  const count = keptSize(plan.parameters);
  const x = array(size, inputs.x);
  const residual = optional(inputs.residual);
  const sum = residual && array(size);
  const y = array(size);
  const gamma = optional(inputs.gamma);
  const beta = optional(inputs.beta);
  const mean = centered ? array(statistics, given ? inputs.mean : undefined) : undefined;
  const variance = array(statistics, given ? inputs.variance : undefined);
  const mask = optional(inputs.mask);
  const call = {
    x: x.handle,
    mean: mean?.handle,
    variance: variance.handle,
    given,
    epsilon: inputs.epsilon ?? EPSILON,
    gamma: gamma?.handle,
    statistics: plan.statistics,
    parameters: plan.parameters,
    mask: mask?.handle,
    masks: inputs.masks,
  };
  kernels.forward({
    ...call,
    residual: residual?.handle,
    sum: sum?.handle,
    y: y.handle,
    beta: beta?.handle,
  });
  const dy = array(size, inputs.dy);
  const dSum = optional(inputs.dSum);
  const dx = array(size);
  const dGamma = gamma && array(count);
  const dBeta = beta && array(count);
  kernels.backward({
    ...call,
    x: (sum ?? x).handle,
    dy: dy.handle,
    dSum: dSum?.handle,
    dx: dx.handle,
    dGamma: dGamma?.handle,
    dBeta: dBeta?.handle,
  });
  const results = {
    sum: sum?.take("sum"),
    y: y.take("y"),
    mean: mean?.take("mean"),
    variance: variance.take("variance"),
    dx: dx.take("dx"),
    dGamma: dGamma?.take("dGamma"),
    dBeta: dBeta?.take("dBeta"),
  };
  for (const one of held) one.release();
  return results;
}

/** What the reference says. It adds nothing itself: it is asked for the sum, and dSum is added here. */
function expectedOf(one: Case, given: boolean, normalized: Float32Array, inputs: Inputs): Results {
  const { residual, dSum, ...rest } = inputs;
  const expected = run(reference, one, given, { ...rest, x: normalized });
  if (dSum) expected.dx = expected.dx.map((value, i) => value + dSum[i]);
  return { ...expected, sum: residual && normalized };
}

/** A residual, and x so that x + residual are these values exactly, in float32 as in float64. */
function split(values: Float32Array, seed: number): { x: Float32Array; residual: Float32Array } {
  const next = random(seed);
  const residual = values.map((value) => value * (0.5 + 1.5 * next()));
  // what lies within a factor of two is subtracted without rounding (Sterbenz)
  return { x: values.map((value, i) => value - residual[i]), residual };
}

/** Forward and backward, with masks and without, on inputs that are hard in these ways. */
export function againstReference(kinds: typeof hardInputs): void {
  describe.each(Object.entries(kinds))("every backend against the reference: %s", (_, make) => {
    describe.each(cases)("$name", (one) => {
      it.each(settings)("$affine, statistics given: $given, residual: $residual", (setting) => {
        const { affine, given } = setting;
        const { plan } = one;
        const size = sizeOf(plan.shape);
        const count = keptSize(plan.parameters);
        const statistics = keptSize(plan.statistics);
        const normalized = make(size, size);
        const inputs: Inputs = {
          ...(setting.residual ? split(normalized, size + 6) : { x: normalized }),
          dy: normal(size, size + 1),
          dSum: setting.residual ? normal(size, size + 7) : undefined,
          gamma: affine.includes("gamma") ? normal(count, size + 2, 1, 0.5) : undefined,
          beta: affine.includes("beta") ? normal(count, size + 3) : undefined,
          mean: normal(statistics, size + 4, normalized[0], 0.1),
          variance: normal(statistics, size + 5).map((v) => v * v + 0.5),
        };
        const expected = expectedOf(one, given, normalized, inputs);
        // to compare the reference with itself says something only where it adds
        for (const { backend, kernels } of setting.residual ? opened : others) {
          compare(backend, one, given, normalized, inputs, run(kernels, one, given, inputs), expected);
        }
      });
    });
  });

  describe.each(Object.entries(kinds))("every backend against the reference, with masks: %s", (_, make) => {
    it.each(cases)("$name", (one) => {
      const { plan } = one;
      const size = sizeOf(plan.shape);
      const statistics = keptSize(plan.statistics);
      const count = keptSize(plan.parameters);
      // of each element, of runs that share a statistic or a parameter, and of columns of them
      for (const masks of [{ k1: 1, r1: 1, k2: size, r2: 1 }, plan.statistics, plan.parameters]) {
        const next = random(size + 6);
        const x = make(size, size);
        const inputs: Inputs = {
          x,
          dy: normal(size, size + 1),
          dSum: normal(size, size + 7),
          gamma: normal(count, size + 2, 1, 0.5),
          beta: normal(count, size + 3),
          mean: normal(statistics, size + 4, x[0], 0.1),
          variance: normal(statistics, size + 5).map((v) => v * v + 0.5),
          mask: Float32Array.from({ length: keptSize(masks) }, () => (next() < 0.7 ? 1 : 0)),
          masks,
        };
        for (const given of [false, true]) {
          const expected = run(reference, one, given, inputs);
          for (const { backend, kernels } of others) {
            compare(backend, one, given, x, inputs, run(kernels, one, given, inputs), expected);
          }
        }
      }
    });
  });
}

function compare(
  backend: string,
  { plan }: Case,
  given: boolean,
  normalized: Float32Array,
  inputs: Inputs,
  actual: Results,
  expected: Results,
): void {
  const { statistics, parameters } = plan;
  const close = (name: keyof Results, allowed: (index: number) => number) => {
    // what is beyond float32 is Infinity in it
    const values = expected[name] && Float32Array.from(expected[name]);
    if (values) expectClose(`${backend}: ${name}`, actual[name] ?? new Float32Array(), values, allowed);
    else expect(actual[name], `${backend}: ${name}`).toBeUndefined();
  };
  const epsilon = inputs.epsilon ?? EPSILON;
  const center = (i: number) => expected.mean?.[statisticIndex(statistics, i)] ?? 0;
  const rstdOf = (s: number) => 1 / (Math.sqrt(expected.variance[s] + epsilon) || Number.POSITIVE_INFINITY);
  const rstd = (i: number) => rstdOf(statisticIndex(statistics, i));
  const xHat = (i: number) => Math.abs(normalized[i] - center(i)) * rstd(i);
  const gamma = (i: number) => Math.abs(inputs.gamma?.[statisticIndex(parameters, i)] ?? 1);
  const beta = (i: number) => Math.abs(inputs.beta?.[statisticIndex(parameters, i)] ?? 0);
  if (!given) {
    const spread = (s: number) => Math.sqrt(expected.variance[s]);
    close("mean", (s) => 1.2e-7 * Math.abs(expected.mean?.[s] ?? 0) + 1e-7 * spread(s) + DENORMAL);
    close("variance", (s) => 2e-6 * (expected.variance[s] + epsilon) + DENORMAL);
  }
  close("sum", () => Number.MIN_VALUE); // exactly
  close("y", (i) => tolerance.forward * (gamma(i) * (1 + xHat(i)) + beta(i)));
  const dyMost = largest(inputs.dy);
  const gammaMost = inputs.gamma ? largest(inputs.gamma) : 1;
  close("dx", (i) => {
    const added = tolerance.addition * Math.abs(inputs.dSum?.[i] ?? 0);
    return rstd(i) * dyMost * gammaMost * tolerance.backward * (1 + xHat(i)) + added + DENORMAL;
  });
  const n = reducedSize(parameters);
  const bound = new Float64Array(keptSize(parameters));
  for (let i = 0; i < normalized.length; i++) {
    const p = statisticIndex(parameters, i);
    bound[p] = Math.max(bound[p], (1 + xHat(i)) * tolerance.backward);
  }
  close("dGamma", (p) => bound[p] * n * dyMost);
  close("dBeta", () => 1e-6 * Math.sqrt(n) * dyMost);
}

/** Arrays so large that a call is cut into parts, and blocks into pieces: in each way that there is. */
const large: Case[] = [
  { norm: layerNorm(), shape: [401, 64] },
  { norm: layerNorm(), shape: [9, 3101] },
  { norm: layerNorm(), shape: [2, 20_011] },
  { norm: layerNorm({ axis: [0, 1] }), shape: [3, 9000] },
  { norm: layerNorm({ axis: [0, 2] }), shape: [4, 3, 2100] },
  { norm: rmsNorm(), shape: [1, 30_011] },
  { norm: batchNorm(), shape: [4001, 7] },
  { norm: batchNorm(), shape: [400, 70] },
  { norm: batchNorm({ axis: 1 }), shape: [9, 3, 1100] },
  { norm: batchNorm({ axis: 1 }), shape: [300, 5, 20] },
  { norm: groupNorm({ groups: 2 }), shape: [2, 2000, 12] },
  { norm: groupNorm({ groups: 1 }), shape: [1, 3000, 9] },
].map(({ norm, shape }) => ({
  name: `${norm.name} [${shape}]`,
  plan: norm.plan(shape),
  centered: norm.centered,
}));

/** Against the reference, with all that a call may have or little of it, without a mask and with one. */
function compareAll(one: Case, x: Float32Array, epsilon: number, residual: boolean): void {
  const { plan } = one;
  const [size, count] = [x.length, keptSize(plan.parameters)];
  const next = random(size + 6);
  const mask = Float32Array.from({ length: size }, () => (next() < 0.7 ? 1 : 0));
  const shared = Float32Array.from({ length: keptSize(plan.statistics) }, (_, i) => (i % 3 === 1 ? 0 : 1));
  const masks = { k1: 1, r1: 1, k2: size, r2: 1 };
  const affine = { gamma: normal(count, size + 2, 1, 0.5), beta: normal(count, size + 3) };
  const bare = {
    x,
    dy: normal(size, size + 1),
    mean: new Float32Array(),
    variance: new Float32Array(),
    epsilon,
  };
  const dSum = normal(size, size + 7);
  const settings: Inputs[] = [
    { ...bare },
    { ...bare, ...affine },
    { ...bare, ...affine, mask, masks },
    { ...bare, mask, masks },
    { ...bare, ...affine, mask: shared, masks: plan.statistics },
  ];
  if (residual) settings.push({ ...bare, ...affine, ...split(x, size + 6), dSum });
  for (const inputs of settings) {
    const expected = expectedOf(one, false, x, inputs);
    for (const { backend, kernels } of others) {
      compare(backend, one, false, x, inputs, run(kernels, one, false, inputs), expected);
    }
  }
}

/** Every mean with every spread, on large arrays too. */
export function farFromZero(): void {
  const means = [0, 1e3, 3e4, 1e5, 1e6, 1e7];
  const spreads = [1e-3, 1, 1e3];
  describe.each(means.flatMap((mean) => spreads.map((spread) => ({ mean, spread }))))(
    "every backend against the reference: mean $mean, spread $spread",
    ({ mean, spread }) => {
      it.each(mean === 1e5 && spread === 1 ? [...cases, ...large] : cases)("$name", (one) => {
        const size = sizeOf(one.plan.shape);
        compareAll(one, normal(size, size, mean, spread), EPSILON, mean > 0);
      });
    },
  );
}

/** No spread, no epsilon, one value, nothing at all, transposes, long sums. */
export function atTheEdges(): void {
  describe.each(Object.entries(extremeInputs))(
    "every backend against the reference: %s, no epsilon",
    (name, make) => {
      it.each(name === "every scale" ? [...cases, ...large] : cases)("$name", (one) => {
        const size = sizeOf(one.plan.shape);
        compareAll(one, make(size, size), 0, false);
      });
    },
  );

  describe.each(opened)("$backend: without spread and without epsilon", ({ kernels }) => {
    it.each([...cases, ...large])("xHat is 0 and so are the gradients, $name", (one) => {
      const { plan } = one;
      const [size, count] = [sizeOf(plan.shape), keptSize(plan.parameters)];
      const masks = { k1: 1, r1: 1, k2: size, r2: 1 };
      const mask = Float32Array.from({ length: size }, (_, i) => (i % 5 === 1 ? 0 : 1));
      const values = large.includes(one) ? [0.1] : [0, 0.1, 1e-30, -7e6, 3e38];
      // what is not centred has no spread where it is 0
      for (const value of one.centered ? values : [0]) {
        for (const masked of [false, true]) {
          const inputs: Inputs = {
            x: new Float32Array(size).fill(value),
            dy: normal(size, 1),
            gamma: normal(count, 2, 1, 0.5),
            beta: normal(count, 3),
            mean: new Float32Array(),
            variance: new Float32Array(),
            epsilon: 0,
            ...(masked && { mask, masks }),
          };
          const { y, dx, dGamma } = run(kernels, one, false, inputs);
          const beta = Float32Array.from(inputs.beta as Float32Array);
          const counts = (i: number) => !masked || mask[i] === 1;
          const expected = Float32Array.from(y, (_, i) =>
            counts(i) ? beta[statisticIndex(plan.parameters, i)] : 0,
          );
          expect(Float32Array.from(y), `y of ${value}`).toEqual(expected);
          expect(largest(dx), `dx of ${value}`).toBe(0);
          expect(largest(dGamma as Values), `dGamma of ${value}`).toBe(0);
        }
      }
    });
  });

  /** One and two values per statistic, of which little or nothing of dx is left: in rows, runs, columns and their masked kinds. */
  const few: [FusedNorm, number[]][] = [
    [layerNorm(), [9, 1]],
    [layerNorm(), [9, 2]],
    [layerNorm({ axis: 0 }), [2, 70]],
    [batchNorm(), [1, 70]],
    [batchNorm(), [2, 70]],
    [batchNorm({ axis: 1 }), [2, 7, 1]],
    [batchNorm({ axis: 1 }), [1, 7, 2]],
    [groupNorm({ groups: 3 }), [5, 6]],
    [groupNorm({ groups: 3, axis: 1 }), [5, 6]],
    [instanceNorm(), [3, 2, 8]],
    [instanceNorm({ axis: 1 }), [3, 8, 2]],
  ];

  describe.each(opened)("$backend: statistics of one or two values", ({ kernels }) => {
    it.each(few.map(([norm, shape]) => ({ norm, shape, name: `${norm.name} [${shape}]` })))(
      "$name",
      ({ norm, shape }) => {
        const plan = norm.plan(shape);
        const one = { name: norm.name, plan, centered: true };
        checkFew(kernels, one, {});
      },
    );

    it.each(cases)("that a mask leaves: $name", (one) => {
      const { statistics } = one.plan;
      const size = sizeOf(one.plan.shape);
      for (const most of [1, 2]) {
        const left = new Array<number>(keptSize(statistics)).fill(most);
        const mask = Float32Array.from({ length: size }, (_, i) =>
          left[statisticIndex(statistics, i)]-- > 0 ? 1 : 0,
        );
        checkFew(kernels, one, { mask, masks: { k1: 1, r1: 1, k2: size, r2: 1 } });
      }
    });
  });

  function checkFew(kernels: Kernels<unknown>, one: Case, masked: Partial<Inputs>): void {
    const { plan } = one;
    const [size, count] = [sizeOf(plan.shape), keptSize(plan.parameters)];
    for (const epsilon of [1e-5, 0]) {
      const inputs: Inputs = {
        x: normal(size, 1, 3),
        dy: normal(size, 2),
        gamma: normal(count, 3, 1, 0.5),
        beta: normal(count, 4),
        mean: new Float32Array(),
        variance: new Float32Array(),
        epsilon,
        ...masked,
      };
      const [actual, expected] = [run(kernels, one, false, inputs), run(reference, one, false, inputs)];
      const counted = (i: number) => inputs.mask?.[i] !== 0;
      const numbers = new Array<number>(keptSize(plan.statistics)).fill(0);
      for (let i = 0; i < size; i++) if (counted(i)) numbers[statisticIndex(plan.statistics, i)]++;
      const rstd = (s: number) => 1 / (Math.sqrt(expected.variance[s] + epsilon) || Number.POSITIVE_INFINITY);
      const scale = 10 * largest(inputs.dy);
      expectClose("dx", actual.dx, expected.dx, (i) => {
        const s = statisticIndex(plan.statistics, i);
        const cancelled = one.centered && numbers[s] === 1 ? 0 : tolerance.cancelling * rstd(s) * scale;
        return cancelled + 1e-6 * Math.abs(expected.dx[i]);
      });
      for (let i = 0; i < size; i++) {
        if (one.centered && numbers[statisticIndex(plan.statistics, i)] === 1) expect(actual.dx[i]).toBe(0);
      }
    }
  }

  /** Views of nothing, and the parameters that they have: no blocks, no rows, no columns, nothing in a row. */
  const empty: [View, View][] = [
    [
      { k1: 0, r1: 1, k2: 1, r2: 5 },
      { k1: 1, r1: 0, k2: 5, r2: 1 },
    ],
    [
      { k1: 3, r1: 1, k2: 1, r2: 0 },
      { k1: 1, r1: 3, k2: 0, r2: 1 },
    ],
    [
      { k1: 1, r1: 0, k2: 4, r2: 1 },
      { k1: 1, r1: 0, k2: 4, r2: 1 },
    ],
    [
      { k1: 1, r1: 2, k2: 0, r2: 3 },
      { k1: 1, r1: 2, k2: 0, r2: 3 },
    ],
    [
      { k1: 1, r1: 2, k2: 3, r2: 0 },
      { k1: 1, r1: 2, k2: 3, r2: 0 },
    ],
    [
      { k1: 0, r1: 7, k2: 2, r2: 4 },
      { k1: 1, r1: 0, k2: 8, r2: 1 },
    ],
  ];

  describe.each(opened)("$backend: arrays of nothing", ({ kernels }) => {
    it.each(
      empty.map(([statistics, parameters]) => ({
        statistics,
        parameters,
        name: Object.values(statistics).join(),
      })),
    )("views $name", ({ statistics, parameters }) => {
      const sizes = { statisticsShape: [keptSize(statistics)], parameterShape: [keptSize(parameters)] };
      const plan = { shape: [0], statistics, parameters, ...sizes };
      const [none, count] = [new Float32Array(), keptSize(parameters)];
      const zeros = (length: number) => new Array(length).fill(0);
      for (const masks of [undefined, statistics]) {
        for (const given of [false, true]) {
          for (const centered of [false, true]) {
            const constants = {
              mean: new Float32Array(keptSize(statistics)).fill(3),
              variance: new Float32Array(keptSize(statistics)).fill(2),
            };
            const affine = { gamma: normal(count, 1), beta: normal(count, 2) };
            const inputs: Inputs = { x: none, residual: none, dSum: none, dy: none, ...affine, ...constants };
            if (masks) Object.assign(inputs, { mask: new Float32Array(keptSize(masks)).fill(1), masks });
            const results = run(kernels, { name: "", plan, centered }, given, inputs);
            expect([results.y.length, results.dx.length]).toEqual([0, 0]);
            if (!given) expect([...results.variance]).toEqual(zeros(keptSize(statistics)));
            if (!given && centered)
              expect([...(results.mean as Values)]).toEqual(zeros(keptSize(statistics)));
            expect([...(results.dGamma as Values)]).toEqual(zeros(count));
            expect([...(results.dBeta as Values)]).toEqual(zeros(count));
          }
        }
      }
    });

    it("transposes nothing", () => {
      const [x, y] = [new Guarded(kernels, 0), new Guarded(kernels, 0)];
      kernels.transpose(x.handle, y.handle, [3, 0, 2], [2, 0, 1]);
      expect([...y.take("y")]).toEqual([]);
    });
  });

  it.each(others)("$backend transposes as the reference does", ({ kernels }) => {
    for (const [shape, order] of [
      [
        [2, 3],
        [1, 0],
      ],
      [
        [2, 3, 4],
        [2, 0, 1],
      ],
      [
        [2, 3, 4, 5],
        [0, 2, 1, 3],
      ],
      [
        [1, 6, 1],
        [2, 1, 0],
      ],
    ]) {
      const values = normal(sizeOf(shape), 1);
      const expected = reference.allocate(values.length);
      reference.transpose(Float64Array.from(values), expected, shape, order);
      const x = new Guarded(kernels, values.length, values);
      const y = new Guarded(kernels, values.length);
      kernels.transpose(x.handle, y.handle, shape, order);
      expect([...y.take("y")]).toEqual([...expected]);
    }
  });

  describe.each(others)(
    "$backend: sums over many rows keep the accuracy of a single float32",
    ({ kernels }) => {
      // all of one sign: a float32 sum of 30,000 such values is off in the fifth digit
      it.each([
        { norm: layerNorm(), shape: [30_000, 4] },
        { norm: batchNorm(), shape: [30_000, 5] },
        { norm: batchNorm({ axis: 1 }), shape: [300, 2, 100] },
        { norm: groupNorm({ groups: 1 }), shape: [300, 100, 2] },
      ])("$norm.name [$shape]", ({ norm, shape }) => {
        const one: Case = { name: norm.name, plan: norm.plan(shape), centered: true };
        const [size, count] = [sizeOf(shape), keptSize(one.plan.parameters)];
        const inputs: Inputs = {
          x: normal(size, 1),
          dy: normal(size, 2, 1, 0.1),
          gamma: normal(count, 3, 1, 0.5),
          beta: normal(count, 4),
          mean: new Float32Array(),
          variance: new Float32Array(),
        };
        const [actual, expected] = [run(kernels, one, false, inputs), run(reference, one, false, inputs)];
        const dBeta = expected.dBeta as Float64Array;
        expectClose("dBeta", actual.dBeta as Float32Array, dBeta, (p) => 3e-7 * Math.abs(dBeta[p]));
      });
    },
  );
}
