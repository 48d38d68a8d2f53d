/**
 * y = (x − mean)·rstd·gamma + beta, with rstd = 1 / √(variance + epsilon); x may come as the sum of x and a residual.
 *
 * Statistics belong to the view (k1, r1, k2, r2), parameters to (pk1, pr1, pk2, pr2). Statistics are measured from x and written
 * to `mean` and `variance` (biased), or, where `given`, read from there. Without `mean` nothing is centred and `variance` is the
 * mean square (RMS).
 *
 * The mean is used in two float32 parts: x − high is exact where x is near it, and low is the rounding error of high.
 *
 * With a mask (masked.ts), statistics are those of unmasked elements, 0 where there are none, and y is 0 at the others.
 */
import {
  beta, blockSize, columnsRepeat, firstOf, gamma, given, mask, mean, parameterCount, parts, piece, pieceFrom, pieceLength, pieceRows,
  pieces, residual, scratch, sum, variance, x, y,
} from "./call";
import { columnMoments } from "./columns";
import { normalizeElements } from "./elements";
import { forwardRows } from "./forward-rows";
import { addRun, normalizeMaskedRun, normalizeRun, normalizeVector } from "./forward-runs";
import {
  closeWindow, holdsBlocks, isWindowed, nextWindow, openWindow, startWindows, useWindow, WINDOW, windowBase, windowBefore, windowBytes,
  windowCount, windowFrom, windowLength, windowRows, windowTo,
} from "./half";
import {
  countColumns, counts, isWhole, kind, MASKED, onesAt, pass, rowRun, select, tallyBytes, tallySegment, tileBytes, tileRun, UNMASKED,
  useTally, valuesOf,
} from "./masked";
import { maskedMoments, mergeInto, segmentM2, segmentMean, segmentMoments } from "./moments";
import { madd } from "./simd";
import { asStored, isNear, rootFits, meanAt, rootOf, varianceAt } from "./precision";
import { asColumns, k1, k2, parameterIndex, pk2, pr1, pr2, r1, r2, runLength } from "./views";

/**
 * Bytes of one slot: the moments of a block or a piece, which become its means and roots, then the coefficients of its columns; with
 * a mask, the numbers of its elements, and a tile.
 */
function slotBytes(): u64 {
  // the moments of one window, and the window
  if (isWindowed()) return 2 * momentsBytes() + windowBytes();
  if (mask == 0) return momentsBytes();
  return (momentsBytes() + (<u64>max(columnsHere(), k2) << 3) + tileBytes(columnsHere()) + tallyBytes(r2) + 63) & -64;
}

function momentsBytes(): u64 {
  return ((<u64>max(columnsHere(), k2) << 4) + <u64>columnsHere() * 12 + 4 + 63) & -64;
}

/** 0 where blocks are not walked as columns. */
// @ts-ignore: decorator
@inline
function columnsHere(): i32 {
  return asColumns(k2, r2) ? k2 * r2 : 0;
}

// @ts-ignore: decorator
@inline
function slotOf(part: i32): usize {
  return scratch + <usize>part * <usize>slotBytes();
}

/** The bytes of scratch that the call needs; float64, since they may exceed the address space. */
export function forwardScratch(): f64 {
  return <f64>parts * <f64>slotBytes();
}

export function firstOfForward(part: i32): void {
  const slot = slotOf(part);
  if (mask != 0) useTile(slot);
  if (isWindowed()) useWindow(slot + 2 * <usize>momentsBytes());
  if (pieces > 0) {
    if (given) return;
    piece(part % pieces, pieces);
    measure(slot, (part / pieces) * blockSize + pieceFrom, pieceRows, pieceLength);
    return;
  }
  const from = firstOf(part, parts, k1);
  const to = firstOf(part + 1, parts, k1);
  if (!isWindowed()) {
    runBlocks(slot, from, to);
    return;
  }
  if (holdsBlocks()) {
    const most = WINDOW / blockSize;
    for (let block = from; block < to; block += most) {
      const end = min(block + most, to);
      openWindow(block * blockSize, (end - block) * blockSize, true);
      runBlocks(slot, block, end);
      closeWindow();
    }
    return;
  }
  for (let block = from; block < to; block++) {
    const base = block * blockSize;
    if (!given) measure(slot, base, r1, r2);
    settle(slot, block);
    write(slot, base, r1, r2);
  }
}

