/**
 * xHat = (x − mean)·rstd           dBeta = Σp dy           dGamma = Σp dy·xHat
 * dx = rstd·(g − mean_s(g) − xHat·mean_s(g·xHat))          with g = dy·gamma
 *
 * Σp runs over the parameter view, mean_s over the statistics view. Statistics that are `given` are constants:
 * dx = rstd·g. Without `mean` (RMS) there is no mean_s(g). Parameter gradients are summed in float32 over short
 * stretches and in float64 from stretch to stretch, always in the same order.
 */
import { chunkRows } from "./moments";
import { accumulate, laneSum, load, zero } from "./simd";
import { asColumns, inverseRoot, k2, parameterIndex, pr2, r1, r2, repeatsByRow, runLength, setViews } from "./views";

/** Additions that one float32 partial sum of a parameter gradient takes before it joins the float64 total. */
const STRETCH = 64;
/** Elements of a segment whose float32 sums are joined in float64. */
const CHUNK = 1024;

/** Bytes of scratch that `forward` and `backward` need at most for these views. */
export function scratchBytes(k2: i32, r2: i32, parameters: i32): i32 {
  const columns = asColumns(k2, r2) ? k2 * r2 : 0;
  return parameters * 24 + columns * 32 + k2 * 32;
}

// Where things stand for the call in progress; set by `backward`, read by the loops below.
let epsilon: f64 = 0;
let totalGamma: usize = 0;
let totalBeta: usize = 0;
let partialGamma: usize = 0;
let partialBeta: usize = 0;
let parameterCount: i32 = 0;
let pendingAdditions: i32 = 0;
/** Σ dy and Σ dy·(x − mean), or of g instead of dy, as the last loop left them. */
let sumDy: f64 = 0;
let sumDyX: f64 = 0;

export function backward(
  dy: usize,
  x: usize,
  mean: usize,
  variance: usize,
  gamma: usize,
  dx: usize,
  dGamma: usize,
  dBeta: usize,
  scratch: usize,
  k1: i32,
  r1: i32,
  k2: i32,
  r2: i32,
  pk1: i32,
  pr1: i32,
  pk2: i32,
  pr2: i32,
  addedToVariance: f64,
  given: bool,
): void {
  setViews(k1, r1, k2, r2, pk1, pr1, pk2, pr2);
  epsilon = addedToVariance;
  const columns = k2 * r2;
  const size = r1 * columns;
  const plain = gamma == 0 && dGamma == 0 && dBeta == 0;
  const walkColumns = asColumns(k2, r2);
  const repeats = plain || repeatsByRow();
  parameterCount = plain ? 0 : pk1 * pk2;
  totalGamma = scratch;
  totalBeta = totalGamma + (<usize>parameterCount << 3);
  partialGamma = totalBeta + (<usize>parameterCount << 3);
  partialBeta = partialGamma + (<usize>parameterCount << 2);
  pendingAdditions = 0;
  const sums = partialBeta + (<usize>parameterCount << 2);
  const columnWork = sums + (<usize>k2 << 4);
  memory.fill(scratch, 0, sums - scratch);
  for (let a = 0; a < k1; a++) {
    const base = a * size;
    const at = <usize>(a * k2) << 2;
    const bytes = <usize>base << 2;
    const blockMean: usize = mean == 0 ? 0 : mean + at;
    memory.fill(sums, 0, <usize>k2 << 4);
    if (!walkColumns) {
      backwardSegments(dy + bytes, x + bytes, blockMean, variance + at, gamma, dx + bytes, sums, base, given, plain);
    } else if (repeats) {
      backwardColumns(dy + bytes, x + bytes, blockMean, variance + at, gamma, dx + bytes, sums, columnWork, base, given);
    } else {
      backwardElements(dy + bytes, x + bytes, blockMean, variance + at, gamma, dx + bytes, sums, base, given);
    }
  }
  flushPartials();
  for (let p = 0; p < parameterCount; p++) {
    const to = <usize>p << 2;
    const from = <usize>p << 3;
    if (dGamma != 0) f32.store(dGamma + to, <f32>f64.load(totalGamma + from));
    if (dBeta != 0) f32.store(dBeta + to, <f32>f64.load(totalBeta + from));
  }
}

// @ts-ignore: decorator
@inline
function meanAt(mean: usize, c: i32): f32 {
  return mean == 0 ? <f32>0 : f32.load(mean + (<usize>c << 2));
}

