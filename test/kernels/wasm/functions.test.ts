/** Every operation of a pass over every exponent of float32, against float64: to 3 units in the last place, and exact where it is. */
import { describe, expect, it } from "vitest";
import { encoders } from "../../../src/kernels/encoders.js";
import { erf, rounding } from "../../../src/kernels/host-loops.js";
import type { Pass, Step } from "../../../src/kernels/pass.js";
import { OwnHeap } from "../../../src/kernels/wasm/heap.js";
import { hasRelaxedSimd } from "../../../src/kernels/wasm/module.js";
import { normalizationModule, WasmKernels } from "../../../src/kernels/wasm/wasm.js";
import { random } from "../../support/numerics.js";

/** For each exponent and sign: the first and last mantissas, those about the middle, and some others. */
function everyExponent(others: number): Float32Array {
  const next = random(7);
  const bits: number[] = [];
  for (let top = 0; top < 512; top++) {
    const mantissas = [0, 1, 2, 0x3fffff, 0x400000, 0x400001, 0x7ffffe, 0x7fffff];
    for (let i = 0; i < others; i++) mantissas.push(Math.floor(next() * 0x800000));
    for (const mantissa of mantissas) bits.push((top << 23) | mantissa);
  }
  return new Float32Array(Int32Array.from(bits).buffer);
}

/** The distance of neighbouring float32 at a value. */
function unit(value: number): number {
  const size = Math.abs(value);
  return 2 ** (Math.max(-126, size === 0 ? -126 : Math.floor(Math.log2(size))) - 23);
}

/** The largest error in units in the last place; throws where a special value is wrong. */
function worst(x: Float32Array, y: Float32Array, right: (x: number) => number): number {
  let most = 0;
  for (let i = 0; i < x.length; i++) {
    const exact = right(x[i]);
    const nearest = Math.fround(exact);
    if (Object.is(y[i], nearest)) continue;
    const isSpecial = Number.isNaN(exact) || !Number.isFinite(exact) || exact === 0;
    // beyond the largest float32, whose neighbour is infinity
    const end = Number.isFinite(y[i]) ? y[i] : Math.sign(y[i]) * 2 ** 128;
    const off = isSpecial
      ? Number.POSITIVE_INFINITY
      : Math.abs(end - exact) / unit(nearest === 0 ? 0 : exact);
    if (!(off <= 3)) throw new Error(`of ${x[i]}: ${y[i]}, not ${exact} (${off} units off)`);
    most = Math.max(most, off);
  }
  return most;
}

const x = everyExponent(60);

async function kernelsOf(relaxed: boolean): Promise<WasmKernels> {
  return new WasmKernels(await normalizationModule({ relaxed }), new OwnHeap());
}

/** One step of some arrays. */
function apply(kernels: WasmKernels, step: Omit<Step, "of">, ...inputs: Float32Array[]): Float32Array {
  const { length } = inputs[0];
  const arrays = inputs.map((values) => {
    const array = kernels.allocate(length);
    kernels.values(array, length).set(values);
    return array;
  });
  const y = kernels.allocate(length);
  kernels.values(y, length).fill(Number.NaN);
  const dense = { strides: [1], offset: 0 };
  const pass: Pass = {
    lengths: [length],
    reads: inputs.map(() => dense),
    constants: [],
    steps: [{ ...step, of: inputs.map((_, i) => i) }],
    results: [{ value: inputs.length, ...dense }],
  };
  kernels.pass(pass, arrays, [y], encoders);
  const result = kernels.values(y, length).slice();
  for (const array of [...arrays, y]) kernels.release(array);
  return result;
}

/** The error in units in the last place at most. */
const unary: [Step["operation"], (x: number) => number, number][] = [
  ["abs", Math.abs, 0],
  ["sqrt", Math.sqrt, 0.5],
  ["exp", Math.exp, 1.2],
  ["tanh", Math.tanh, 2.5],
  ["sigmoid", (x) => 1 / (1 + Math.exp(-x)), 2.5],
  ["erf", erf, 3],
  ["float16", rounding(11, -14, 65504), 0],
  ["bfloat16", rounding(8, -126, 2 ** 127 * (2 - 2 ** -7)), 0],
];

const exponents = [
  0,
  1,
  2,
  3,
  0.25,
  0.5,
  0.75,
  1.5,
  2.5,
  -0.25,
  -0.5,
  -0.75,
  -1,
  -1.5,
  -2,
  -2.5,
  -3,
  1.25,
  -1.75,
  4,
  5,
  -4,
  -7,
  10,
  1 / 3,
  -1 / 3,
  0.3,
  1.7,
  100,
  -31.5,
  1e-3,
  1e6,
  -1e6,
  1e9 + 1,
  Number.POSITIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
];

const binary: [Step["operation"], (a: number, b: number) => number][] = [
  ["add", (a, b) => a + b],
  ["sub", (a, b) => a - b],
  ["mul", (a, b) => a * b],
  ["div", (a, b) => a / b],
  ["max", (a, b) => Math.max(a, b)],
  ["min", (a, b) => Math.min(a, b)],
  ["greater", (a, b) => (a > b ? 1 : 0)],
  ["atLeast", (a, b) => (a >= b ? 1 : 0)],
];

describe.each(hasRelaxedSimd ? [false, true] : [false])("relaxed: %s", async (relaxed) => {
  const kernels = await kernelsOf(relaxed);

  it.each(unary)("%s", (operation, right, most) => {
    expect(worst(x, apply(kernels, { operation }, x), right)).toBeLessThanOrEqual(most);
  });

  it.each(exponents)("power %s", (exponent) => {
    const y = apply(kernels, { operation: "power", parameter: exponent }, x);
    expect(worst(x, y, (x) => x ** exponent)).toBeLessThanOrEqual(3);
  });

  it.each(binary)("%s", (operation, right) => {
    // each with itself, and with others of all sizes
    for (const shift of [0, 1, 37, 68 * 11 + 5]) {
      const b = x.map((_, i) => x[(i + shift) % x.length]);
      const y = apply(kernels, { operation }, x, b);
      const off = y.findIndex((value, i) => !Object.is(value, Math.fround(right(x[i], b[i]))));
      expect(off < 0 ? "" : `${x[off]}, ${b[off]}: ${y[off]}`).toBe("");
    }
  });

  it("where", () => {
    const a = x.map((value, i) => (i % 3 === 0 ? 0 : i % 7 === 0 ? -0 : value));
    const b = x.map((_, i) => i);
    const y = apply(kernels, { operation: "where" }, a, b, x);
    expect(y).toEqual(x.map((value, i) => (a[i] === 0 ? value : i)));
  });
});