/** Blocks whose elements are all at hand. */
function runBlocks(slot: usize, from: i32, to: i32): void {
  if (k2 == 1 && r1 == 1 && !given && (parameterCount == 0 || (pr2 == 1 && pk2 == r2 && pr1 == k1))) {
    if (mask == 0) {
      forwardRows(from, to);
      return;
    }
    if (isWhole(r2)) {
      for (let row = from, n = 0; row < to; row += n) {
        n = rowRun(row * r2, r2, to - row);
        if (counts) forwardRows(row, row + n);
        else maskRows(row, n);
      }
      return;
    }
  }
  for (let block = from; block < to; block++) {
    const base = block * blockSize;
    if (!given) measureRange(slot, base, r1, 0, k2, r2, 0);
    settle(slot, block);
    writeRange(slot, base, r1, 0, k2, r2);
  }
}

/** Rows that are masked. */
function maskRows(row: i32, rows: i32): void {
  const at = <usize>(row * r2) << 2;
  if (residual != 0) addRun(x + at, residual + at, sum + at, rows * r2);
  memory.fill(y + at, 0, <usize>(rows * r2) << 2);
  const bytes = <usize>rows << 2;
  if (mean != 0) memory.fill(mean + (<usize>row << 2), 0, bytes);
  memory.fill(variance + (<usize>row << 2), 0, bytes);
}

/** Merges the pieces of each block into its first slot. */
export function finishForward(): void {
  if (pieces == 0) return;
  for (let block = 0; block < k1; block++) {
    const slot = slotOf(block * pieces);
    if (!given) {
      let before = 0;
      for (let i = 0; i < pieces; i++) {
        const other = slotOf(block * pieces + i);
        piece(i, pieces);
        const count = pieceRows * pieceLength;
        if (i > 0) mergeSlots(slot, other, before, count);
        before += count;
      }
    }
    settle(slot, block);
  }
}

export function secondOfForward(part: i32): void {
  const block = part / pieces;
  const slot = slotOf(block * pieces);
  if (mask != 0) useTile(slotOf(part));
  if (isWindowed()) useWindow(slotOf(part) + 2 * <usize>momentsBytes());
  piece(part % pieces, pieces);
  classify(slot);
  write(slot, block * blockSize + pieceFrom, pieceRows, pieceLength);
}

// A slot: float64 means; float64 m2s, which `settle` replaces by roots; float32 coefficients [3, columns]; with a mask, float64
// numbers of unmasked elements, and the tile.
// @ts-ignore: decorator
@inline
function secondsOf(slot: usize): usize {
  return slot + (<usize>(asColumns(k2, r2) ? k2 * r2 : k2) << 3);
}

// @ts-ignore: decorator
@inline
function coefficientsOf(slot: usize): usize {
  return slot + (<usize>(k2 * r2) << 4);
}

function numbersOf(slot: usize): usize {
  return slot + <usize>momentsBytes();
}

function tileOf(slot: usize): usize {
  return numbersOf(slot) + (<usize>max(columnsHere(), k2) << 3);
}

/** The tile of the part that runs. */
let tile: usize = 0;

function useTile(slot: usize): void {
  tile = tileOf(slot);
  useTally(tile + <usize>tileBytes(columnsHere()));
}