// @ts-ignore: decorator
@inline
function addTo(address: usize, value: f64): void {
  f64.store(address, f64.load(address) + value);
}

/** Adds the float32 partial sums to the float64 totals and empties them. */
function flushPartials(): void {
  if (pendingAdditions == 0) return;
  pendingAdditions = 0;
  const n = 2 * parameterCount;
  let i = 0;
  for (; i + 4 <= n; i += 4) accumulate(totalGamma + (<usize>i << 3), load(partialGamma + (<usize>i << 2)));
  for (; i < n; i++) addTo(totalGamma + (<usize>i << 3), <f64>f32.load(partialGamma + (<usize>i << 2)));
  memory.fill(partialGamma, 0, <usize>n << 2);
}

/** Sums of dy and dy·xHat of one run that shares one parameter: `sumDy`, `sumDyX` without rstd. */
function addConstantRun(parameter: i32, rstd: f64, gamma: usize): f64 {
  const at = <usize>parameter << 3;
  addTo(totalBeta + at, sumDy);
  addTo(totalGamma + at, sumDyX * rstd);
  return gamma == 0 ? 1 : <f64>f32.load(gamma + (<usize>parameter << 2));
}

/** Statistics constant over segments of r2 elements. `sums` is float64 [k2, 2]: Σ g and Σ g·xHat. */
function backwardSegments(
  dy: usize,
  x: usize,
  mean: usize,
  variance: usize,
  gamma: usize,
  dx: usize,
  sums: usize,
  base: i32,
  given: bool,
  plain: bool,
): void {
  let offset = 0;
  if (!(given && plain)) {
    for (let b = 0; b < r1; b++) {
      for (let c = 0; c < k2; c++) {
        const m = meanAt(mean, c);
        const rstd = inverseRoot(f32.load(variance + (<usize>c << 2)), epsilon);
        const sum = sums + (<usize>c << 4);
        const end = offset + r2;
        while (offset < end) {
          const bytes = <usize>offset << 2;
          const index = base + offset;
          if (plain) {
            runSums(dy + bytes, x + bytes, r2, m);
            addTo(sum, sumDy);
            addTo(sum + 8, sumDyX * rstd);
            offset = end;
            continue;
          }
          const parameter = parameterIndex(index);
          const n = runLength(index, end - offset);
          if (pr2 > 1) {
            runSums(dy + bytes, x + bytes, n, m);
            const g = addConstantRun(parameter, rstd, gamma);
            addTo(sum, g * sumDy);
            addTo(sum + 8, g * sumDyX * rstd);
          } else {
            const at = <usize>parameter << 2;
            if (pendingAdditions == STRETCH) flushPartials();
            pendingAdditions++;
            const p = dy + bytes;
            const q = x + bytes;
            if (gamma == 0) vectorSums(p, q, n, m, <f32>rstd, 0, partialGamma + at, partialBeta + at, false);
            else vectorSums(p, q, n, m, <f32>rstd, gamma + at, partialGamma + at, partialBeta + at, true);
            addTo(sum, sumDy);
            addTo(sum + 8, sumDyX);
          }
          offset += n;
        }
      }
    }
  }
  offset = 0;
  const share = 1.0 / (<f64>r1 * <f64>r2);
  for (let b = 0; b < r1; b++) {
    for (let c = 0; c < k2; c++) {
      const m = meanAt(mean, c);
      const rstd = inverseRoot(f32.load(variance + (<usize>c << 2)), epsilon);
      const sum = sums + (<usize>c << 4);
      const slope = given ? <f32>0 : <f32>(rstd * rstd * f64.load(sum + 8) * share);
      const level = given || mean == 0 ? <f32>0 : <f32>(rstd * f64.load(sum) * share);
      const end = offset + r2;
      while (offset < end) {
        const bytes = <usize>offset << 2;
        const index = base + offset;
        let n = end - offset;
        if (gamma == 0) {
          dxRun(dy + bytes, x + bytes, dx + bytes, n, m, <f32>rstd, slope, level);
        } else {
          const at = gamma + (<usize>parameterIndex(index) << 2);
          n = runLength(index, n);
          if (pr2 > 1) {
            dxRun(dy + bytes, x + bytes, dx + bytes, n, m, <f32>(rstd * <f64>f32.load(at)), slope, level);
          } else {
            dxVector(dy + bytes, x + bytes, dx + bytes, n, m, <f32>rstd, slope, level, at);
          }
        }
        offset += n;
      }
    }
  }
}

