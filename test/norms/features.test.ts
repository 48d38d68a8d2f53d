/** Norms over features: what they have in common, and the two orders of rounding of language models. */
import { defaultDevice, numpy as np, init as startJax } from "@jax-js/jax";
import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, it } from "vitest";
import {
  apply,
  type Normalization,
  open,
  type RMSNormOptions,
  rmsNorm,
  rmsPresets,
  scaleNorm,
  unitNorm,
} from "../../src/index.js";
import { apply as applyJax } from "../../src/jax/index.js";
import { apply as applyTf } from "../../src/tfjs/layers/apply.js";
import { expectClose, normal } from "../support/numerics.js";
import { use } from "../support/tfjs-backends.js";

const ek = await open({ backend: "reference" });
const wasm = await open({ backend: "wasm", threads: 1 });
const x = { shape: [4, 6], data: normal(24, 1, 0.5) };

const same = (one: Normalization, other: Normalization, factor: number, weights = {}) => {
  const [a, b] = [apply(ek, one, x), apply(ek, other, x, weights)].map(({ y }) => y.data);
  expectClose(
    "y",
    a,
    b.map((value) => value * factor),
    () => 1e-12,
  );
};

describe("identities", () => {
  it("a unit norm is an RMS norm over √features", () => {
    same(unitNorm({ epsilon: 0 }), rmsNorm({ epsilon: 0 }), 1 / Math.sqrt(6));
  });

  it("a scale norm at its start is an RMS norm", () => {
    same(scaleNorm({ epsilon: 0.06 }), rmsNorm({ epsilon: 0.01 }), 1);
  });

  it("Gemma's RMS norm is Llama's, counted from 1", () => {
    const gamma = normal(6, 2);
    const [gemma, llama] = [
      apply(ek, rmsNorm(rmsPresets.gemma), x, { gamma }),
      apply(ek, rmsNorm(rmsPresets.llama), x, { gamma: gamma.map((value) => 1 + value) }),
    ];
    expectClose("y", gemma.y.data, llama.y.data, () => 1e-6);
  });
});

/** From the bits of float32: to bfloat16, ties to even. */
function bfloat16(value: number): number {
  const bits = new Uint32Array(Float32Array.of(value).buffer);
  bits[0] = (bits[0] + 0x7fff + ((bits[0] >>> 16) & 1)) & 0xffff0000;
  return new Float32Array(bits.buffer)[0];
}

/** The nearest of all float16 numbers, of two as near the one whose last bit is 0. */
const halves = Array.from({ length: 0x7c00 }, (_, bits) => {
  const [exponent, fraction] = [bits >> 10, bits & 0x3ff];
  return exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15);
});
function float16(value: number): number {
  const size = Math.abs(value);
  if (size >= 65520) return Math.sign(value) * Number.POSITIVE_INFINITY;
  const above = halves.findIndex((half) => half >= size);
  const next = above < 0 ? halves.length - 1 : above;
  const [low, high] = [halves[Math.max(0, next - 1)], halves[next]];
  const nearer = size - low < high - size || (size - low === high - size && next % 2 === 1) ? low : high;
  return Math.sign(value) * nearer;
}

