/**
 * y = (x − mean)·rstd·gamma + beta, with rstd = 1 / √(variance + epsilon).
 *
 * Statistics belong to the view (k1, r1, k2, r2), parameters to (pk1, pr1, pk2, pr2). They are measured from x and
 * written to `mean` and `variance` (biased), or, where `given`, read from there. Without `mean` nothing is centred
 * and `variance` is the mean square (RMS).
 *
 * The mean is used in two float32 parts: x − high is exact where x is near it, and low is what rounding took.
 */
import { columnMoments, mergeInto, segmentM2, segmentMean, segmentMoments } from "./moments";
import { forwardRows } from "./rows";
import { normalizeRun, normalizeVector } from "./runs";
import { load } from "./simd";
import { asColumns, inverseRoot, k2, parameterIndex, pr2, r1, r2, repeatsByRow, runLength, setViews } from "./views";

export function forward(
  x: usize,
  y: usize,
  gamma: usize,
  beta: usize,
  mean: usize,
  variance: usize,
  scratch: usize,
  k1: i32,
  r1: i32,
  k2: i32,
  r2: i32,
  pk1: i32,
  pr1: i32,
  pk2: i32,
  pr2: i32,
  epsilon: f64,
  given: bool,
): void {
  setViews(k1, r1, k2, r2, pk1, pr1, pk2, pr2);
  const absent = gamma == 0 && beta == 0;
  if (k2 == 1 && !given && (absent || (pr2 == 1 && pk2 == r2 && pr1 == k1))) {
    forwardRows(x, y, gamma, beta, mean, variance, k1, r2, epsilon);
    return;
  }
  const columns = k2 * r2;
  const size = r1 * columns;
  const walkColumns = asColumns(k2, r2);
  const repeats = absent || repeatsByRow();
  const means = scratch;
  const m2s = scratch + (<usize>(walkColumns ? columns : k2) << 3);
  const coefficients = m2s + (<usize>columns << 3);
  for (let a = 0; a < k1; a++) {
    const base = a * size;
    const at = <usize>(a * k2) << 2;
    const blockMean: usize = mean == 0 ? 0 : mean + at;
    const blockVariance = variance + at;
    const blockX = x + (<usize>base << 2);
    const blockY = y + (<usize>base << 2);
    if (!given) {
      if (walkColumns) {
        columnMoments(blockX, r1, columns, means, m2s, coefficients, mean != 0);
        foldColumns(means, m2s);
      } else {
        blockMoments(blockX, means, m2s, mean != 0);
      }
      const share = 1.0 / (<f64>r1 * <f64>r2);
      for (let c = 0; c < k2; c++) {
        if (blockMean != 0) f32.store(blockMean + (<usize>c << 2), <f32>f64.load(means + (<usize>c << 3)));
        f32.store(blockVariance + (<usize>c << 2), <f32>(f64.load(m2s + (<usize>c << 3)) * share));
      }
    } else if (blockMean != 0) {
      for (let c = 0; c < k2; c++) f64.store(means + (<usize>c << 3), <f64>f32.load(blockMean + (<usize>c << 2)));
    }
    if (blockMean == 0) memory.fill(means, 0, <usize>k2 << 3);
    if (!walkColumns) {
      normalizeSegments(blockX, blockY, gamma, beta, means, blockVariance, base, epsilon);
    } else if (repeats) {
      columnCoefficients(coefficients, gamma, beta, means, blockVariance, base, epsilon);
      normalizeColumns(blockX, blockY, coefficients, r1, columns);
    } else {
      normalizeElements(blockX, blockY, gamma, beta, means, blockVariance, base, epsilon);
    }
  }
}

/** Moments of the r1 segments of each of k2 statistics, merged. */
function blockMoments(x: usize, means: usize, m2s: usize, centered: bool): void {
  let p = x;
  for (let b = 0; b < r1; b++) {
    for (let c = 0; c < k2; c++, p += <usize>r2 << 2) {
      segmentMoments(p, r2, centered);
      const at = <usize>c << 3;
      mergeInto(means + at, m2s + at, b * r2, r2, segmentMean, segmentM2);
    }
  }
}

/** Merges each r2 neighbouring columns of r1 values into one statistic, in place. */
function foldColumns(means: usize, m2s: usize): void {
  if (r2 == 1) return;
  for (let c = 0; c < k2; c++) {
    const to = <usize>c << 3;
    for (let d = 0; d < r2; d++) {
      const from = <usize>(c * r2 + d) << 3;
      mergeInto(means + to, m2s + to, d * r1, r1, f64.load(means + from), f64.load(m2s + from));
    }
  }
}