/** sumDy = Σ dy, sumDyX = Σ dy·(x − mean) */
function runSums(dy: usize, x: usize, n: i32, mean: f32): void {
  const m = f32x4.splat(mean);
  let total: f64 = 0;
  let totalX: f64 = 0;
  let i = 0;
  while (i < n) {
    const end = min(i + CHUNK, n);
    let s0 = zero(), s1 = zero(), s2 = zero(), s3 = zero();
    let t0 = zero(), t1 = zero(), t2 = zero(), t3 = zero();
    for (; i + 16 <= end; i += 16) {
      const p = dy + (<usize>i << 2);
      const q = x + (<usize>i << 2);
      const u0 = v128.load(p);
      const u1 = v128.load(p, 16);
      const u2 = v128.load(p, 32);
      const u3 = v128.load(p, 48);
      s0 = f32x4.add(s0, u0);
      s1 = f32x4.add(s1, u1);
      s2 = f32x4.add(s2, u2);
      s3 = f32x4.add(s3, u3);
      t0 = f32x4.add(t0, f32x4.mul(u0, f32x4.sub(v128.load(q), m)));
      t1 = f32x4.add(t1, f32x4.mul(u1, f32x4.sub(v128.load(q, 16), m)));
      t2 = f32x4.add(t2, f32x4.mul(u2, f32x4.sub(v128.load(q, 32), m)));
      t3 = f32x4.add(t3, f32x4.mul(u3, f32x4.sub(v128.load(q, 48), m)));
    }
    for (; i + 4 <= end; i += 4) {
      const u = load(dy + (<usize>i << 2));
      s0 = f32x4.add(s0, u);
      t0 = f32x4.add(t0, f32x4.mul(u, f32x4.sub(load(x + (<usize>i << 2)), m)));
    }
    for (; i < end; i++) {
      const u = <f64>f32.load(dy + (<usize>i << 2));
      total += u;
      totalX += u * <f64>(f32.load(x + (<usize>i << 2)) - mean);
    }
    total += laneSum(f32x4.add(f32x4.add(s0, s1), f32x4.add(s2, s3)));
    totalX += laneSum(f32x4.add(f32x4.add(t0, t1), f32x4.add(t2, t3)));
  }
  sumDy = total;
  sumDyX = totalX;
}

/**
 * sumDy = Σ g, sumDyX = Σ g·xHat, with g = dy·gamma; dy·xHat and dy are added to the partial sums. `scale` is a constant of
 * each call: whether there is a gamma.
 */