/** Merges moments of `count` values for each statistic into those of `before`; with a mask, of as many as the slots say. */
function mergeSlots(slot: usize, other: usize, before: i32, count: i32): void {
  for (let at: usize = 0; at < <usize>k2 << 3; at += 8) {
    if (mask != 0) {
      before = <i32>f64.load(numbersOf(slot) + at);
      count = <i32>f64.load(numbersOf(other) + at);
      if (count == 0) continue;
      f64.store(numbersOf(slot) + at, <f64>(before + count));
    }
    mergeInto(slot + at, secondsOf(slot) + at, before, count, f64.load(other + at), f64.load(secondsOf(other) + at));
  }
}

/** Moments of `rows` times k2 segments of `length` elements, from element `base` on, into the slot. */
function measure(slot: usize, base: i32, rows: i32, length: i32): void {
  if (!isWindowed()) {
    measureRange(slot, base, rows, 0, k2, length, 0);
    return;
  }
  const spare = slot + <usize>momentsBytes();
  for (startWindows(base, rows, length); nextWindow(); ) {
    openWindow(windowBase, windowCount(), true);
    // moments of columns come as a whole
    const apart = asColumns(k2, r2) && windowBefore > 0;
    measureRange(apart ? spare : slot, windowBase, windowRows, windowFrom, windowTo, windowLength, windowBefore);
    if (apart) mergeSlots(slot, spare, windowBefore, windowRows * windowLength);
  }
}

/**
 * The same of segments `first` to before `last` of each row (with columns or a mask, of all). The slot has the moments of `before`
 * values for each segment.
 */
function measureRange(slot: usize, base: i32, rows: i32, first: i32, last: i32, length: i32, before: i32): void {
  const at = <usize>base << 2;
  if (residual != 0) addRun(x + at, residual + at, sum + at, rows * k2 * length);
  const from = (residual == 0 ? x : sum) + at;
  const m2s = secondsOf(slot);
  const centered = mean != 0;
  let numbers: usize = 0, tile: usize = 0;
  if (mask != 0) {
    numbers = numbersOf(slot);
    tile = tileOf(slot);
  }
  if (asColumns(k2, r2)) {
    if (mask != 0) countColumns(numbers, base, rows, k2 * r2);
    columnMoments(from, base, rows, k2 * r2, slot, m2s, numbers, coefficientsOf(slot), tile, centered);
    foldColumns(slot, m2s, numbers, rows);
    return;
  }
  if (mask != 0) {
    measureMasked(from, base, rows, length, slot, m2s, numbers, tile);
    return;
  }
  let p = from;
  for (let b = 0; b < rows; b++) {
    for (let c = <usize>first << 3; c < <usize>last << 3; c += 8, p += <usize>length << 2) {
      segmentMoments(p, length, centered);
      mergeInto(slot + c, m2s + c, before + b * length, length, segmentMean, segmentM2);
    }
  }
}

/** Moments of segments, and the numbers of their unmasked elements, tile by tile. */
function measureMasked(x: usize, index: i32, rows: i32, length: i32, means: usize, m2s: usize, numbers: usize, tile: usize): void {
  const plane = <usize>k2 << 3;
  memory.fill(means, 0, plane);
  memory.fill(m2s, 0, plane);
  memory.fill(numbers, 0, plane);
  for (let b = 0; b < rows; b++) {
    for (let c: usize = 0; c < plane; c += 8) {
      const step = tallySegment(index, length);
      for (let i = 0, n = 0; i < length; i += n, index += n, x += <usize>n << 2) {
        n = min(step, length - i);
        const ones = onesAt(i);
        if (ones == 0) {
          pass(x, n);
          continue;
        }
        if (ones == n) segmentMoments(x, n, mean != 0);
        else maskedMoments(x, tile, index, n, ones, mean != 0);
        const before = f64.load(numbers + c);
        mergeInto(means + c, m2s + c, <i32>before, ones, segmentMean, segmentM2);
        f64.store(numbers + c, before + <f64>ones);
      }
    }
  }
}

