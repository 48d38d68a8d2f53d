/**
 * xHat = (x − mean)·rstd           dBeta = Σp dy           dGamma = Σp dy·xHat
 * dx = rstd·(g − mean_s(g) − xHat·mean_s(g·xHat)) + dSum          with g = dy·gamma
 *
 * Σp runs over the parameter view, mean_s over the statistics view. Statistics that are `given` are constants:
 * dx = rstd·g + dSum. Without `mean` (RMS) there is no mean_s(g). All sums are always taken in the same order. With a mask
 * (masked.ts), they run over unmasked elements, and dx is dSum at the others.
 */
import { backwardRows } from "./backward-rows";
import { dxRun, dxVector, maskedRunSums, runSums, sumDy, sumDyX, vectorSums } from "./backward-runs";
import {
  blockSize, columnsRepeat, dSum, dx, dy, firstOf, gamma, given, mask, mean, parameterCount, parts, piece, pieceFrom, pieceLength,
  pieceRows, pieces, scratch, x,
} from "./call";
import { columnSums } from "./columns";
import { sumElements, sumOfG, sumOfGX, writeElements } from "./elements";
import { addRun } from "./forward-runs";
import {
  closeWindow, holdsBlocks, isWindowed, nextWindow, openWindow, startWindows, useWindow, WINDOW, windowBase, windowBefore, windowBytes,
  windowCount, windowFrom, windowLength, windowRows, windowTo,
} from "./half";
import {
  countColumns, counts, isWhole, kind, MASKED, maskRun, onesAt, onesOfSegment, pass, rowRun, select, tallyBytes, tallySegment, TILE,
  tileBytes, tileRun, UNMASKED, useTally, valuesOf,
} from "./masked";
import { maskedSumAbout, momentsInDoubles, sumAbout } from "./moments";
import {
  addTo, addToParameter, emptySums, keepShort, partialBeta, partialGamma, storeGradients, sumsBytes, useSums,
} from "./parameters";
import { addDoubles, madd } from "./simd";
import { FEW, isFar, isNear, rootFits, meanAt, rootOf, varianceAt } from "./precision";
import { asColumns, k1, k2, parameterIndex, pk2, pr1, pr2, r1, r2, runLength } from "./views";

// A slot: float64 means [k2] and roots [k2]; float64 [k2, 2] for Σ g and Σ g·xHat of each statistic; scratch for columns, float64
// [3, columns] for their sums and float32 [4, columns] for their mean, scale, slope and level; with a mask, float64 numbers of
// unmasked elements [k2] and tiles of x and dy; and the parameters' gradients.
// @ts-ignore: decorator
@inline
function statisticsBytes(): u64 {
  const bytes = unmaskedBytes();
  return mask == 0 ? bytes : (bytes + (<u64>k2 << 3) + 2 * tileBytes(columnsHere()) + tallyBytes(r2) + 63) & -64;
}

function unmaskedBytes(): u64 {
  return ((<u64>k2 << 5) + <u64>columnsHere() * 40 + 63) & -64;
}

/** 0 where blocks are not walked as columns. */
// @ts-ignore: decorator
@inline
function columnsHere(): i32 {
  return asColumns(k2, r2) ? k2 * r2 : 0;
}

function numbersOf(slot: usize): usize {
  return slot + <usize>unmaskedBytes();
}

function tileOf(slot: usize): usize {
  return numbersOf(slot) + (<usize>k2 << 3);
}

function tallyOf(slot: usize): usize {
  return tileOf(slot) + 2 * <usize>tileBytes(columnsHere());
}

/** The number of a statistic's elements, 1 where all are masked; `at` is 8 times its index in the block. */
// @ts-ignore: decorator
@inline
function numberAt(slot: usize, at: usize): f64 {
  return mask == 0 ? <f64>r1 * <f64>r2 : max(1, f64.load(numbersOf(slot) + at));
}

function slotBytes(): u64 {
  return isWindowed() ? windowAt() + windowBytes() : spareAt();
}

/** Where in a slot room is for the sums of one window's columns; then comes the window. */
function spareAt(): u64 {
  return (statisticsBytes() + sumsBytes() + 63) & -64;
}

function windowAt(): u64 {
  return spareAt() + statisticsBytes();
}

function slotOf(part: i32): usize {
  return scratch + <usize>part * <usize>slotBytes();
}

// @ts-ignore: decorator
@inline
function rootsOf(slot: usize): usize {
  return slot + (<usize>k2 << 3);
}