// @ts-ignore: decorator
@inline
function vectorSums(
  dy: usize,
  x: usize,
  n: i32,
  mean: f32,
  rstd: f32,
  gamma: usize,
  dGamma: usize,
  dBeta: usize,
  scale: bool,
): void {
  const m = f32x4.splat(mean);
  const r = f32x4.splat(rstd);
  const one = f32x4.splat(1);
  let total: f64 = 0;
  let totalX: f64 = 0;
  let i: usize = 0;
  const bytes = <usize>n << 2;
  while (i < bytes) {
    const end = min(i + (CHUNK << 2), bytes);
    let s0 = zero(), s1 = zero(), t0 = zero(), t1 = zero();
    // one address of each array serves four vectors
    for (; i + 64 <= end; i += 64) {
      const p = dy + i;
      const q = x + i;
      const toBeta = dBeta + i;
      const toGamma = dGamma + i;
      const factors = gamma + i;
      const u0 = v128.load(p);
      const w0 = f32x4.mul(u0, f32x4.mul(f32x4.sub(v128.load(q), m), r));
      v128.store(toBeta, f32x4.add(v128.load(toBeta), u0));
      v128.store(toGamma, f32x4.add(v128.load(toGamma), w0));
      const g0 = scale ? v128.load(factors) : one;
      s0 = f32x4.add(s0, f32x4.mul(u0, g0));
      t0 = f32x4.add(t0, f32x4.mul(w0, g0));
      const u1 = v128.load(p, 16);
      const w1 = f32x4.mul(u1, f32x4.mul(f32x4.sub(v128.load(q, 16), m), r));
      v128.store(toBeta, f32x4.add(v128.load(toBeta, 16), u1), 16);
      v128.store(toGamma, f32x4.add(v128.load(toGamma, 16), w1), 16);
      const g1 = scale ? v128.load(factors, 16) : one;
      s1 = f32x4.add(s1, f32x4.mul(u1, g1));
      t1 = f32x4.add(t1, f32x4.mul(w1, g1));
      const u2 = v128.load(p, 32);
      const w2 = f32x4.mul(u2, f32x4.mul(f32x4.sub(v128.load(q, 32), m), r));
      v128.store(toBeta, f32x4.add(v128.load(toBeta, 32), u2), 32);
      v128.store(toGamma, f32x4.add(v128.load(toGamma, 32), w2), 32);
      const g2 = scale ? v128.load(factors, 32) : one;
      s0 = f32x4.add(s0, f32x4.mul(u2, g2));
      t0 = f32x4.add(t0, f32x4.mul(w2, g2));
      const u3 = v128.load(p, 48);
      const w3 = f32x4.mul(u3, f32x4.mul(f32x4.sub(v128.load(q, 48), m), r));
      v128.store(toBeta, f32x4.add(v128.load(toBeta, 48), u3), 48);
      v128.store(toGamma, f32x4.add(v128.load(toGamma, 48), w3), 48);
      const g3 = scale ? v128.load(factors, 48) : one;
      s1 = f32x4.add(s1, f32x4.mul(u3, g3));
      t1 = f32x4.add(t1, f32x4.mul(w3, g3));
    }
    for (; i < end; i += 4) {
      const u = f32.load(dy + i);
      const w = u * ((f32.load(x + i) - mean) * rstd);
      f32.store(dBeta + i, f32.load(dBeta + i) + u);
      f32.store(dGamma + i, f32.load(dGamma + i) + w);
      const g = scale ? <f64>f32.load(gamma + i) : 1;
      total += <f64>u * g;
      totalX += <f64>w * g;
    }
    total += laneSum(f32x4.add(s0, s1));
    totalX += laneSum(f32x4.add(t0, t1));
  }
  sumDy = total;
  sumDyX = totalX;
}

/** dx = dy·scale − (x − mean)·slope − level */
function dxRun(dy: usize, x: usize, dx: usize, n: i32, mean: f32, scale: f32, slope: f32, level: f32): void {
  const m = f32x4.splat(mean);
  const s = f32x4.splat(scale);
  const t = f32x4.splat(slope);
  const l = f32x4.splat(level);
  let i: usize = 0;
  const vectors = <usize>(n & -4) << 2;
  for (; i < vectors; i += 16) {
    const away = f32x4.add(f32x4.mul(f32x4.sub(load(x + i), m), t), l);
    v128.store(dx + i, f32x4.sub(f32x4.mul(load(dy + i), s), away));
  }
  for (; i < <usize>n << 2; i += 4) {
    f32.store(dx + i, f32.load(dy + i) * scale - ((f32.load(x + i) - mean) * slope + level));
  }
}

/** dx = dy·gamma·rstd − (x − mean)·slope − level, gamma per element */
function dxVector(dy: usize, x: usize, dx: usize, n: i32, mean: f32, rstd: f32, slope: f32, level: f32, gamma: usize): void {
  const m = f32x4.splat(mean);
  const s = f32x4.splat(rstd);
  const t = f32x4.splat(slope);
  const l = f32x4.splat(level);
  let i: usize = 0;
  const pairs = <usize>(n & -8) << 2;
  for (; i < pairs; i += 32) {
    const p = x + i;
    const q = dy + i;
    const g = gamma + i;
    const to = dx + i;
    const away0 = f32x4.add(f32x4.mul(f32x4.sub(v128.load(p), m), t), l);
    const away1 = f32x4.add(f32x4.mul(f32x4.sub(v128.load(p, 16), m), t), l);
    v128.store(to, f32x4.sub(f32x4.mul(v128.load(q), f32x4.mul(v128.load(g), s)), away0));
    v128.store(to, f32x4.sub(f32x4.mul(v128.load(q, 16), f32x4.mul(v128.load(g, 16), s)), away1), 16);
  }
  for (; i < <usize>n << 2; i += 4) {
    const away = (f32.load(x + i) - mean) * slope + level;
    f32.store(dx + i, f32.load(dy + i) * (f32.load(gamma + i) * rstd) - away);
  }
}

