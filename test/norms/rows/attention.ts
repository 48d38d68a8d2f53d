/** Attention with QK-norm. */
import { normalizedAttention } from "../../../src/index.js";
import type { Row, Values64 } from "./row.js";

/** One head and one example at a time, element by element. */
function attend(
  kind: "layer" | "rms" | "unit" | "none",
  heads: number,
  { causal = false, over = "head" }: { causal?: boolean; over?: "head" | "width" } = {},
): Row["expected"] {
  return ([x, context = x], w, { mask }) => {
    const [batch, length, features] = x.shape;
    const [, others] = context.shape;
    const all = w.queryBias.length;
    const width = all / heads;
    const own = context === x;
    const counts = (b: number, t: number) => mask?.[(b * others + t) * context.shape[2]] !== 0;
    const dense = (from: Values64, b: number, t: number, kernel: Float64Array, bias: Float64Array) =>
      Array.from(bias, (offset, column) => {
        let sum = offset;
        for (let f = 0; f < from.shape[2]; f++) {
          sum += from.data[(b * from.shape[1] + t) * from.shape[2] + f] * kernel[f * bias.length + column];
        }
        return sum;
      });
    const normalized = (row: number[], gamma: Float64Array | undefined) => {
      const count = row.length;
      const mean = row.reduce((p, q) => p + q, 0) / count;
      const square = (values: number[]) => values.reduce((p, q) => p + q * q, 0);
      const scale = (values: number[], by: number) =>
        values.map((value, i) => (value / by) * (gamma ? gamma[i] : 1));
      if (kind === "layer") {
        const distance = row.map((value) => value - mean);
        return scale(distance, Math.sqrt(square(distance) / count + 1e-6));
      }
      if (kind === "rms") return scale(row, Math.sqrt(square(row) / count + 1e-6));
      return kind === "unit" ? scale(row, Math.sqrt(square(row) + 1e-6)) : row;
    };
    const y = new Float64Array(x.data.length);
    for (let b = 0; b < batch; b++) {
      const heard = Array.from({ length }, () => new Array<number>(all).fill(0));
      for (let h = 0; h < heads; h++) {
        const head = (row: number[]) => row.slice(h * width, (h + 1) * width);
        const scored = (row: number[], gamma: Float64Array | undefined) =>
          over === "head" ? normalized(head(row), gamma) : head(normalized(row, gamma));
        for (let t = 0; t < length; t++) {
          if (own && !counts(b, t)) continue;
          const q = scored(dense(x, b, t, w.queryKernel, w.queryBias), w.queryGamma);
          const terms: { weight: number; value: number[] }[] = [];
          for (let s = 0; s < others; s++) {
            if (!counts(b, s) || (causal && s > t)) continue;
            const k = scored(dense(context, b, s, w.keyKernel, w.keyBias), w.keyGamma);
            const product = q.reduce((sum, value, i) => sum + value * k[i], 0);
            const score = product * (w.factor ? w.factor[0] : 1 / Math.sqrt(width));
            terms.push({
              weight: Math.exp(score),
              value: head(dense(context, b, s, w.valueKernel, w.valueBias)),
            });
          }
          const total = terms.reduce((sum, { weight }) => sum + weight, 0);
          for (const { weight, value } of terms) {
            for (let i = 0; i < width; i++) heard[t][h * width + i] += (weight / total) * value[i];
          }
        }
      }
      for (let t = 0; t < length; t++) {
        if (own && !counts(b, t)) continue;
        for (let f = 0; f < features; f++) {
          let sum = w.outputBias[f];
          for (let i = 0; i < all; i++) sum += heard[t][i] * w.outputKernel[i * features + f];
          y[(b * length + t) * features + f] = sum;
        }
      }
    }
    return { y };
  };
}

export const attention: Row[] = [
  {
    norm: normalizedAttention({ heads: 2 }),
    shapes: [[2, 5, 6]],
    expected: attend("layer", 2),
  },
  {
    name: "by RMS, causal",
    norm: normalizedAttention({ heads: 3, kind: "rms", causal: true }),
    shapes: [[2, 4, 6]],
    mask: null,
    expected: attend("rms", 3, { causal: true }),
  },
  {
    name: "to unit length, of a context",
    norm: normalizedAttention({ heads: 2, size: 4, kind: "unit" }),
    shapes: [
      [2, 3, 6],
      [2, 4, 5],
    ],
    mask: null,
    expected: attend("unit", 2),
  },
  {
    name: "over the full width",
    norm: normalizedAttention({ heads: 3, kind: "rms", over: "width" }),
    shapes: [[2, 4, 6]],
    expected: attend("rms", 3, { over: "width" }),
  },
  {
    name: "to unit length over the full width",
    norm: normalizedAttention({ heads: 2, kind: "unit", over: "width" }),
    shapes: [[2, 3, 4]],
    mask: null,
    expected: attend("unit", 2, { over: "width" }),
  },
  {
    name: "plain",
    norm: normalizedAttention({ heads: 1, kind: "none" }),
    shapes: [[2, 4, 3]],
    expected: attend("none", 1),
  },
];