// @ts-ignore: decorator
@inline
function sumsOf(slot: usize): usize {
  return slot + (<usize>k2 << 4);
}

// @ts-ignore: decorator
@inline
function columnsOf(slot: usize): usize {
  return slot + (<usize>k2 << 5);
}

// @ts-ignore: decorator
@inline
function gradientsOf(slot: usize): usize {
  return slot + <usize>statisticsBytes();
}

// The current block: whether it is processed element by element (elements.ts), whether all of its means are near 0, and whether
// any is far from 0.
let byElement: bool = false;
let near: bool = false;
let far: bool = false;

/** The block whose means and roots this thread computed last, and the slot that holds them: its other pieces reuse them. */
let knownBlock: i32 = -1;
let knownSlot: usize = 0;

/** The bytes of scratch that the call needs; float64, since they may exceed the address space. */
export function beginBackward(): f64 {
  knownBlock = -1;
  return <f64>parts * <f64>slotBytes();
}

export function firstOfBackward(part: i32): void {
  const slot = slotOf(part);
  useSums(gradientsOf(slot));
  if (mask != 0) useTally(tallyOf(slot));
  if (isWindowed()) useWindow(slot + <usize>windowAt());
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
  if (!isWindowed()) {
    runBlocks(slot, from, to);
    return;
  }
  if (holdsBlocks()) {
    const most = WINDOW / blockSize;
    for (let block = from; block < to; block += most) {
      const end = min(block + most, to);
      openWindow(block * blockSize, (end - block) * blockSize, false);
      runBlocks(slot, block, end);
      closeWindow();
    }
    return;
  }
  for (let block = from; block < to; block++) {
    const base = block * blockSize;
    measure(slot, base, r1, r2);
    settle(slot, block);
    write(slot, base, r1, r2);
  }
}

/** Blocks whose elements are all at hand. */
function runBlocks(slot: usize, from: i32, to: i32): void {
  if (k2 == 1 && r1 == 1 && r2 > FEW && !given && gamma != 0 && pr2 == 1 && pk2 == r2 && pr1 == k1) {
    if (mask == 0) {
      backwardRows(from, to);
      return;
    }
    if (isWhole(r2)) {
      for (let row = from, n = 0; row < to; row += n) {
        n = rowRun(row * r2, r2, to - row);
        if (counts) backwardRows(row, row + n);
        else correct(row * r2, n * r2);
      }
      return;
    }
  }
  for (let block = from; block < to; block++) {
    const base = block * blockSize;
    takeStatistics(slot, block, true);
    if (sumsAreNeeded(slot)) sumRange(slot, columnsOf(slot), base, r1, 0, k2, r2);
    settle(slot, block);
    writeRange(slot, base, r1, 0, k2, r2);
  }
}

/** Corrects dx of those of n elements that are masked. */
function correct(index: i32, n: i32): void {
  const at = <usize>index << 2;
  select(dx + at, dx + at, index, n, dSum == 0 ? 0 : dSum + at, 0);
}

/** Merges the pieces of each block into its first slot, and the parameters' gradients of all slots. */
export function finishBackward(): void {
  if (pieces > 0) {
    for (let block = 0; block < k1; block++) {
      const slot = slotOf(block * pieces);
      classify(slot, block);
      const sums = (k2 << 1) + columnPlanes() * k2 * r2;
      for (let i = 1; i < pieces; i++) addDoubles(sumsOf(slot), sumsOf(slotOf(block * pieces + i)), sums);
      useSums(gradientsOf(slot));
      settle(slot, block);
    }
  }
  storeGradients(gradientsOf(scratch), <usize>slotBytes());
}

export function secondOfBackward(part: i32): void {
  const block = part / pieces;
  const slot = slotOf(block * pieces);
  if (mask != 0) useTally(tallyOf(slotOf(part)));
  if (isWindowed()) useWindow(slotOf(part) + <usize>windowAt());
  piece(part % pieces, pieces);
  classify(slot, block);
  write(slot, block * blockSize + pieceFrom, pieceRows, pieceLength);
}