/**
 * Statistics and parameters repeat row by row. `work` holds float64 [2, columns] for the column sums, then float32
 * [4, columns]: mean, scale, slope, level.
 */
function backwardColumns(
  dy: usize,
  x: usize,
  mean: usize,
  variance: usize,
  gamma: usize,
  dx: usize,
  sums: usize,
  work: usize,
  base: i32,
  given: bool,
): void {
  const columns = k2 * r2;
  const dySums = work;
  const dyXSums = dySums + (<usize>columns << 3);
  const means = dyXSums + (<usize>columns << 3);
  const plane = <usize>columns << 2;
  const scale = means + plane;
  const slope = scale + plane;
  const level = slope + plane;
  for (let j = 0; j < columns; j++) f32.store(means + (<usize>j << 2), meanAt(mean, j / r2));
  columnSums(dy, x, r1, columns, means, dySums, dyXSums, scale);
  let j = 0;
  for (let c = 0; c < k2; c++) {
    const rstd = inverseRoot(f32.load(variance + (<usize>c << 2)), epsilon);
    const sum = sums + (<usize>c << 4);
    for (let d = 0; d < r2; d++, j++) {
      sumDy = f64.load(dySums + (<usize>j << 3));
      sumDyX = f64.load(dyXSums + (<usize>j << 3));
      let g: f64 = 1;
      if (parameterCount != 0) g = addConstantRun(parameterIndex(base + j), rstd, gamma);
      addTo(sum, g * sumDy);
      addTo(sum + 8, g * sumDyX * rstd);
      f32.store(scale + (<usize>j << 2), <f32>(rstd * g));
    }
  }
  if (given) {
    scaleColumns(dy, dx, r1, columns, scale);
    return;
  }
  const share = 1.0 / (<f64>r1 * <f64>r2);
  for (let j = 0; j < columns; j++) {
    const c = j / r2;
    const rstd = inverseRoot(f32.load(variance + (<usize>c << 2)), epsilon);
    const sum = sums + (<usize>c << 4);
    f32.store(slope + (<usize>j << 2), <f32>(rstd * rstd * f64.load(sum + 8) * share));
    f32.store(level + (<usize>j << 2), mean == 0 ? <f32>0 : <f32>(rstd * f64.load(sum) * share));
  }
  dxColumns(dy, x, dx, r1, plane, means);
}

/** dx = dy·scale − (x − mean)·slope − level: four float32 [columns] from `means` on; two rows share what is read of them. */
function dxColumns(dy: usize, x: usize, dx: usize, rows: i32, stride: usize, means: usize): void {
  const scales = means + stride;
  const slopes = scales + stride;
  const levels = slopes + stride;
  const vectors = stride & -16;
  let row = 0;
  for (; row + 2 <= rows; row += 2, dy += 2 * stride, x += 2 * stride, dx += 2 * stride) {
    const dy1 = dy + stride, x1 = x + stride, dx1 = dx + stride;
    for (let i: usize = 0; i < vectors; i += 16) {
      const m = load(means + i);
      const s = load(scales + i);
      const t = load(slopes + i);
      const l = load(levels + i);
      const away = f32x4.add(f32x4.mul(f32x4.sub(load(x + i), m), t), l);
      const away1 = f32x4.add(f32x4.mul(f32x4.sub(load(x1 + i), m), t), l);
      v128.store(dx + i, f32x4.sub(f32x4.mul(load(dy + i), s), away));
      v128.store(dx1 + i, f32x4.sub(f32x4.mul(load(dy1 + i), s), away1));
    }
    dxRowFrom(dy, x, dx, vectors, stride, means);
    dxRowFrom(dy1, x1, dx1, vectors, stride, means);
  }
  if (row < rows) dxRowFrom(dy, x, dx, 0, stride, means);
}

/** One row of it, from a column on. */
function dxRowFrom(dy: usize, x: usize, dx: usize, from: usize, stride: usize, means: usize): void {
  for (let i = from; i < stride; i += 4) {
    const away = (f32.load(x + i) - f32.load(means + i)) * f32.load(means + 2 * stride + i) + f32.load(means + 3 * stride + i);
    f32.store(dx + i, f32.load(dy + i) * f32.load(means + stride + i) - away);
  }
}