/** Merges every r2 neighbouring columns of `rows` values into one statistic, in place: moments of equal counts. */
function foldColumns(means: usize, m2s: usize, numbers: usize, rows: i32): void {
  if (r2 == 1) return;
  if (numbers != 0) {
    foldMasked(means, m2s, numbers);
    return;
  }
  let from = means, fromM2 = m2s;
  for (let c: usize = 0; c < <usize>k2 << 3; c += 8) {
    let sum: f64 = 0;
    let m2: f64 = 0;
    for (let d: usize = 0; d < <usize>r2 << 3; d += 8) {
      sum += f64.load(from + d);
      m2 += f64.load(fromM2 + d);
    }
    // the mean of equal values is their value
    const center = sum / <f64>r2;
    let between: f64 = 0;
    for (let d: usize = 0; d < <usize>r2 << 3; d += 8) {
      const distance = f64.load(from + d) - center;
      between += distance * distance;
    }
    from += <usize>r2 << 3;
    fromM2 += <usize>r2 << 3;
    f64.store(means + c, center);
    f64.store(m2s + c, m2 + <f64>rows * between);
  }
}

/** The same for moments of as many values as `numbers` says, which are folded too. */
function foldMasked(means: usize, m2s: usize, numbers: usize): void {
  let from: usize = 0;
  for (let c: usize = 0; c < <usize>k2 << 3; c += 8) {
    let total: f64 = 0;
    for (let d = 0; d < r2; d++, from += 8) {
      const number = f64.load(numbers + from);
      if (d > 0 && number == 0) continue;
      mergeInto(means + c, m2s + c, <i32>total, <i32>number, f64.load(means + from), f64.load(m2s + from));
      total += number;
    }
    f64.store(numbers + c, total);
  }
}

/** Writes a block's statistics, or loads the given ones; puts its roots and the coefficients of its columns into the slot. */
function settle(slot: usize, block: i32): void {
  const first = block * k2;
  const roots = secondsOf(slot);
  let share = 1.0 / (<f64>r1 * <f64>r2);
  for (let c = 0; c < k2; c++) {
    const at = <usize>c << 3;
    if (given) {
      f64.store(slot + at, meanAt(first + c));
      f64.store(roots + at, rootOf(varianceAt(first + c)));
      continue;
    }
    if (mask != 0) share = 1.0 / max(1, f64.load(numbersOf(slot) + at));
    const measured = f64.load(roots + at) * share;
    const to = <usize>(first + c) << 2;
    if (mean != 0) f32.store(mean + to, <f32>f64.load(slot + at));
    f32.store(variance + to, <f32>measured);
    f64.store(roots + at, rootOf(asStored(measured)));
  }
  classify(slot);
  if (!byElement && asColumns(k2, r2)) columnCoefficients(coefficientsOf(slot), slot, roots, first, block * blockSize);
}

/** Whether the current block is normalized element by element (elements.ts). */
let byElement: bool = false;

function classify(slot: usize): void {
  byElement = asColumns(k2, r2) && !columnsRepeat();
  const roots = secondsOf(slot);
  for (let c: usize = 0; c < <usize>k2 << 3; c += 8) if (!rootFits(f64.load(roots + c))) byElement = true;
}

/** Normalizes `rows` times k2 segments of `length` elements, from element `base` on, with the block's statistics. */
function write(slot: usize, base: i32, rows: i32, length: i32): void {
  if (!isWindowed()) {
    writeRange(slot, base, rows, 0, k2, length);
    return;
  }
  for (startWindows(base, rows, length); nextWindow(); ) {
    openWindow(windowBase, windowCount(), given);
    writeRange(slot, windowBase, windowRows, windowFrom, windowTo, windowLength);
    closeWindow();
  }
}