/** Sums of `rows` times k2 segments of `length` elements, from element `base` on, into the slot. */
function measure(slot: usize, base: i32, rows: i32, length: i32): void {
  takeStatistics(slot, base / blockSize, !isWindowed());
  if (!sumsAreNeeded(slot)) return;
  const columns = columnsOf(slot);
  if (!isWindowed()) {
    sumRange(slot, columns, base, rows, 0, k2, length);
    return;
  }
  const spare = slot + <usize>spareAt();
  for (startWindows(base, rows, length); nextWindow(); ) {
    openWindow(windowBase, windowCount(), false);
    // sums of columns come as a whole
    const apart = asColumns(k2, r2) && windowBefore > 0;
    sumRange(slot, apart ? spare : columns, windowBase, windowRows, windowFrom, windowTo, windowLength);
    if (apart) addDoubles(columns, spare, columnPlanes() * k2 * r2);
  }
}

/** Sets the sums of the slot to 0; returns whether they are needed. */
function sumsAreNeeded(slot: usize): bool {
  memory.fill(sumsOf(slot), 0, <usize>k2 << 4);
  return !given || parameterCount > 0;
}

/** How many sums each column has. */
// @ts-ignore: decorator
@inline
function columnPlanes(): i32 {
  return byElement || !asColumns(k2, r2) ? 0 : far ? 3 : 2;
}

/** Sums of segments `first` to before `last` of each row are added to those of the slot; those of all columns are written. */
function sumRange(slot: usize, columns: usize, base: i32, rows: i32, first: i32, last: i32, length: i32): void {
  const block = base / blockSize;
  if (byElement) sumByElement(slot, base, rows, first, last, length);
  else if (asColumns(k2, r2)) sumColumns(slot, columns, block, base, rows);
  else sumSegments(slot, block * k2, base, rows, first, last, length);
}

/**
 * Loads means and roots of a block into the slot: those that the forward pass stored, or measured again in float64 where float32
 * is not enough. The rounding of means far from 0 is corrected (of those of columns, in `settle`). `atHand`: all of the block's
 * elements are.
 */
function takeStatistics(slot: usize, block: i32, atHand: bool): void {
  const means = slot, roots = rootsOf(slot);
  const first = block * k2;
  if (block == knownBlock) {
    memory.copy(means, knownSlot, <usize>k2 << 4);
    if (mask != 0) memory.copy(numbersOf(slot), numbersOf(knownSlot), <usize>k2 << 3);
    classify(slot, block);
    return;
  }
  knownBlock = block;
  knownSlot = slot;
  for (let c = 0; c < k2; c++) {
    f64.store(means + (<usize>c << 3), meanAt(first + c));
    f64.store(roots + (<usize>c << 3), rootOf(varianceAt(first + c)));
  }
  if (mask != 0 && !given) countBlock(slot, block * blockSize);
  classify(slot, block);
  if (given) return;
  const recenters = !byElement && far && !asColumns(k2, r2);
  if (!byElement && !recenters) return;
  const base = block * blockSize;
  if (atHand) {
    measureAgain(slot, base, r1, 0, k2, r2, 0);
  } else {
    for (startWindows(base, r1, r2); nextWindow(); ) {
      openWindow(windowBase, windowCount(), false);
      measureAgain(slot, windowBase, windowRows, windowFrom, windowTo, windowLength, windowBefore);
    }
  }
  if (recenters) return;
  for (let c: usize = 0; c < <usize>k2 << 3; c += 8) f64.store(roots + c, rootOf(f64.load(roots + c) / numberAt(slot, c)));
}

/**
 * Where elements are processed one by one, merges their moments, in float64, into those of `before` values for each segment: the
 * means and, in place of the roots, the m2s. Else adds Σ (x − mean) / n to each mean that is far from 0.
 */
function measureAgain(slot: usize, base: i32, rows: i32, first: i32, last: i32, length: i32, before: i32): void {
  const from = x + (<usize>base << 2);
  const at = <usize>first << 3, numbers: usize = mask == 0 ? 0 : numbersOf(slot);
  if (!byElement) recenter(slot, (base / blockSize) * k2, from, base, rows, first, last, length);
  else momentsInDoubles(from, base, rows, last - first, length, slot + at, rootsOf(slot) + at, numbers, before, mean != 0);
}

