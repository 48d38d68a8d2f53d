/**
 * xHat = (x − mean)·rstd           dBeta = Σp dy           dGamma = Σp dy·xHat
 * dx = rstd·(g − mean_s(g) − xHat·mean_s(g·xHat)) + dSum          with g = dy·gamma
 *
 * Σp runs over the parameter view, mean_s over the statistics view. Statistics that are `given` are constants:
 * dx = rstd·g + dSum. Without `mean` (RMS) there is no mean_s(g). All sums are taken in the same order always.
 */
import { backwardRows } from "./backward-rows";
import { dxRun, dxVector, isMeanNear, runSums, sumDy, sumDyX, vectorSums } from "./backward-runs";
import {
  blockSize, columnsRepeat, dSum, dx, dy, epsilon, firstOf, gamma, given, mean, parameterCount, parts, piece, pieceFrom, pieceLength,
  pieceRows, pieces, scratch, variance, x,
} from "./call";
import { addRun } from "./forward-runs";
import { columnSums } from "./columns";
import {
  emptySums, keepShort, partialBeta, partialGamma, storeGradients, sumsBytes, totalBeta, totalGamma, useSums,
} from "./parameters";
import { addDoubles, madd } from "./simd";
import { asColumns, inverseRoot, k1, k2, parameterIndex, pk2, pr1, pr2, r1, r2, runLength } from "./views";

// A slot: the parameters' gradients, float64 [k2, 2] for Σ g and Σ g·xHat of each statistic, and the work of columns:
// float64 [2, columns] for their sums, float32 [4, columns] for their mean, scale, slope and level.
function slotBytes(): u64 {
  const columns = asColumns(k2, r2) ? k2 * r2 : 0;
  return (sumsBytes() + (<u64>k2 << 4) + (<u64>columns << 5) + 63) & -64;
}

// @ts-ignore: decorator
@inline
function slotOf(part: i32): usize {
  return scratch + <usize>part * <usize>slotBytes();
}

// @ts-ignore: decorator
@inline
function statisticsOf(slot: usize): usize {
  return slot + <usize>sumsBytes();
}

// @ts-ignore: decorator
@inline
function columnsOf(slot: usize): usize {
  return statisticsOf(slot) + (<usize>k2 << 4);
}

/** As float64, which holds what does not fit an address. */
export function backwardScratch(): f64 {
  return <f64>parts * <f64>slotBytes();
}

export function firstOfBackward(part: i32): void {
  const slot = slotOf(part);
  useSums(slot);
  if (pieces > 0) {
    piece(part % pieces, pieces);
    const base = (part / pieces) * blockSize + pieceFrom;
    emptySums(base, pieceRows * k2 * pieceLength);
    measure(slot, base, pieceRows, pieceLength);
    return;
  }
  const from = firstOf(part, parts, k1);
  const to = firstOf(part + 1, parts, k1);
  emptySums(from * blockSize, (to - from) * blockSize);
  if (k2 == 1 && r1 == 1 && !given && gamma != 0 && pr2 == 1 && pk2 == r2 && pr1 == k1) {
    backwardRows(from, to);
    return;
  }
  for (let block = from; block < to; block++) {
    const base = block * blockSize;
    measure(slot, base, r1, r2);
    settle(slot, block);
    write(slot, base, r1, r2);
  }
}

/** Merges the pieces of each block into its first slot, and the parameters' gradients of all slots. */
export function finishBackward(): void {
  if (pieces > 0) {
    const sums = (k2 << 1) + (asColumns(k2, r2) ? (k2 * r2) << 1 : 0);
    for (let block = 0; block < k1; block++) {
      const slot = slotOf(block * pieces);
      for (let i = 1; i < pieces; i++) addDoubles(statisticsOf(slot), statisticsOf(slotOf(block * pieces + i)), sums);
      useSums(slot);
      settle(slot, block);
    }
  }
  storeGradients(slotOf(0), <usize>slotBytes());
}

export function secondOfBackward(part: i32): void {
  const block = part / pieces;
  piece(part % pieces, pieces);
  write(slotOf(block * pieces), block * blockSize + pieceFrom, pieceRows, pieceLength);
}

// @ts-ignore: decorator
@inline
export function meanAt(statistic: i32): f32 {
  return mean == 0 ? <f32>0 : f32.load(mean + (<usize>statistic << 2));
}

// @ts-ignore: decorator
@inline
function varianceAt(statistic: i32): f32 {
  return f32.load(variance + (<usize>statistic << 2));
}