/** The same of segments `first` to before `last` of each row (with columns or a mask, of all). */
function writeRange(slot: usize, base: i32, rows: i32, first: i32, last: i32, length: i32): void {
  const at = <usize>base << 2;
  if (residual != 0 && given) addRun(x + at, residual + at, sum + at, rows * k2 * length);
  const from = (residual == 0 ? x : sum) + at;
  if (byElement) {
    normalizeByElement(slot, secondsOf(slot), base, rows, first, last, length);
    if (mask != 0) select(y + at, y + at, base, rows * k2 * length, 0, 0);
  } else if (asColumns(k2, r2)) {
    if (mask == 0) normalizeColumns(from, y + at, coefficientsOf(slot), rows, k2 * r2);
    else normalizeMasked(from, y + at, coefficientsOf(slot), base, rows, k2 * r2);
  } else {
    normalizeSegments(from, y + at, slot, secondsOf(slot), base, rows, first, last, length);
  }
}

/** Columns with a mask. */
function normalizeMasked(x: usize, y: usize, coefficients: usize, index: i32, rows: i32, columns: i32): void {
  const stride = <usize>columns << 2;
  for (let row = 0, n = 0; row < rows; row += n, index += n * columns, x += <usize>n * stride, y += <usize>n * stride) {
    n = tileRun(index, columns, rows - row);
    if (kind != MASKED) normalizeColumns(x, y, coefficients, n, columns);
    if (kind != UNMASKED) select(y, y, index, n * columns, 0, 0);
  }
}

function normalizeByElement(means: usize, roots: usize, base: i32, rows: i32, first: i32, last: i32, length: i32): void {
  for (let b = 0, index = base; b < rows; b++) {
    for (let c = <usize>first << 3; c < <usize>last << 3; c += 8, index += length) {
      normalizeElements(index, length, f64.load(means + c), f64.load(roots + c));
    }
  }
}

/** Every segment has one statistic; its parameters are constant over runs, or one per element. */
function normalizeSegments(
  x: usize, y: usize, means: usize, roots: usize, base: i32, rows: i32, first: i32, last: i32, length: i32,
): void {
  const plain = parameterCount == 0;
  let offset = 0;
  for (let b = 0; b < rows; b++) {
    for (let c = first; c < last; c++) {
      const exact = f64.load(means + (<usize>c << 3));
      const high = <f32>exact;
      const low = <f32>(exact - <f64>high);
      const rstd = <f32>(1.0 / f64.load(roots + (<usize>c << 3)));
      const segment = offset, segmentEnd = offset + length;
      const step = mask == 0 ? length : tallySegment(base + offset, length);
      while (offset < segmentEnd) {
        const from = offset;
        const end = min(offset + step, segmentEnd);
        const ones = mask == 0 ? end - from : onesAt(from - segment);
        const isMixed = ones < end - from;
        // written without what is masked, or corrected
        const values = isMixed && (plain || pr2 > 1) ? valuesOf(base + from, end - from, tile) : 0;
        while (offset < end) {
          const p = x + (<usize>offset << 2);
          const q = y + (<usize>offset << 2);
          const v = values + (<usize>(offset - from) << 2);
          if (plain) {
            if (isMixed) normalizeMaskedRun(p, q, v, end - offset, high, rstd, -low * rstd);
            else normalizeRun(p, q, end - offset, high, rstd, -low * rstd);
            offset = end;
            continue;
          }
          const index = base + offset;
          const parameter = <usize>parameterIndex(index) << 2;
          const n = runLength(index, end - offset);
          if (pr2 > 1) {
            const scale = gamma == 0 ? rstd : rstd * f32.load(gamma + parameter);
            const shift = beta == 0 ? <f32>0 : f32.load(beta + parameter);
            if (isMixed) normalizeMaskedRun(p, q, v, n, high, scale, shift - low * scale);
            else normalizeRun(p, q, n, high, scale, shift - low * scale);
          } else {
            const g: usize = gamma == 0 ? 0 : gamma + parameter;
            const t: usize = beta == 0 ? 0 : beta + parameter;
            normalizeVector(p, q, n, high, rstd, -low * rstd, g, t);
          }
          offset += n;
        }
        const q = y + (<usize>from << 2);
        if (isMixed && values == 0) select(q, q, base + from, end - from, 0, 0);
      }
    }
  }
}