/** Counts the unmasked elements of each statistic of a block, whose first element is `index`. */
function countBlock(slot: usize, index: i32): void {
  const numbers = numbersOf(slot);
  if (asColumns(k2, r2)) {
    // in the place of the columns' sums, which come later
    let ofColumn = columnsOf(slot);
    countColumns(ofColumn, index, r1, k2 * r2);
    for (let c: usize = 0; c < <usize>k2 << 3; c += 8) {
      let total: f64 = 0;
      for (let d = 0; d < r2; d++, ofColumn += 8) total += f64.load(ofColumn);
      f64.store(numbers + c, total);
    }
    return;
  }
  memory.fill(numbers, 0, <usize>k2 << 3);
  for (let b = 0; b < r1; b++) {
    for (let c: usize = 0; c < <usize>k2 << 3; c += 8, index += r2) {
      tallySegment(index, r2);
      addTo(numbers + c, <f64>onesOfSegment());
    }
  }
}

/** Sets `byElement`, `near` and `far`; the block's roots are in the slot. */
function classify(slot: usize, block: i32): void {
  const first = block * k2, roots = rootsOf(slot);
  let allFit = true, allNear = true, anyFar = false, anyFew = mask == 0 && r1 * r2 <= FEW;
  for (let c = 0; c < k2; c++) {
    const m = meanAt(first + c), spread = varianceAt(first + c);
    if (!rootFits(f64.load(roots + (<usize>c << 3)))) allFit = false;
    if (mask != 0 && !given && numberAt(slot, <usize>c << 3) <= FEW) anyFew = true;
    if (isNear(m, spread)) continue;
    allNear = false;
    if (isFar(m, spread)) anyFar = true;
  }
  near = allNear;
  far = anyFar;
  byElement = !allFit || (!given && anyFew) || (asColumns(k2, r2) && !columnsRepeat());
}

/** Adds Σ (x − mean) / n to each mean that is far from 0. */
function recenter(slot: usize, statistic: i32, from: usize, index: i32, rows: i32, first: i32, last: i32, length: i32): void {
  const means = slot, tile = tileOf(slot);
  const step = mask == 0 ? length : TILE;
  for (let b = 0; b < rows; b++) {
    for (let c = first; c < last; c++) {
      const at = <usize>c << 3;
      const about = meanAt(statistic + c), isMoved = isFar(about, varianceAt(statistic + c));
      for (let i = 0, n = 0; i < length; i += n, index += n, from += <usize>n << 2) {
        n = min(step, length - i);
        if (!isMoved) continue;
        const sum = mask == 0 ? sumAbout(from, n, <f32>about) : maskedSumAbout(from, valuesOf(index, n, tile), n, <f32>about);
        addTo(means + at, sum / numberAt(slot, at));
      }
    }
  }
}