// @ts-ignore: decorator
@inline
function addTo(address: usize, value: f64): void {
  f64.store(address, f64.load(address) + value);
}

/** Sums of `rows` times k2 segments of `length` elements, from element `base` on, into the slot. */
function measure(slot: usize, base: i32, rows: i32, length: i32): void {
  memory.fill(statisticsOf(slot), 0, <usize>k2 << 4);
  if (given && parameterCount == 0) return;
  const statistic = (base / blockSize) * k2;
  if (!asColumns(k2, r2)) sumSegments(statisticsOf(slot), statistic, base, rows, length);
  else if (columnsRepeat()) sumColumns(columnsOf(slot), statistic, base, rows);
  else sumElements(statisticsOf(slot), statistic, base, rows);
}

/** From the sums of a block's columns: gradients of parameters, and what dx takes of each column. */
function settle(slot: usize, block: i32): void {
  if (!asColumns(k2, r2) || !columnsRepeat()) return;
  const columns = k2 * r2;
  const sums = statisticsOf(slot);
  const dySums = columnsOf(slot);
  const dyXSums = dySums + (<usize>columns << 3);
  const means = dyXSums + (<usize>columns << 3);
  const plane = <usize>columns << 2;
  const statistic = block * k2;
  const base = block * blockSize;
  let parameters = 0;
  let parameter = 0;
  for (let c = 0, j = 0; c < k2; c++) {
    const rstd = inverseRoot(varianceAt(statistic + c), epsilon);
    const about = meanAt(statistic + c);
    let level: f64 = 0;
    let slope: f64 = 0;
    for (let d = 0; d < r2; d++, j++) {
      const at = <usize>j << 2;
      let g: f64 = 1;
      if (!given || parameterCount != 0) {
        const sum = f64.load(dySums + (at << 1));
        const sumX = f64.load(dyXSums + (at << 1));
        if (parameterCount != 0) {
          if (j == parameters) {
            parameter = parameterIndex(base + j);
            parameters += runLength(base + j, columns - j);
          } else if (pr2 == 1) {
            parameter++;
          }
          g = addToParameter(parameter, sum, sumX * rstd);
        }
        level += g * sum;
        slope += g * sumX * rstd;
      }
      f32.store(means + at, about);
      f32.store(means + plane + at, <f32>(rstd * g));
    }
    f64.store(sums + (<usize>c << 4), level);
    f64.store(sums + (<usize>c << 4), slope, 8);
  }
  const share = given ? 0 : 1.0 / (<f64>r1 * <f64>r2);
  const near = blockIsNear(statistic);
  let at = means;
  for (let c = 0; c < k2; c++) {
    const rstd = inverseRoot(varianceAt(statistic + c), epsilon);
    const sum = sums + (<usize>c << 4);
    const slope = -rstd * rstd * f64.load(sum, 8) * share;
    let level = mean == 0 ? 0 : -rstd * f64.load(sum) * share;
    if (near) level -= <f64>meanAt(statistic + c) * slope;
    for (let d = 0; d < r2; d++, at += 4) {
      f32.store(at + 2 * plane, <f32>slope);
      f32.store(at + 3 * plane, <f32>level);
    }
  }
}

/** Whether the means of all of a block's statistics are near 0. */
function blockIsNear(statistic: i32): bool {
  for (let c = 0; c < k2; c++) {
    if (!isMeanNear(meanAt(statistic + c), varianceAt(statistic + c))) return false;
  }
  return true;
}

/** Writes dx of `rows` times k2 segments of `length` elements, from element `base` on. */
function write(slot: usize, base: i32, rows: i32, length: i32): void {
  const at = <usize>base << 2;
  const statistic = (base / blockSize) * k2;
  if (!asColumns(k2, r2)) {
    writeSegments(statisticsOf(slot), statistic, base, rows, length);
    return;
  }
  const columns = k2 * r2;
  if (!columnsRepeat()) {
    writeElements(statisticsOf(slot), statistic, base, rows);
  } else {
    const means = columnsOf(slot) + (<usize>columns << 4);
    if (given) scaleColumns(dy + at, dx + at, rows, columns, means + (<usize>columns << 2));
    else dxColumns(dy + at, x + at, dx + at, rows, <usize>columns << 2, means, blockIsNear(statistic));
  }
  if (dSum != 0) addRun(dx + at, dSum + at, dx + at, rows * columns);
}