describe("the type of a model", () => {
  const gamma = normal(6, 3, 1, 0.2);
  const narrow = { bfloat16, float16 };

  /** By the formula of each: RMS in float64, rounded where that kind of model rounds. */
  const expected = (
    type: keyof typeof narrow,
    { offset = 0, cast = "after", epsilon = 1e-5, scale = true }: RMSNormOptions,
  ) => {
    const round = narrow[type];
    return x.data.map((value, i) => {
      const row = x.data.subarray(i - (i % 6), i - (i % 6) + 6);
      const square = row.reduce((sum, each) => sum + each * each, 0) / 6;
      const hat = Math.fround(value / Math.sqrt(square + epsilon));
      return round((cast === "before" ? round(hat) : hat) * (scale ? Math.fround(gamma[i % 6] + offset) : 1));
    });
  };

  describe.each(["bfloat16", "float16"] as const)("%s", (type) => {
    it.each(Object.entries<RMSNormOptions>(rmsPresets))("%s", async (_, preset) => {
      const held: Record<string, Float32Array> = preset.scale === false ? {} : { gamma };
      const norm = rmsNorm({ ...preset, type });
      const wanted = expected(type, preset);
      await use("cpu");
      await startJax("wasm");
      defaultDevice("wasm");
      const results: Record<string, ArrayLike<number>> = {
        reference: apply(ek, norm, x, held).y.data,
        wasm: apply(wasm, norm, x, held).y.data,
        tfjs: tf.tidy(() =>
          applyTf(
            norm,
            tf.tensor(x.data, [4, 6]),
            held.gamma && { gamma: tf.tensor(held.gamma) },
          ).y.dataSync(),
        ),
        jax: (await applyJax(
          norm,
          np.array(x.data.slice()).reshape([4, 6]),
          held.gamma && { gamma: np.array(held.gamma.slice()) },
        ).y.data()) as Float32Array,
      };
      // a value that lies between two narrow ones may be rounded either way by what float32 left of it
      const step = type === "float16" ? 2 ** -10 : 2 ** -7;
      for (const [host, values] of Object.entries(results)) {
        expectClose(host, Float32Array.from(values), wanted, (i) => step * Math.abs(wanted[i]));
        const exact = wanted.filter((value, i) => value === values[i]).length;
        expect(exact, `${host}: exactly rounded`).toBeGreaterThanOrEqual(22);
        for (const value of Array.from(values)) expect(narrow[type](value), host).toBe(value);
      }
    });
  });

  it("rounds what is large, small and between as the type does, in every host", async () => {
    await startJax("wasm");
    defaultDevice("wasm");
    const data = Float32Array.of(
      65504,
      65519,
      65520,
      1e6,
      3e-8,
      2.9e-8,
      6.2e-5,
      1 + 2 ** -11,
      1 + 3 * 2 ** -11,
      -3e-8,
      0,
      1e30,
    );
    // with epsilon 0 and a row of one value, xHat is its sign: gamma is what is rounded
    const ones = { shape: [1, 1, data.length], data: new Float32Array(data.length).fill(1) };
    const norm = rmsNorm({ axis: -1, epsilon: 0, type: "float16" });
    const wanted = Float32Array.from(data, float16);
    await use("cpu");
    expect(Float32Array.from(apply(ek, norm, ones, { gamma: data }).y.data)).toEqual(wanted);
    tf.tidy(() => {
      const y = applyTf(norm, tf.ones([1, data.length]), { gamma: tf.tensor(data) }).y.dataSync();
      expect(Float32Array.from(y)).toEqual(wanted);
    });
    const y = applyJax(norm, np.ones([1, data.length]), { gamma: np.array(data.slice()) }).y;
    expect(Float32Array.from((await y.data()) as Float32Array)).toEqual(wanted);
  });
});

describe("errors", () => {
  it.each<[() => unknown, string]>([
    [() => unitNorm({ order: 0.5 }), "unitNorm: order must be at least 1, got 0.5"],
    [
      () => unitNorm({ guard: "sum" as "root" }),
      'unitNorm: guard must be "root", "square" or "length", got "sum"',
    ],
    [
      () => rmsNorm({ type: "half" as "float16" }),
      'rmsNorm: type must be "float32", "float16" or "bfloat16", got "half"',
    ],
    [() => rmsNorm({ cast: "never" as "before" }), 'rmsNorm: cast must be "before" or "after", got "never"'],
    [() => scaleNorm({ epsilon: -1 }), "scaleNorm: epsilon must be a finite number of at least 0, got -1"],
  ])("%s", (run, message) => {
    expect(run).toThrow(new RangeError(message));
  });
});