/** Computes, from the sums of a block's columns, gradients of parameters and the coefficients of dx for each column. */
function settle(slot: usize, block: i32): void {
  if (byElement || !asColumns(k2, r2)) return;
  const columns = k2 * r2;
  const exact = slot, roots = rootsOf(slot), sums = sumsOf(slot);
  const dySums = columnsOf(slot);
  const dyXSums = dySums + (<usize>columns << 3);
  const xSums = dyXSums + (<usize>columns << 3);
  const means = xSums + (<usize>columns << 3);
  const plane = <usize>columns << 2;
  const statistic = block * k2;
  const base = block * blockSize;
  let parameters = 0;
  let parameter = 0;
  for (let c = 0, j = 0; c < k2; c++) {
    const rstd = 1.0 / f64.load(roots + (<usize>c << 3));
    const about = meanAt(statistic + c);
    // the rounding of the mean
    let low: f64 = 0;
    if (far) {
      for (let d = 0; d < r2; d++) low += f64.load(xSums + (<usize>(j + d) << 3));
      low /= numberAt(slot, <usize>c << 3);
      f64.store(exact + (<usize>c << 3), about + low);
    }
    let level: f64 = 0;
    let slope: f64 = 0;
    for (let d = 0; d < r2; d++, j++) {
      const at = <usize>j << 2;
      let g: f64 = 1;
      if (!given || parameterCount != 0) {
        const sum = f64.load(dySums + (at << 1));
        const sumX = f64.load(dyXSums + (at << 1)) - low * sum;
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
      f32.store(means + at, <f32>about);
      f32.store(means + plane + at, <f32>(rstd * g));
    }
    f64.store(sums + (<usize>c << 4), level);
    f64.store(sums + (<usize>c << 4), slope, 8);
  }
  let at = means;
  for (let c = 0; c < k2; c++) {
    const share = given ? 0 : 1.0 / numberAt(slot, <usize>c << 3);
    const rstd = 1.0 / f64.load(roots + (<usize>c << 3));
    const sum = sums + (<usize>c << 4);
    const slope = -rstd * rstd * f64.load(sum, 8) * share;
    const left = f64.load(exact + (<usize>c << 3)) - (near ? 0 : meanAt(statistic + c));
    const level = (mean == 0 ? 0 : -rstd * f64.load(sum) * share) - left * slope;
    for (let d = 0; d < r2; d++, at += 4) {
      f32.store(at + 2 * plane, <f32>slope);
      f32.store(at + 3 * plane, <f32>level);
    }
  }
}

/** Writes dx of `rows` times k2 segments of `length` elements, from element `base` on. */
function write(slot: usize, base: i32, rows: i32, length: i32): void {
  if (!isWindowed()) {
    writeRange(slot, base, rows, 0, k2, length);
    return;
  }
  for (startWindows(base, rows, length); nextWindow(); ) {
    openWindow(windowBase, windowCount(), false);
    writeRange(slot, windowBase, windowRows, windowFrom, windowTo, windowLength);
    closeWindow();
  }
}

/** The same of segments `first` to before `last` of each row (with columns or a mask, of all). */
function writeRange(slot: usize, base: i32, rows: i32, first: i32, last: i32, length: i32): void {
  if (byElement) {
    writeByElement(slot, base, rows, first, last, length);
    if (mask != 0) correct(base, rows * k2 * length);
  } else if (asColumns(k2, r2)) {
    if (mask == 0) writeRows(slot, base, rows);
    else writeMasked(slot, base, rows);
  } else {
    writeSegments(slot, (base / blockSize) * k2, base, rows, first, last, length);
  }
}

/** Rows of columns. */
function writeRows(slot: usize, base: i32, rows: i32): void {
  const at = <usize>base << 2;
  const columns = k2 * r2;
  const means = columnsOf(slot) + <usize>columns * 24;
  if (given) scaleColumns(dy + at, dx + at, rows, columns, means + (<usize>columns << 2));
  else dxColumns(dy + at, x + at, dx + at, rows, <usize>columns << 2, means);
  if (dSum != 0) addRun(dx + at, dSum + at, dx + at, rows * columns);
}

/** The same with a mask. */
function writeMasked(slot: usize, index: i32, rows: i32): void {
  const columns = k2 * r2;
  for (let row = 0, n = 0; row < rows; row += n, index += n * columns) {
    n = tileRun(index, columns, rows - row);
    if (kind != MASKED) writeRows(slot, index, n);
    if (kind != UNMASKED) correct(index, n * columns);
  }
}

/** Statistics constant over segments. `sums` is float64 [k2, 2]: Σ g and Σ g·xHat. */
function sumSegments(slot: usize, statistic: i32, base: i32, rows: i32, first: i32, last: i32, length: i32): void {
  const means = slot, roots = rootsOf(slot), sums = sumsOf(slot), tile = tileOf(slot);
  let index = base;
  for (let b = 0; b < rows; b++) {
    for (let c = first; c < last; c++) {
      const m = f64.load(means + (<usize>c << 3));
      const rstd = 1.0 / f64.load(roots + (<usize>c << 3));
      const near = isNear(m, varianceAt(statistic + c));
      const sum = sums + (<usize>c << 4);
      const segment = index, segmentEnd = index + length;
      const step = mask == 0 ? length : tallySegment(index, length);
      while (index < segmentEnd) {
        const end = min(index + step, segmentEnd);
        let p = dy + (<usize>index << 2);
        let q = x + (<usize>index << 2);
        let values: usize = 0;
        let isMixed = false;
        if (mask != 0) {
          const ones = onesAt(index - segment);
          if (ones == 0) {
            pass(p, end - index);
            pass(q, end - index);
            index = end;
          } else if (ones < end - index) {
            isMixed = true;
            if (parameterCount == 0 || pr2 > 1) {
              values = valuesOf(index, end - index, tile);
            } else {
              select(q, tile, index, end - index, 0, <f32>m);
              select(p, tile + (TILE << 2), index, end - index, 0, 0);
              q = tile;
              p = tile + (TILE << 2);
            }
          }
        }
        while (index < end) {
          let n = end - index;
          if (parameterCount == 0) {
            if (isMixed) maskedRunSums(p, q, values, n, m);
            else runSums(p, q, n, m, near);
            addTo(sum, sumDy);
            addTo(sum + 8, sumDyX * rstd);
            index = end;
            continue;
          }
          const parameter = parameterIndex(index);
          n = runLength(index, n);
          if (pr2 > 1) {
            if (isMixed) maskedRunSums(p, q, values, n, m);
            else runSums(p, q, n, m, near);
            const g = addToParameter(parameter, sumDy, sumDyX * rstd);
            addTo(sum, g * sumDy);
            addTo(sum + 8, g * sumDyX * rstd);
          } else {
            const at = <usize>parameter << 2;
            const factors: usize = gamma == 0 ? 0 : gamma + at;
            keepShort(1);
            vectorSums(p, q, n, m, rstd, near, factors, partialGamma + at, partialBeta + at);
            addTo(sum, sumDy);
            addTo(sum + 8, sumDyX);
          }
          index += n;
          p += <usize>n << 2;
          q += <usize>n << 2;
          values += <usize>n << 2;
        }
      }
    }
  }
}

function writeSegments(slot: usize, statistic: i32, base: i32, rows: i32, first: i32, last: i32, length: i32): void {
  const means = slot, roots = rootsOf(slot), sums = sumsOf(slot);
  let index = base;
  for (let b = 0; b < rows; b++) {
    for (let c = first; c < last; c++) {
      const share = given ? 0 : 1.0 / numberAt(slot, <usize>c << 3);
      const m = f64.load(means + (<usize>c << 3));
      const rstd = 1.0 / f64.load(roots + (<usize>c << 3));
      const sum = sums + (<usize>c << 4);
      const slope = given ? 0 : rstd * rstd * f64.load(sum, 8) * share;
      const level = given || mean == 0 ? 0 : rstd * f64.load(sum) * share;
      const near = isNear(m, varianceAt(statistic + c));
      const segment = index, segmentEnd = index + length;
      const step = mask == 0 ? length : tallySegment(index, length);
      while (index < segmentEnd) {
        const from = index;
        const end = min(index + step, segmentEnd);
        const ones = mask == 0 ? end - index : onesAt(index - segment);
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
        if (ones < end - from) correct(from, end - from);
      }
    }
  }
}

/** Sums of columns of a block's rows; statistics and parameters repeat row by row. */
function sumColumns(slot: usize, work: usize, block: i32, base: i32, rows: i32): void {
  const columns = k2 * r2;
  const means = work + <usize>columns * 24;
  for (let j = 0; j < columns; j++) f32.store(means + (<usize>j << 2), <f32>meanAt(block * k2 + j / r2));
  const at = <usize>base << 2;
  const more = means + (<usize>columns << 2);
  columnSums(dy + at, x + at, base, rows, columns, means, near, far, work, more, tileOf(slot));
}

/**
 * dx = dy·scale + (x − mean)·slope + level, float32 [columns] each, from `means` on. Where `near`, x is not centred: level
 * accounts for the mean.
 */
function dxColumns(dy: usize, x: usize, dx: usize, rows: i32, stride: usize, means: usize): void {
  if (near) writeColumns(dy, x, dx, rows, stride, means, true);
  else writeColumns(dy, x, dx, rows, stride, means, false);
}

/** `near` is constant at each call site. */
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

function sumByElement(slot: usize, base: i32, rows: i32, first: i32, last: i32, length: i32): void {
  const means = slot, roots = rootsOf(slot), sums = sumsOf(slot);
  for (let b = 0, index = base; b < rows; b++) {
    for (let c = <usize>first << 3; c < <usize>last << 3; c += 8) {
      for (let i = 0, n = length; i < length; i += n, index += n) {
        if (mask != 0) {
          n = maskRun(index, length - i);
          if (!counts) continue;
        }
        sumElements(index, n, f64.load(means + c), f64.load(roots + c));
        addTo(sums + (c << 1), sumOfG);
        addTo(sums + (c << 1) + 8, sumOfGX);
      }
    }
  }
}

function writeByElement(slot: usize, base: i32, rows: i32, first: i32, last: i32, length: i32): void {
  const means = slot, roots = rootsOf(slot), sums = sumsOf(slot);
  for (let b = 0, index = base; b < rows; b++) {
    for (let c = <usize>first << 3; c < <usize>last << 3; c += 8, index += length) {
      const count = numberAt(slot, c);
      const level = given || mean == 0 ? 0 : f64.load(sums + (c << 1)) / count;
      const slope = given ? 0 : f64.load(sums + (c << 1), 8) / count;
      writeElements(index, length, f64.load(means + c), f64.load(roots + c), level, slope);
    }
  }
}