/** Adds to the gradients of one parameter; gives its gamma. */
export function addToParameter(parameter: i32, toBeta: f64, toGamma: f64): f64 {
  const at = <usize>parameter << 3;
  addTo(totalBeta + at, toBeta);
  addTo(totalGamma + at, toGamma);
  return gamma == 0 ? 1 : <f64>f32.load(gamma + (at >> 1));
}

/** Statistics constant over segments. `sums` is float64 [k2, 2]: Σ g and Σ g·xHat. */
function sumSegments(sums: usize, statistic: i32, base: i32, rows: i32, length: i32): void {
  let index = base;
  for (let b = 0; b < rows; b++) {
    for (let c = 0; c < k2; c++) {
      const m = meanAt(statistic + c);
      const spread = varianceAt(statistic + c);
      const rstd = inverseRoot(spread, epsilon);
      const near = isMeanNear(m, spread);
      const sum = sums + (<usize>c << 4);
      const end = index + length;
      while (index < end) {
        const p = dy + (<usize>index << 2);
        const q = x + (<usize>index << 2);
        if (parameterCount == 0) {
          runSums(p, q, length, m, near);
          addTo(sum, sumDy);
          addTo(sum + 8, sumDyX * rstd);
          index = end;
          continue;
        }
        const parameter = parameterIndex(index);
        const n = runLength(index, end - index);
        if (pr2 > 1) {
          runSums(p, q, n, m, near);
          const g = addToParameter(parameter, sumDy, sumDyX * rstd);
          addTo(sum, g * sumDy);
          addTo(sum + 8, g * sumDyX * rstd);
        } else {
          const at = <usize>parameter << 2;
          const factors: usize = gamma == 0 ? 0 : gamma + at;
          keepShort(1);
          vectorSums(p, q, n, m, <f32>rstd, near, factors, partialGamma + at, partialBeta + at);
          addTo(sum, sumDy);
          addTo(sum + 8, sumDyX);
        }
        index += n;
      }
    }
  }
}

function writeSegments(sums: usize, statistic: i32, base: i32, rows: i32, length: i32): void {
  const share = given ? 0 : 1.0 / (<f64>r1 * <f64>r2);
  let index = base;
  for (let b = 0; b < rows; b++) {
    for (let c = 0; c < k2; c++) {
      const m = meanAt(statistic + c);
      const spread = varianceAt(statistic + c);
      const rstd = inverseRoot(spread, epsilon);
      const sum = sums + (<usize>c << 4);
      const slope = given ? <f32>0 : <f32>(rstd * rstd * f64.load(sum, 8) * share);
      const level = given || mean == 0 ? <f32>0 : <f32>(rstd * f64.load(sum) * share);
      const near = isMeanNear(m, spread);
      const end = index + length;
      while (index < end) {
        const at = <usize>index << 2;
        const more: usize = dSum == 0 ? 0 : dSum + at;
        let n = end - index;
        if (gamma == 0) {
          dxRun(dy + at, x + at, dx + at, n, m, <f32>rstd, slope, level, near, more);
        } else {
          const factors = gamma + (<usize>parameterIndex(index) << 2);
          n = runLength(index, n);
          if (pr2 > 1) {
            dxRun(dy + at, x + at, dx + at, n, m, <f32>(rstd * <f64>f32.load(factors)), slope, level, near, more);
          } else {
            dxVector(dy + at, x + at, dx + at, n, m, <f32>rstd, slope, level, near, factors, more);
          }
        }
        index += n;
      }
    }
  }
}

/** Sums of columns of a block's rows; statistics and parameters repeat row by row. */
function sumColumns(work: usize, statistic: i32, base: i32, rows: i32): void {
  const columns = k2 * r2;
  const dyXSums = work + (<usize>columns << 3);
  const means = dyXSums + (<usize>columns << 3);
  for (let j = 0; j < columns; j++) f32.store(means + (<usize>j << 2), meanAt(statistic + j / r2));
  const at = <usize>base << 2;
  columnSums(dy + at, x + at, rows, columns, means, blockIsNear(statistic), work, dyXSums, means + (<usize>columns << 2));
}

/**
 * dx = dy·scale + (x − mean)·slope + level, float32 [columns] each, from `means` on. Where `near`, x need not be centred:
 * level has what that would have taken.
 */
function dxColumns(dy: usize, x: usize, dx: usize, rows: i32, stride: usize, means: usize, near: bool): void {
  if (near) writeColumns(dy, x, dx, rows, stride, means, true);
  else writeColumns(dy, x, dx, rows, stride, means, false);
}

