/** Passes over random spaces against plain float64, on one thread and on several, in both builds. */
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { encoders } from "../../../src/kernels/encoders.js";
import { erf, rounding } from "../../../src/kernels/host-loops.js";
import type { Pass, Result, Step, Strided } from "../../../src/kernels/pass.js";
import { OwnHeap, sharedMemory } from "../../../src/kernels/wasm/heap.js";
import { hasRelaxedSimd } from "../../../src/kernels/wasm/module.js";
import { pool } from "../../../src/kernels/wasm/pool.js";
import { normalizationModule, WasmKernels } from "../../../src/kernels/wasm/wasm.js";
import { random } from "../../support/numerics.js";

const operations: Record<Step["operation"], (a: number, b: number, c: number) => number> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => a / b,
  max: (a, b) => Math.max(a, b),
  min: (a, b) => Math.min(a, b),
  greater: (a, b) => (a > b ? 1 : 0),
  atLeast: (a, b) => (a >= b ? 1 : 0),
  where: (a, b, c) => (a !== 0 ? b : c),
  abs: Math.abs,
  sqrt: Math.sqrt,
  exp: Math.exp,
  tanh: Math.tanh,
  sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  erf,
  power: (x, exponent) => x ** exponent,
  float16: rounding(11, -14, 65504),
  bfloat16: rounding(8, -126, 2 ** 127 * (2 - 2 ** -7)),
};

/** A step's rounding, as a multiple of its value: 3 units in the last place. */
const ROUNDING = 3 * 2 ** -23;
/** Of float32 sums of 64 and those of their sums. */
const SUM_ROUNDING = 64 * 2 ** -24;
const LEAST = 2 ** -149;

/** A value and how far the kernels may be from it. */
type Bounded = [value: number, error: number];

function step({ operation, parameter }: Step, operands: readonly Bounded[]): Bounded {
  const of = (a: number, b: number, c: number) => operations[operation](a, parameter ?? b, c);
  const [a, b = [0, 0], c = [0, 0]] = operands as [Bounded, Bounded?, Bounded?];
  const value = of(a[0], b[0], c[0]);
  let error = 0;
  for (let corner = 0; corner < 2 ** operands.length; corner++) {
    const p = corner & 1 ? a[0] + a[1] : a[0] - a[1];
    const q = corner & 2 ? b[0] + b[1] : b[0] - b[1];
    const r = corner & 4 ? c[0] + c[1] : c[0] - c[1];
    if (p === a[0] && q === b[0] && r === c[0]) continue;
    const off = Math.abs(of(p, q, r) - value);
    error = Math.max(error, Number.isNaN(off) && !Number.isNaN(value) ? Number.POSITIVE_INFINITY : off || 0);
  }
  if (operation === "where" && a[1] >= Math.abs(a[0]) && a[1] > 0) error = Number.POSITIVE_INFINITY;
  return [value, error + Math.abs(value) * ROUNDING + LEAST];
}

/** Element by element, as the contract says; what is not written is NaN. */
function evaluate(pass: Pass, reads: readonly Float32Array[], sizes: readonly number[]) {
  const results = pass.results.map(({ reduced }, i) => ({
    values: new Float64Array(sizes[i]).fill(
      reduced === "sum" ? 0 : reduced ? Number.NEGATIVE_INFINITY : Number.NaN,
    ),
    errors: new Float64Array(sizes[i]),
  }));
  const size = pass.lengths.reduce((product, length) => product * length, 1);
  const index = pass.lengths.map(() => 0);
  const place = ({ strides, offset }: Strided) =>
    strides.reduce((sum, stride, axis) => sum + stride * index[axis], offset);
  for (let i = 0; i < size; i++) {
    const values: Bounded[] = [...pass.reads.map((read, k) => reads[k][place(read)]), ...pass.constants].map(
      (value) => [value, 0],
    );
    for (const one of pass.steps) {
      values.push(
        step(
          one,
          one.of.map((value) => values[value]),
        ),
      );
    }
    pass.results.forEach((result, k) => {
      const [value, error] = values[result.value];
      const at = place(result);
      const { values: to, errors } = results[k];
      if (result.reduced === "sum") {
        to[at] += value;
        errors[at] += error + Math.abs(value) * SUM_ROUNDING;
      } else {
        to[at] = result.reduced ? Math.max(to[at], value) : value;
        errors[at] = Math.max(errors[at], error);
      }
    });
    for (let axis = index.length - 1; axis >= 0 && ++index[axis] === pass.lengths[axis]; axis--)
      index[axis] = 0;
  }
  return results;
}