/** Every segment of r2 elements has one statistic; its parameters come in runs of one, or as a vector. */
function normalizeSegments(
  x: usize,
  y: usize,
  gamma: usize,
  beta: usize,
  means: usize,
  variance: usize,
  base: i32,
  epsilon: f64,
): void {
  const plain = gamma == 0 && beta == 0;
  let offset = 0;
  for (let b = 0; b < r1; b++) {
    for (let c = 0; c < k2; c++) {
      const exact = f64.load(means + (<usize>c << 3));
      const high = <f32>exact;
      const low = <f32>(exact - <f64>high);
      const rstd = <f32>inverseRoot(f32.load(variance + (<usize>c << 2)), epsilon);
      const end = offset + r2;
      while (offset < end) {
        const p = x + (<usize>offset << 2);
        const q = y + (<usize>offset << 2);
        if (plain) {
          normalizeRun(p, q, r2, high, rstd, -low * rstd);
          offset = end;
          continue;
        }
        const index = base + offset;
        const parameter = <usize>parameterIndex(index) << 2;
        const n = runLength(index, end - offset);
        if (pr2 > 1) {
          const scale = gamma == 0 ? rstd : rstd * f32.load(gamma + parameter);
          const shift = beta == 0 ? <f32>0 : f32.load(beta + parameter);
          normalizeRun(p, q, n, high, scale, shift - low * scale);
        } else {
          const g: usize = gamma == 0 ? 0 : gamma + parameter;
          const t: usize = beta == 0 ? 0 : beta + parameter;
          normalizeVector(p, q, n, high, rstd, -low * rstd, g, t);
        }
        offset += n;
      }
    }
  }
}

/** high, scale and shift of each column: three float32 [columns], one after the other. */
function columnCoefficients(
  coefficients: usize,
  gamma: usize,
  beta: usize,
  means: usize,
  variance: usize,
  base: i32,
  epsilon: f64,
): void {
  const plane = <usize>(k2 * r2) << 2;
  let p = coefficients;
  let column = base;
  for (let c = 0; c < k2; c++) {
    const exact = f64.load(means + (<usize>c << 3));
    const high = <f32>exact;
    const low = exact - <f64>high;
    const rstd = inverseRoot(f32.load(variance + (<usize>c << 2)), epsilon);
    for (let d = 0; d < r2; d++, p += 4, column++) {
      const parameter = <usize>parameterIndex(column) << 2;
      const scale = gamma == 0 ? rstd : rstd * <f64>f32.load(gamma + parameter);
      const shift = beta == 0 ? 0 : <f64>f32.load(beta + parameter);
      f32.store(p, high);
      f32.store(p + plane, <f32>scale);
      f32.store(p + 2 * plane, <f32>(shift - low * scale));
    }
  }
}

/** y = (x − high)·scale + shift, all three per column; four rows share what is read of them. */
function normalizeColumns(x: usize, y: usize, coefficients: usize, rows: i32, columns: i32): void {
  const stride = <usize>columns << 2;
  const scales = coefficients + stride;
  const shifts = scales + stride;
  const vectors = stride & -16;
  let row = 0;
  for (; row + 4 <= rows; row += 4, x += 4 * stride, y += 4 * stride) {
    const x1 = x + stride, x2 = x1 + stride, x3 = x2 + stride;
    const y1 = y + stride, y2 = y1 + stride, y3 = y2 + stride;
    for (let i: usize = 0; i < vectors; i += 16) {
      const h = load(coefficients + i);
      const s = load(scales + i);
      const t = load(shifts + i);
      v128.store(y + i, f32x4.add(f32x4.mul(f32x4.sub(load(x + i), h), s), t));
      v128.store(y1 + i, f32x4.add(f32x4.mul(f32x4.sub(load(x1 + i), h), s), t));
      v128.store(y2 + i, f32x4.add(f32x4.mul(f32x4.sub(load(x2 + i), h), s), t));
      v128.store(y3 + i, f32x4.add(f32x4.mul(f32x4.sub(load(x3 + i), h), s), t));
    }
    for (let r: usize = 0; r < 4 * stride; r += stride) normalizeRowFrom(x + r, y + r, vectors, stride, coefficients);
  }
  for (; row < rows; row++, x += stride, y += stride) normalizeRowFrom(x, y, 0, stride, coefficients);
}

/** One row of it, from a column on. */
function normalizeRowFrom(x: usize, y: usize, from: usize, stride: usize, coefficients: usize): void {
  for (let i = from; i < stride; i += 4) {
    const d = f32.load(x + i) - f32.load(coefficients + i);
    f32.store(y + i, d * f32.load(coefficients + stride + i) + f32.load(coefficients + 2 * stride + i));
  }
}

/** For parameters that follow neither the segments nor the columns. */
function normalizeElements(
  x: usize,
  y: usize,
  gamma: usize,
  beta: usize,
  means: usize,
  variance: usize,
  base: i32,
  epsilon: f64,
): void {
  let offset = 0;
  for (let b = 0; b < r1; b++) {
    for (let c = 0; c < k2; c++) {
      const exact = f64.load(means + (<usize>c << 3));
      const rstd = inverseRoot(f32.load(variance + (<usize>c << 2)), epsilon);
      for (let d = 0; d < r2; d++, offset++) {
        const parameter = <usize>parameterIndex(base + offset) << 2;
        let value = (<f64>f32.load(x + (<usize>offset << 2)) - exact) * rstd;
        if (gamma != 0) value *= <f64>f32.load(gamma + parameter);
        if (beta != 0) value += <f64>f32.load(beta + parameter);
        f32.store(y + (<usize>offset << 2), <f32>value);
      }
    }
  }
}
