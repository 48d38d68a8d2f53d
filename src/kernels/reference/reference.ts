/** The ground truth for the other backends: plain loops over float64, element by element, never optimised. */
import { sizeOf } from "../../shape.js";
import { keptSize, reducedSize, statisticIndex, type View } from "../../view.js";
import type { Backward, Forward, Kernels, MatMul, Recurrence, StorageType } from "../contract.js";
import { narrow, sortRows } from "../host-loops.js";
import { pass } from "./pass.js";

export const reference: Kernels<Float64Array> = {
  name: "reference",
  precision: "float64",
  threads: 1,
  allocate: (length) => new Float64Array(length).fill(Number.NaN),
  release: () => {},
  close: () => {},
  values: (array) => array,
  read: async (array) => array.slice(),
  forward,
  backward,
  transpose,
  cast: (x, _from, y, to, length) => {
    const stored = storedAs(to);
    for (let i = 0; i < length; i++) y[i] = stored(x[i]);
  },
  pass,
  recurrence,
  matMul,
  sort: sortRows,
};

function matMul({ a, b, y, count, m, k, n }: MatMul<Float64Array>): void {
  const row = new Float64Array(n);
  for (let i = 0; i < count * m; i++) {
    const matrix = Math.floor(i / m) * k * n;
    row.fill(0);
    for (let at = 0; at < k; at++) {
      const factor = a[i * k + at];
      const other = matrix + at * n;
      for (let j = 0; j < n; j++) row[j] += factor * b[other + j];
    }
    y.set(row, i * n);
  }
}

function recurrence({ start, factors, terms, before, last, steps, width }: Recurrence<Float64Array>): void {
  last.set(start);
  for (let i = 0; i < steps * width; i++) {
    before[i] = last[i % width];
    last[i % width] = factors[i] * last[i % width] + terms[i];
  }
}

function forward(call: Forward<Float64Array>): void {
  const { y, mean, variance, given, epsilon, statistics, parameters, gamma, beta, residual, sum } = call;
  const stored = storedAs(call.type);
  if (residual && sum) {
    for (let i = 0; i < elements(statistics); i++) sum[i] = stored(call.x[i] + residual[i]);
  }
  const x = sum ?? call.x;
  const includes = inclusionOf(call);
  if (!given) {
    const centered = (i: number) => x[i] - (mean ? mean[statisticIndex(statistics, i)] : 0);
    if (mean) {
      meanOver(statistics, mean, includes, (i) => x[i]);
      // again, about the first mean: corrects its rounding, so that the mean of equal values is their value
      const roundings = new Float64Array(keptSize(statistics));
      meanOver(statistics, roundings, includes, centered);
      for (let s = 0; s < roundings.length; s++) mean[s] += roundings[s];
    }
    meanOver(statistics, variance, includes, (i) => centered(i) ** 2);
  }
  for (let i = 0; i < elements(statistics); i++) {
    if (!includes(i)) {
      y[i] = 0;
      continue;
    }
    const s = statisticIndex(statistics, i);
    const p = statisticIndex(parameters, i);
    const xHat = (x[i] - (mean ? mean[s] : 0)) / rootOf(variance[s] + epsilon);
    y[i] = stored(xHat * (gamma ? gamma[p] : 1) + (beta ? beta[p] : 0));
  }
}

function backward(call: Backward<Float64Array>): void {
  const { dy, x, mean, variance, given, epsilon, statistics, parameters, gamma, dSum, dx, dGamma, dBeta } =
    call;
  const root = (i: number) => rootOf(variance[statisticIndex(statistics, i)] + epsilon);
  const xHat = (i: number) => (x[i] - (mean ? mean[statisticIndex(statistics, i)] : 0)) / root(i);
  const g = (i: number) => dy[i] * (gamma ? gamma[statisticIndex(parameters, i)] : 1);
  const includes = inclusionOf(call);
  const stored = storedAs(call.type);
  if (dGamma) sumOver(parameters, dGamma, includes, (i) => dy[i] * xHat(i));
  if (dBeta) sumOver(parameters, dBeta, includes, (i) => dy[i]);
  const meanG = new Float64Array(keptSize(statistics));
  const meanGX = new Float64Array(keptSize(statistics));
  if (!given) {
    if (mean) meanOver(statistics, meanG, includes, g);
    meanOver(statistics, meanGX, includes, (i) => g(i) * xHat(i));
  }
  for (let i = 0; i < elements(statistics); i++) {
    const s = statisticIndex(statistics, i);
    const normalized = includes(i) ? (g(i) - meanG[s] - xHat(i) * meanGX[s]) / root(i) : 0;
    dx[i] = stored(normalized + (dSum ? dSum[i] : 0));
  }
}

function transpose(
  x: Float64Array,
  y: Float64Array,
  shape: readonly number[],
  order: readonly number[],
): void {
  for (let to = 0; to < sizeOf(shape); to++) {
    const position = new Array<number>(shape.length);
    let rest = to;
    for (const axis of [...order].reverse()) {
      position[axis] = rest % shape[axis];
      rest = Math.floor(rest / shape[axis]);
    }
    y[to] = x[position.reduce((index, p, axis) => index * shape[axis] + p, 0)];
  }
}

/** How a value is rounded where it is stored. */
function storedAs(type: StorageType = "float32"): (value: number) => number {
  return roundings[type];
}

const roundings: Record<StorageType, (value: number) => number> = {
  float32: (value) => value,
  ...narrow,
};

function elements(view: View): number {
  return keptSize(view) * reducedSize(view);
}

/** Infinity where variance and epsilon are 0, so that xHat and dx are 0. */
function rootOf(square: number): number {
  return square === 0 ? Number.POSITIVE_INFINITY : Math.sqrt(square);
}

type Inclusion = (index: number) => boolean;

/** Whether an element is included, or masked. */
function inclusionOf({ mask, masks }: Forward<Float64Array> | Backward<Float64Array>): Inclusion {
  if (!mask || !masks) return () => true;
  return (i) => mask[statisticIndex(masks, i)] !== 0;
}

function sumOver(
  view: View,
  into: Float64Array,
  includes: Inclusion,
  value: (index: number) => number,
): void {
  into.fill(0, 0, keptSize(view));
  for (let i = 0; i < elements(view); i++) if (includes(i)) into[statisticIndex(view, i)] += value(i);
}

/** 0 where everything is masked. */
function meanOver(
  view: View,
  into: Float64Array,
  includes: Inclusion,
  value: (index: number) => number,
): void {
  sumOver(view, into, includes, value);
  const counts = new Float64Array(keptSize(view));
  sumOver(view, counts, includes, () => 1);
  for (let s = 0; s < keptSize(view); s++) into[s] /= Math.max(1, counts[s]);
}