/** Strides of a dense array of the axes that are kept. */
function dense(lengths: readonly number[], keeps: (axis: number) => boolean): number[] {
  return lengths.map((_, axis) =>
    keeps(axis)
      ? lengths
          .slice(axis + 1)
          .reduce((product, length, k) => product * (keeps(axis + 1 + k) ? length : 1), 1)
      : 0,
  );
}

/** Elements that strides reach. */
const extent = (lengths: readonly number[], { strides, offset }: Strided) =>
  offset + 1 + strides.reduce((sum, stride, axis) => sum + Math.max(0, stride) * (lengths[axis] - 1), 0);

/** Strides in another order of the axes, some from last to first, with gaps. */
function scattered(lengths: readonly number[], next: () => number): Strided {
  const order = lengths.map((_, axis) => axis);
  for (let i = order.length - 1; i > 0; i--) {
    const j = Math.floor(next() * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  const strides = lengths.map(() => 0);
  let stride = next() < 0.5 ? 1 : 2;
  for (const axis of order) {
    strides[axis] = stride;
    stride *= lengths[axis] + (next() < 0.3 ? 1 : 0);
  }
  let offset = Math.floor(next() * 5);
  lengths.forEach((length, axis) => {
    if (next() < 0.8) return;
    offset += strides[axis] * (length - 1);
    strides[axis] *= -1;
  });
  return { strides, offset };
}

function randomStrided(lengths: readonly number[], next: () => number, mayRepeat: boolean): Strided {
  const kind = next();
  if (kind < 0.4) return { strides: dense(lengths, () => true), offset: Math.floor(next() * 3) };
  if (kind < 0.8 && mayRepeat) {
    const keeps = lengths.map(() => next() < 0.5);
    return { strides: dense(lengths, (axis) => keeps[axis]), offset: Math.floor(next() * 3) };
  }
  if (kind < 0.9) {
    // a slice of something longer
    const longer = lengths.map((length) => length + Math.floor(next() * 3));
    return { strides: dense(longer, () => true), offset: Math.floor(next() * 3) };
  }
  return scattered(lengths, next);
}

const unary = ["abs", "sqrt", "exp", "tanh", "sigmoid", "erf", "power"] as const;
const binary = ["add", "sub", "mul", "max", "min", "greater", "atLeast", "add", "mul"] as const;

function randomPass(lengths: readonly number[], seed: number): Pass {
  const next = random(seed);
  const pick = <T>(from: readonly T[]) => from[Math.floor(next() * from.length)];
  const reads = Array.from({ length: 1 + Math.floor(next() * 3) }, () => randomStrided(lengths, next, true));
  const constants = [0.5, 1, -1.25].slice(0, Math.floor(next() * 4));
  let count = reads.length + constants.length;
  const any = () => Math.floor(next() * count);
  const steps: Step[] = Array.from({ length: Math.floor(next() * 8) }, () => {
    const kind = next();
    const step: Step =
      kind < 0.2
        ? { operation: pick(unary), of: [any()], parameter: pick([0.5, 2, 3, -1, 1.7]) }
        : kind < 0.25
          ? { operation: "where", of: [any(), any(), any()] }
          : { operation: pick(binary), of: [any(), any()] };
    count++;
    return step.operation === "power" ? step : { operation: step.operation, of: step.of };
  });
  const results: Result[] = Array.from({ length: 1 + Math.floor(next() * 3) }, () => {
    const value = next() < 0.7 ? count - 1 : any();
    const kind = next();
    if (kind < 0.5) return { value, ...randomStrided(lengths, next, false) };
    const keeps = lengths.map(() => next() < 0.5);
    return {
      value,
      strides: dense(lengths, (axis) => keeps[axis]),
      offset: 0,
      reduced: kind < 0.85 ? "sum" : "largest",
    };
  });
  return { lengths, reads, constants, steps, results };
}

const PADDING = 8;

/** Runs it on arrays between NaN; returns the results, and throws where anything else was written. */
function run(
  kernels: WasmKernels,
  pass: Pass,
  reads: readonly Float32Array[],
  sizes: readonly number[],
): Float32Array[] {
  const hold = (values: Float32Array) => {
    const array = kernels.allocate(values.length + 2 * PADDING);
    kernels
      .values(array, values.length + 2 * PADDING)
      .fill(Number.NaN)
      .set(values, PADDING);
    return array;
  };
  const from = reads.map(hold);
  const to = sizes.map((size) => hold(new Float32Array(size).fill(Number.NaN)));
  const inside = (array: number) => array + PADDING * 4;
  kernels.pass(pass, from.map(inside), to.map(inside), encoders);
  const results = to.map((array, i) => {
    const all = kernels.values(array, sizes[i] + 2 * PADDING).slice();
    const around = [...all.subarray(0, PADDING), ...all.subarray(PADDING + sizes[i])];
    expect(around.every(Number.isNaN), "padding").toBe(true);
    return all.slice(PADDING, PADDING + sizes[i]);
  });
  for (const array of [...from, ...to]) kernels.release(array);
  return results;
}

function inputsOf(pass: Pass, seed: number): Float32Array[] {
  const next = random(seed);
  return pass.reads.map((read) =>
    Float32Array.from({ length: extent(pass.lengths, read) }, () => {
      const value = 4 * next() - 2;
      return next() < 0.001 ? Number.NaN : value;
    }),
  );
}

const sizesOf = (pass: Pass) => pass.results.map((result) => extent(pass.lengths, result));

function expectNear(pass: Pass, got: readonly Float32Array[], wanted: ReturnType<typeof evaluate>) {
  got.forEach((all, k) => {
    const { values, errors } = wanted[k];
    all.forEach((value, i) => {
      const right = Math.fround(values[i]);
      const near = Math.abs(value - right) <= errors[i] + Math.abs(right) * 2 ** -23;
      if (near || Object.is(value, right) || value === right || errors[i] === Number.POSITIVE_INFINITY)
        return;
      throw new Error(
        `result ${k}, element ${i}: ${value}, not ${values[i]} ± ${errors[i]} (${JSON.stringify(pass)})`,
      );
    });
  });
}

const builds = hasRelaxedSimd ? [false, true] : [false];

async function kernelsOf(relaxed: boolean, threads: number): Promise<WasmKernels> {
  const memory = threads > 1 ? sharedMemory() : undefined;
  const module = await normalizationModule({ shared: memory !== undefined, relaxed });
  return new WasmKernels(module, new OwnHeap(memory), threads);
}

// by one axis to eight: of length 1, prime, a vector or a tile and one more or less
const spaces: number[][] = [
  [1],
  [2],
  [3],
  [7],
  [8],
  [9],
  [255],
  [256],
  [257],
  [263],
  [512],
  [1031],
  [1, 1],
  [3, 5],
  [17, 31],
  [70, 2],
  [300, 3],
  [129, 4],
  [5, 255],
  [5, 256],
  [4, 257],
  [3, 523],
  [20, 64],
  [2, 3, 4],
  [7, 1, 9],
  [2, 3, 260],
  [13, 11, 7],
  [2, 130, 3],
  [3, 2, 4, 5],
  [2, 3, 1, 5, 4],
  [2, 3, 2, 3, 2, 5],
  [2, 2, 2, 2, 2, 2, 2, 3],
];

// cut by the outermost axis, by rows, within rows
const large: number[][] = [
  [100_003],
  [301, 300],
  [2003, 61],
  [3, 50_003],
  [9, 40, 301],
  [300, 3, 100],
  [40, 31, 30, 7],
  [5, 7, 5, 7, 90],
];

describe.each(builds)("relaxed: %s", async (relaxed) => {
  const one = await kernelsOf(relaxed, 1);
  const three = await kernelsOf(relaxed, 3);
  // all calls are shared, however busy this machine is
  beforeAll(() => vi.spyOn(pool as unknown as { account(): void }, "account").mockImplementation(() => {}));
  afterAll(() => three.close());

  it.each(spaces)("gives what float64 gives, and writes nothing else: %s", (...lengths) => {
    const size = lengths.reduce((product, length) => product * length);
    for (let seed = 0; seed < (size > 500 ? 6 : 20); seed++) {
      const pass = randomPass(lengths, 1000 * size + seed);
      const inputs = inputsOf(pass, seed);
      const sizes = sizesOf(pass);
      expectNear(pass, run(one, pass, inputs, sizes), evaluate(pass, inputs, sizes));
    }
  });

  it("joins two operations to one step, whichever operand the first one makes", () => {
    const operations = ["add", "sub", "mul"] as const;
    const dense = { strides: [1], offset: 0 };
    for (const first of operations) {
      for (const second of operations) {
        for (const of of [
          [3, 2],
          [2, 3],
          [3, 3],
        ]) {
          const steps: Step[] = [
            { operation: first, of: [0, 1] },
            { operation: second, of },
          ];
          const results: Result[] = [
            { value: 4, ...dense },
            { value: 4, strides: [0], offset: 0, reduced: "sum" },
          ];
          const pass: Pass = { lengths: [29], reads: [dense, dense, dense], constants: [], steps, results };
          const inputs = inputsOf(pass, 5);
          const sizes = sizesOf(pass);
          expectNear(pass, run(one, pass, inputs, sizes), evaluate(pass, inputs, sizes));
        }
      }
    }
  });

  it.each([
    ["a row", 1, 24],
    ["columns", 24, 1],
  ])("takes the largest absolute value, of %s too, NaN being larger than all", (_, rows, columns) => {
    const strides = rows === 1 ? [0, 0] : [0, 1];
    const pass: Pass = {
      lengths: rows === 1 ? [3, columns] : [3, rows],
      reads: [{ strides: [rows * columns, 1], offset: 0 }],
      constants: [1, -1],
      steps: [
        { operation: "abs", of: [0] },
        { operation: "max", of: [0, 1] },
        { operation: "min", of: [0, 2] },
      ],
      results: [3, 0, 4, 5].map((value) => ({ value, strides, offset: 0, reduced: "largest" as const })),
    };
    for (const special of [-5, Number.NEGATIVE_INFINITY, Number.NaN, -Number.NaN, -0]) {
      for (const at of [0, 9, 71]) {
        const input = Float32Array.from({ length: 72 }, (_, i) => (i === at ? special : Math.sin(i)));
        const sizes = sizesOf(pass);
        expectNear(pass, run(one, pass, [input], sizes), evaluate(pass, [input], sizes));
      }
    }
  });

  it("gives the same bits on several threads", async () => {
    const share = vi.spyOn(pool, "share");
    let shared = 0;
    for (const lengths of large) {
      for (let seed = 0; seed < 4; seed++) {
        const pass = randomPass(lengths, seed + 77);
        const inputs = inputsOf(pass, seed);
        const sizes = sizesOf(pass);
        const alone = run(one, pass, inputs, sizes);
        const before = share.mock.calls.length;
        for (let i = 0; i < 100 && three.threads < 3; i++) {
          run(three, pass, inputs, sizes);
          await new Promise((wake) => setTimeout(wake, 5));
        }
        const together = run(three, pass, inputs, sizes);
        if (share.mock.calls.length > before) shared++;
        together.forEach((values, i) => {
          const off = values.findIndex((value, k) => !Object.is(value, alone[i][k]));
          if (off >= 0) throw new Error(`element ${off} of result ${i}: ${JSON.stringify(pass)}`);
        });
      }
    }
    expect(shared).toBeGreaterThan(10);
  });

  const held = (values: ArrayLike<number>) => {
    const array = one.allocate(values.length);
    one.values(array, values.length).set(values);
    return array;
  };

  // one column, four, a cache line, and one more or less
  it.each([1, 3, 5, 15, 16, 41])("recurs column by column, with the state in float64: %i", (width) => {
    const steps = 37;
    const next = random(3);
    const some = (length: number) => Float32Array.from({ length }, () => 2 * next() - 1);
    const [start, factors, terms] = [some(width), some(steps * width), some(steps * width)];
    factors[12] = Number.NaN;
    const [before, last] = [held(new Float32Array(steps * width)), held(new Float32Array(width))];
    one.recurrence({
      start: held(start),
      factors: held(factors),
      terms: held(terms),
      before,
      last,
      steps,
      width,
    });
    const states: number[] = [...start];
    for (let i = 0; i < steps * width; i++) states.push(factors[i] * states[i] + terms[i]);
    const wanted = Float32Array.from(states);
    expect(one.values(before, steps * width)).toEqual(wanted.slice(0, steps * width));
    expect(one.values(last, width)).toEqual(wanted.slice(steps * width));
  });

  const some = (length: number, seed: number) => {
    const next = random(seed);
    return Float32Array.from({ length }, () => 2 * next() - 1);
  };

  /** Multiplies, between NaN; returns the product, and throws where anything else was written. */
  function product(
    a: Float32Array,
    b: Float32Array,
    sizes: { count: number; m: number; k: number; n: number },
  ) {
    const length = sizes.count * sizes.m * sizes.n;
    const y = held(new Float32Array(length + 2 * PADDING).fill(Number.NaN));
    one.matMul({ a: held(a), b: held(b), y: y + PADDING * 4, ...sizes });
    const all = one.values(y, length + 2 * PADDING).slice();
    const around = [...all.subarray(0, PADDING), ...all.subarray(PADDING + length)];
    expect(around.every(Number.isNaN), "padding").toBe(true);
    return all.subarray(PADDING, PADDING + length);
  }

  // tiles of four rows and eight columns, stretches of 64 products
  it.each([
    [1, 1, 1, 1],
    [2, 2, 3, 2],
    [1, 3, 63, 7],
    [2, 4, 64, 8],
    [1, 5, 65, 9],
    [3, 7, 131, 17],
    [1, 1, 700, 24],
    [2, 3, 0, 5],
    [2, 0, 3, 5],
    [2, 3, 5, 0],
  ])("multiplies matrices: %i of %i by %i by %i", (count, m, k, n) => {
    const a = some(count * m * k, 5);
    const b = some(count * k * n, 6);
    const y = product(a, b, { count, m, k, n });
    for (let i = 0; i < y.length; i++) {
      const [row, column] = [Math.floor(i / n), i % n];
      const matrix = Math.floor(row / m);
      let sum = 0;
      let size = 0;
      for (let at = 0; at < k; at++) {
        const term = a[row * k + at] * b[(matrix * k + at) * n + column];
        sum += term;
        size += Math.abs(term);
      }
      expect(Math.abs(y[i] - sum)).toBeLessThanOrEqual((Math.min(k, 8) + 1) * 2 ** -24 * size);
    }
  });

  it("adds up long products in float64, 64 at a time in float32", () => {
    const k = 300_001;
    const [a, b] = [new Float32Array(k).fill(0.1), new Float32Array(k).fill(1)];
    const [y] = product(a, b, { count: 1, m: 1, k, n: 1 });
    expect(Math.abs(y / (k * Math.fround(0.1)) - 1)).toBeLessThan(2e-6);
  });

  it("multiplies NaN and infinities where they are, and nowhere else", () => {
    const [m, k, n] = [5, 3, 9];
    const [a, b] = [some(m * k, 7), some(k * n, 8)];
    a[2 * k] = Number.NaN;
    b[8] = Number.POSITIVE_INFINITY;
    const y = product(a, b, { count: 1, m, k, n });
    for (let i = 0; i < m * n; i++) {
      const [row, column] = [Math.floor(i / n), i % n];
      const wanted = row === 2 ? Number.NaN : column === 8 ? Math.sign(a[row * k]) / 0 : undefined;
      if (wanted === undefined) expect(Number.isFinite(y[i])).toBe(true);
      else expect(y[i]).toBe(wanted);
    }
  });

  it("sorts rows with NaN last", () => {
    const x = held([3, Number.NaN, -1, 2, Number.POSITIVE_INFINITY, -5]);
    const y = held(new Float32Array(6));
    one.sort(x, y, 2, 3);
    expect([...one.values(y, 6)]).toEqual([-1, 3, Number.NaN, -5, 2, Number.POSITIVE_INFINITY]);
  });
});