/**
 * scale, shift and high of each column: three consecutive float32 [columns]. Where all means are near 0, x is not centred: high
 * is 0, and the float32 after them is 1.
 */
function columnCoefficients(coefficients: usize, means: usize, roots: usize, first: i32, base: i32): void {
  const plane = <usize>(k2 * r2) << 2;
  let allNear = true;
  for (let c = 0; c < k2; c++) allNear = allNear && isNear(f64.load(means + (<usize>c << 3)), varianceAt(first + c));
  let p = coefficients;
  let parameters = 0;
  let parameter: usize = 0;
  for (let c = 0, j = 0; c < k2; c++) {
    const exact = f64.load(means + (<usize>c << 3));
    const high = allNear ? <f32>0 : <f32>exact;
    const low = exact - <f64>high;
    const rstd = 1.0 / f64.load(roots + (<usize>c << 3));
    for (let d = 0; d < r2; d++, p += 4, j++) {
      if (j == parameters) {
        parameter = <usize>parameterIndex(base + j) << 2;
        parameters += runLength(base + j, k2 * r2 - j);
      } else if (pr2 == 1) {
        parameter += 4;
      }
      const scale = gamma == 0 ? rstd : rstd * <f64>f32.load(gamma + parameter);
      const shift = beta == 0 ? 0 : <f64>f32.load(beta + parameter);
      f32.store(p, <f32>scale);
      f32.store(p + plane, <f32>(shift - low * scale));
      f32.store(p + 2 * plane, high);
    }
  }
  f32.store(p + 2 * plane, allNear ? <f32>1 : <f32>0);
}

/** y = (x − high)·scale + shift, all three per column. */
function normalizeColumns(x: usize, y: usize, coefficients: usize, rows: i32, columns: i32): void {
  const near = f32.load(coefficients + <usize>columns * 12) != 0;
  if (near) writeColumns(x, y, coefficients, rows, columns, true);
  else writeColumns(x, y, coefficients, rows, columns, false);
}

/** `near` is constant at each call site: high is 0 everywhere. */
// @ts-ignore: decorator
@inline
function writeColumns(x: usize, y: usize, coefficients: usize, rows: i32, columns: i32, near: bool): void {
  const stride = <usize>columns << 2;
  const shifts = coefficients + stride;
  const highs = shifts + stride;
  for (let row = 0; row < rows; row++, x += stride, y += stride) {
    let i: usize = 0;
    for (; i + 64 <= stride; i += 64) {
      const p = x + i, q = y + i, s = coefficients + i, t = shifts + i, h = highs + i;
      v128.store(q, madd(near ? v128.load(p) : f32x4.sub(v128.load(p), v128.load(h)), v128.load(s), v128.load(t)));
      v128.store(q, madd(near ? v128.load(p, 16) : f32x4.sub(v128.load(p, 16), v128.load(h, 16)), v128.load(s, 16), v128.load(t, 16)), 16);
      v128.store(q, madd(near ? v128.load(p, 32) : f32x4.sub(v128.load(p, 32), v128.load(h, 32)), v128.load(s, 32), v128.load(t, 32)), 32);
      v128.store(q, madd(near ? v128.load(p, 48) : f32x4.sub(v128.load(p, 48), v128.load(h, 48)), v128.load(s, 48), v128.load(t, 48)), 48);
    }
    for (; i < stride; i += 4) {
      const d = near ? f32.load(x + i) : f32.load(x + i) - f32.load(highs + i);
      f32.store(y + i, d * f32.load(coefficients + i) + f32.load(shifts + i));
    }
  }
}