/** `near` is a constant of each call. */
// @ts-ignore: decorator
@inline
function writeColumns(dy: usize, x: usize, dx: usize, rows: i32, stride: usize, means: usize, near: bool): void {
  const scales = means + stride;
  const slopes = scales + stride;
  const levels = slopes + stride;
  for (let row = 0; row < rows; row++, dy += stride, x += stride, dx += stride) {
    let i: usize = 0;
    for (; i + 64 <= stride; i += 64) {
      const m = means + i, s = scales + i, t = slopes + i, l = levels + i, p = x + i, u = dy + i, to = dx + i;
      const a = near ? v128.load(p) : f32x4.sub(v128.load(p), v128.load(m));
      v128.store(to, madd(v128.load(u), v128.load(s), madd(a, v128.load(t), v128.load(l))));
      const b = near ? v128.load(p, 16) : f32x4.sub(v128.load(p, 16), v128.load(m, 16));
      v128.store(to, madd(v128.load(u, 16), v128.load(s, 16), madd(b, v128.load(t, 16), v128.load(l, 16))), 16);
      const c = near ? v128.load(p, 32) : f32x4.sub(v128.load(p, 32), v128.load(m, 32));
      v128.store(to, madd(v128.load(u, 32), v128.load(s, 32), madd(c, v128.load(t, 32), v128.load(l, 32))), 32);
      const d = near ? v128.load(p, 48) : f32x4.sub(v128.load(p, 48), v128.load(m, 48));
      v128.store(to, madd(v128.load(u, 48), v128.load(s, 48), madd(d, v128.load(t, 48), v128.load(l, 48))), 48);
    }
    for (; i < stride; i += 4) {
      const d = near ? f32.load(x + i) : f32.load(x + i) - f32.load(means + i);
      f32.store(dx + i, f32.load(dy + i) * f32.load(scales + i) + (d * f32.load(slopes + i) + f32.load(levels + i)));
    }
  }
}

/** dx = dy·scale, scale per column. */
function scaleColumns(dy: usize, dx: usize, rows: i32, columns: i32, scale: usize): void {
  const stride = <usize>columns << 2;
  for (let row = 0; row < rows; row++, dy += stride, dx += stride) {
    let i: usize = 0;
    for (; i + 64 <= stride; i += 64) {
      const u = dy + i, s = scale + i, to = dx + i;
      v128.store(to, f32x4.mul(v128.load(u), v128.load(s)));
      v128.store(to, f32x4.mul(v128.load(u, 16), v128.load(s, 16)), 16);
      v128.store(to, f32x4.mul(v128.load(u, 32), v128.load(s, 32)), 32);
      v128.store(to, f32x4.mul(v128.load(u, 48), v128.load(s, 48)), 48);
    }
    for (; i < stride; i += 4) f32.store(dx + i, f32.load(dy + i) * f32.load(scale + i));
  }
}

/** For parameters that follow neither the segments nor the columns. */
function sumElements(sums: usize, statistic: i32, base: i32, rows: i32): void {
  let index = base;
  for (let b = 0; b < rows; b++) {
    for (let c = 0; c < k2; c++) {
      const m = <f64>meanAt(statistic + c);
      const rstd = inverseRoot(varianceAt(statistic + c), epsilon);
      const sum = sums + (<usize>c << 4);
      for (let d = 0; d < r2; d++, index++) {
        const u = <f64>f32.load(dy + (<usize>index << 2));
        const xHat = (<f64>f32.load(x + (<usize>index << 2)) - m) * rstd;
        const g = u * addToParameter(parameterIndex(index), u, u * xHat);
        addTo(sum, g);
        addTo(sum + 8, g * xHat);
      }
    }
  }
}

function writeElements(sums: usize, statistic: i32, base: i32, rows: i32): void {
  const share = given ? 0 : 1.0 / (<f64>r1 * <f64>r2);
  let index = base;
  for (let b = 0; b < rows; b++) {
    for (let c = 0; c < k2; c++) {
      const m = <f64>meanAt(statistic + c);
      const rstd = inverseRoot(varianceAt(statistic + c), epsilon);
      const sum = sums + (<usize>c << 4);
      for (let d = 0; d < r2; d++, index++) {
        const at = <usize>index << 2;
        const xHat = (<f64>f32.load(x + at) - m) * rstd;
        let value = <f64>f32.load(dy + at);
        if (gamma != 0) value *= <f64>f32.load(gamma + (<usize>parameterIndex(index) << 2));
        value -= xHat * f64.load(sum, 8) * share;
        if (mean != 0) value -= f64.load(sum) * share;
        f32.store(dx + at, <f32>(value * rstd));
      }
    }
  }
}