/** dx = dy·scale, scale per column. */
function scaleColumns(dy: usize, dx: usize, rows: i32, columns: i32, scale: usize): void {
  const plane = <usize>columns << 2;
  const vectors = <usize>(columns & -4) << 2;
  for (let row = 0; row < rows; row++, dy += plane, dx += plane) {
    let i: usize = 0;
    for (; i < vectors; i += 16) v128.store(dx + i, f32x4.mul(load(dy + i), load(scale + i)));
    for (; i < plane; i += 4) f32.store(dx + i, f32.load(dy + i) * f32.load(scale + i));
  }
}

/**
 * Σ dy and Σ dy·(x − mean) of each column, float64 [columns]. Rows are read in sequence into float32 sums of a chunk;
 * `sums` is scratch for float32 [2, columns].
 */
function columnSums(dy: usize, x: usize, rows: i32, columns: i32, means: usize, dySums: usize, dyXSums: usize, sums: usize): void {
  const stride = <usize>columns << 2;
  const sumsX = sums + stride;
  const vectors = stride & -16;
  const chunk = chunkRows(columns);
  memory.fill(dySums, 0, 4 * stride);
  for (let row = 0; row < rows; row += chunk) {
    const count = min(chunk, rows - row);
    memory.fill(sums, 0, 2 * stride);
    let r = 0;
    for (; r + 2 <= count; r += 2, dy += 2 * stride, x += 2 * stride) {
      const dy1 = dy + stride, x1 = x + stride;
      for (let i: usize = 0; i < vectors; i += 16) {
        const m = load(means + i);
        const u = load(dy + i);
        const u1 = load(dy1 + i);
        const w = f32x4.mul(u, f32x4.sub(load(x + i), m));
        const w1 = f32x4.mul(u1, f32x4.sub(load(x1 + i), m));
        v128.store(sums + i, f32x4.add(load(sums + i), f32x4.add(u, u1)));
        v128.store(sumsX + i, f32x4.add(load(sumsX + i), f32x4.add(w, w1)));
      }
      sumRowFrom(dy, x, vectors, stride, means, sums);
      sumRowFrom(dy1, x1, vectors, stride, means, sums);
    }
    if (r < count) {
      sumRowFrom(dy, x, 0, stride, means, sums);
      dy += stride;
      x += stride;
    }
    for (let j = 0; j < columns; j++) {
      addTo(dySums + (<usize>j << 3), <f64>f32.load(sums + (<usize>j << 2)));
      addTo(dyXSums + (<usize>j << 3), <f64>f32.load(sumsX + (<usize>j << 2)));
    }
  }
}

/** One row of it, from a column on. */
function sumRowFrom(dy: usize, x: usize, from: usize, stride: usize, means: usize, sums: usize): void {
  for (let i = from; i < stride; i += 4) {
    const u = f32.load(dy + i);
    f32.store(sums + i, f32.load(sums + i) + u);
    f32.store(sums + stride + i, f32.load(sums + stride + i) + u * (f32.load(x + i) - f32.load(means + i)));
  }
}

/** For parameters that follow neither the segments nor the columns. */
function backwardElements(
  dy: usize,
  x: usize,
  mean: usize,
  variance: usize,
  gamma: usize,
  dx: usize,
  sums: usize,
  base: i32,
  given: bool,
): void {
  const share = 1.0 / (<f64>r1 * <f64>r2);
  for (let pass = 0; pass < 2; pass++) {
    let offset = 0;
    for (let b = 0; b < r1; b++) {
      for (let c = 0; c < k2; c++) {
        const m = <f64>meanAt(mean, c);
        const rstd = inverseRoot(f32.load(variance + (<usize>c << 2)), epsilon);
        const sum = sums + (<usize>c << 4);
        for (let d = 0; d < r2; d++, offset++) {
          const at = <usize>offset << 2;
          const parameter = parameterIndex(base + offset);
          const u = <f64>f32.load(dy + at);
          const xHat = (<f64>f32.load(x + at) - m) * rstd;
          if (pass == 0) {
            sumDy = u;
            sumDyX = u * xHat;
            const g = addConstantRun(parameter, 1, gamma);
            addTo(sum, g * u);
            addTo(sum + 8, g * u * xHat);
          } else {
            let value = gamma == 0 ? u : u * <f64>f32.load(gamma + (<usize>parameter << 2));
            if (!given) {
              value -= xHat * f64.load(sum + 8) * share;
              if (mean != 0) value -= f64.load(sum) * share;
            }
            f32.store(dx + at, <f32>(value * rstd));
          }
        }
      }
    }
  }
}
