/**
 * Calls with a mask. Where it is 0, an element contributes to no statistic and no sum, y is 0 and dx is dSum, whatever x and dy
 * hold.
 *
 *     mean = Σ x / n         variance = Σ (x − mean)² / n         n, Σ: over unmasked elements; 0 where there are none
 *     dx = rstd·(g − Σ g / n − xHat·Σ (g·xHat) / n) + dSum
 *
 * The array is walked in runs of elements that are all masked or all unmasked, and that share a statistic, or have one each
 * (r2 = 1); likewise a parameter. Runs with one statistic use the loops of calls without a mask, where float32 is enough; the others
 * use plain float64 loops. The whole call is one part: threads do not share it.
 */
import { dxRun, dxVector, runSums, sumDy, sumDyX, vectorSums } from "./backward-runs";
import {
  beta, dSum, dx, dy, gamma, given, isBackward, mask, mean, parameterCount, residual, scratch, size, sum, variance, x, y,
} from "./call";
import { normalizeElements, sumElements, sumOfG, sumOfGX, writeElements } from "./elements";
import { addRun, normalizeRun, normalizeVector } from "./forward-runs";
import { mergeInto, segmentInDoubles, segmentM2, segmentMean, segmentMoments } from "./moments";
import {
  addToParameter, emptySums, keepShort, partialBeta, partialGamma, storeGradients, sumsBytes, totalBeta, totalGamma, useSums,
} from "./parameters";
import { zero } from "./simd";
import { asStored, FEW, isFar, isNear, fitsFloat32, rootFits, meanAt, rootOf, varianceAt } from "./precision";
import { k1, k2, mk2, mr1, mr2, pk2, pr1, pr2, r1, r2 } from "./views";

// Scratch: for each statistic, in float64, the number of its unmasked elements, its mean, its m2 (later its root) and, in the
// backward pass, Σ g and Σ g·xHat; then the cursors, and the gradients of the parameters.
// @ts-ignore: decorator
@inline
function tableBytes(): usize {
  return <usize>(k1 * k2) << 3;
}

// @ts-ignore: decorator
@inline
function countsTable(): usize {
  return scratch;
}

// @ts-ignore: decorator
@inline
function meansTable(): usize {
  return scratch + tableBytes();
}

// @ts-ignore: decorator
@inline
function rootsTable(): usize {
  return scratch + 2 * tableBytes();
}

// @ts-ignore: decorator
@inline
function levelsTable(): usize {
  return scratch + 3 * tableBytes();
}

// @ts-ignore: decorator
@inline
function slopesTable(): usize {
  return scratch + 4 * tableBytes();
}

// @ts-ignore: decorator
@inline
function cursors(): usize {
  return scratch + 5 * tableBytes();
}

// @ts-ignore: decorator
@inline
function gradientsSlot(): usize {
  return (cursors() + 3 * CURSOR_BYTES + 63) & -64;
}

/** The bytes of scratch that the call needs; float64, since they may exceed the address space. */
export function maskedScratch(): f64 {
  return 40.0 * <f64>k1 * <f64>k2 + 192 + (isBackward ? <f64>sumsBytes() : 0);
}

export function runMasked(): void {
  memory.fill(scratch, 0, 5 * tableBytes());
  if (isBackward) backward();
  else forward();
}

// A cursor walks a view without divisions. Its int32 words: the view's r1, k2 and r2, its current row (of r1) and column (of k2),
// the index of the block's first kept position, and how many elements are left that share a position (r2 > 1), or have one each
// in a row (r2 = 1).
const CURSOR_BYTES: usize = 32;

function start(cursor: usize, r1: i32, k2: i32, r2: i32): void {
  i32.store(cursor, r1);
  i32.store(cursor, k2, 4);
  i32.store(cursor, r2, 8);
  i32.store(cursor, 0, 12);
  i32.store(cursor, 0, 16);
  i32.store(cursor, 0, 20);
  i32.store(cursor, r2 > 1 ? r2 : k2, 24);
}

// @ts-ignore: decorator
@inline
function positionOf(cursor: usize): i32 {
  return i32.load(cursor, 20) + i32.load(cursor, 16);
}

// @ts-ignore: decorator
@inline
function leftOf(cursor: usize): i32 {
  return i32.load(cursor, 24);
}

/** Advances by n elements, at most those that are left. */
function advance(cursor: usize, n: i32): void {
  const k2 = i32.load(cursor, 4), r2 = i32.load(cursor, 8);
  const left = leftOf(cursor) - n;
  const column = i32.load(cursor, 16) + (r2 == 1 ? n : left == 0 ? 1 : 0);
  i32.store(cursor, left > 0 ? left : r2 > 1 ? r2 : k2, 24);
  if (column < k2) {
    i32.store(cursor, column, 16);
    return;
  }
  i32.store(cursor, 0, 16);
  const row = i32.load(cursor, 12) + 1;
  const blockEnds = row == i32.load(cursor);
  i32.store(cursor, blockEnds ? 0 : row, 12);
  if (blockEnds) i32.store(cursor, i32.load(cursor, 20) + k2, 20);
}

/** Call before the first `takeRun` of a walk over the array. */
function startWalk(): void {
  start(cursors(), r1, k2, r2);
  start(cursors() + CURSOR_BYTES, mr1, mk2, mr2);
  if (parameterCount > 0) start(cursors() + 2 * CURSOR_BYTES, pr1, pk2, pr2);
}

// The run that `takeRun` found: whether it is unmasked, and its first statistic and parameter.
let counts: bool = false;
let statistic: i32 = 0;
let parameter: i32 = 0;

/** Takes the next run; returns its length. */
function takeRun(): i32 {
  const ofMask = cursors() + CURSOR_BYTES, ofParameters = ofMask + CURSOR_BYTES;
  statistic = positionOf(cursors());
  let n = min(leftOf(cursors()), leftOf(ofMask));
  if (parameterCount > 0) {
    parameter = positionOf(ofParameters);
    n = min(n, leftOf(ofParameters));
  }
  const first = mask + (<usize>positionOf(ofMask) << 2);
  counts = f32.load(first) != 0;
  if (mr2 == 1) n = stretch(first, n);
  advance(cursors(), n);
  advance(ofMask, n);
  if (parameterCount > 0) advance(ofParameters, n);
  return n;
}

/** How many values of the mask, of at most n, agree with the first one. */
function stretch(first: usize, n: i32): i32 {
  const end = first + (<usize>n << 2);
  let p = first + 4;
  while (p + 16 <= end && areAlike(v128.load(p))) p += 16;
  while (p < end && (f32.load(p) != 0) == counts) p += 4;
  return <i32>((p - first) >>> 2);
}

/** Whether four values of the mask agree with the run's first one. */
// @ts-ignore: decorator
@inline
function areAlike(values: v128): bool {
  const ones = f32x4.ne(values, zero());
  return counts ? i32x4.all_true(ones) : !v128.any_true(ones);
}

// @ts-ignore: decorator
@inline
function valueAt(values: usize, index: i32): f64 {
  return <f64>f32.load(values + (<usize>index << 2));
}

// @ts-ignore: decorator
@inline
function pairAt(values: usize, index: i32): v128 {
  return f64x2.promote_low_f32x4(v128.load64_zero(values + (<usize>index << 2)));
}

// @ts-ignore: decorator
@inline
function at(table: usize, index: i32): f64 {
  return f64.load(table + (<usize>index << 3));
}

// @ts-ignore: decorator
@inline
function put(table: usize, index: i32, value: f64): void {
  f64.store(table + (<usize>index << 3), value);
}

// @ts-ignore: decorator
@inline
function addAt(table: usize, index: i32, value: f64): void {
  put(table, index, at(table, index) + value);
}

// @ts-ignore: decorator
@inline
function addPair(table: usize, index: i32, values: v128): void {
  const p = table + (<usize>index << 3);
  v128.store(p, f64x2.add(v128.load(p), values));
}

// @ts-ignore: decorator
@inline
function storePair(to: usize, index: i32, values: v128): void {
  v128.store64_lane(to + (<usize>index << 2), f32x4.demote_f64x2_zero(values), 0);
}

/** How many elements of a run that have a statistic each are processed in pairs. */
// @ts-ignore: decorator
@inline
function pairsOf(n: i32): i32 {
  return parameterCount == 0 || pr2 == 1 ? n & -2 : 0;
}

/** Increment of the parameter's index from element to element of a run. */
// @ts-ignore: decorator
@inline
function parameterStep(): i32 {
  return pr2 == 1 ? 1 : 0;
}

function forward(): void {
  if (residual != 0) addRun(x, residual, sum, size);
  const from = residual == 0 ? x : sum;
  if (given) takeStatistics();
  else measure(from);
  startWalk();
  for (let i = 0, n = 0; i < size; i += n) {
    n = takeRun();
    const at = <usize>i << 2;
    if (!counts) memory.fill(y + at, 0, <usize>n << 2);
    else if (r2 == 1) normalizeEach(from + at, y + at, n);
    else if (rootFits(rootAt())) normalizeShared(from + at, y + at, n);
    else normalizeElements(i, n, meanOfRun(), rootAt());
  }
}

// @ts-ignore: decorator
@inline
function meanOfRun(): f64 {
  return at(meansTable(), statistic);
}

// @ts-ignore: decorator
@inline
function rootAt(): f64 {
  return at(rootsTable(), statistic);
}

/** Loads statistics that were given, or stored by the forward pass. */
function takeStatistics(): void {
  for (let s = 0, end = k1 * k2; s < end; s++) {
    put(meansTable(), s, meanAt(s));
    put(rootsTable(), s, rootOf(varianceAt(s)));
  }
}

/** Writes mean and variance; the mean's table holds it without rounding. */
function measure(from: usize): void {
  measureRuns(from, false);
  for (let s = 0, end = k1 * k2; s < end; s++) {
    const spread = at(rootsTable(), s) / max(1, at(countsTable(), s));
    if (mean != 0) f32.store(mean + (<usize>s << 2), <f32>at(meansTable(), s));
    f32.store(variance + (<usize>s << 2), <f32>spread);
    put(rootsTable(), s, rootOf(asStored(spread)));
  }
}

/**
 * The number of unmasked elements, their mean and m2 (in the table of roots), from tables of zeros; `exactly`: all in float64.
 */
function measureRuns(from: usize, exactly: bool): void {
  if (r2 > 1) {
    mergeRuns(from, exactly);
    return;
  }
  if (mean != 0) {
    sumEach(from, false);
    const means = meansTable(), sums = rootsTable();
    for (let s = 0, end = k1 * k2; s < end; s++) put(means, s, at(sums, s) / max(1, at(countsTable(), s)));
    memory.fill(countsTable(), 0, tableBytes());
    memory.fill(sums, 0, tableBytes());
  }
  sumEach(from, true);
}

/** Moments of runs that share a statistic. */
function mergeRuns(from: usize, exactly: bool): void {
  startWalk();
  for (let i = 0, n = 0; i < size; i += n) {
    n = takeRun();
    if (!counts) continue;
    if (exactly) segmentInDoubles(from + (<usize>i << 2), n, mean != 0);
    else segmentMoments(from + (<usize>i << 2), n, mean != 0);
    const s = <usize>statistic << 3;
    mergeInto(meansTable() + s, rootsTable() + s, <i32>at(countsTable(), statistic), n, segmentMean, segmentM2);
    addAt(countsTable(), statistic, <f64>n);
  }
}

/** n, and Σ (x − mean) or Σ (x − mean)², of runs whose elements have a statistic each. */
function sumEach(from: usize, squared: bool): void {
  const means = meansTable(), sums = rootsTable(), numbers = countsTable();
  const one = f64x2.splat(1);
  startWalk();
  for (let i = 0, n = 0; i < size; i += n) {
    n = takeRun();
    if (!counts) continue;
    let j = 0;
    for (; j + 2 <= n; j += 2) {
      const d = f64x2.sub(pairAt(from, i + j), v128.load(means + (<usize>(statistic + j) << 3)));
      addPair(numbers, statistic + j, one);
      addPair(sums, statistic + j, squared ? f64x2.mul(d, d) : d);
    }
    for (; j < n; j++) {
      const s = statistic + j;
      const d = valueAt(from, i + j) - at(means, s);
      addAt(numbers, s, 1);
      addAt(sums, s, squared ? d * d : d);
    }
  }
}

/** For runs that share a statistic. */
function normalizeShared(x: usize, y: usize, n: i32): void {
  const exact = meanOfRun();
  const high = <f32>exact;
  const low = <f32>(exact - <f64>high);
  const rstd = <f32>(1.0 / rootAt());
  const factors: usize = gamma == 0 ? 0 : gamma + (<usize>parameter << 2);
  const shifts: usize = beta == 0 ? 0 : beta + (<usize>parameter << 2);
  if (pr2 == 1) {
    normalizeVector(x, y, n, high, rstd, -low * rstd, factors, shifts);
    return;
  }
  const scale = gamma == 0 ? rstd : rstd * f32.load(factors);
  const shift = beta == 0 ? <f32>0 : f32.load(shifts);
  normalizeRun(x, y, n, high, scale, shift - low * scale);
}

/** For runs whose elements have a statistic each. */
function normalizeEach(x: usize, y: usize, n: i32): void {
  const means = meansTable(), roots = rootsTable(), step = parameterStep();
  let j = pairsOf(n);
  for (let i = 0; i < j; i += 2) {
    const s = <usize>(statistic + i) << 3;
    let value = f64x2.div(f64x2.sub(pairAt(x, i), v128.load(means + s)), v128.load(roots + s));
    if (gamma != 0) value = f64x2.mul(value, pairAt(gamma, parameter + i));
    if (beta != 0) value = f64x2.add(value, pairAt(beta, parameter + i));
    storePair(y, i, value);
  }
  for (let p = parameter + j * step; j < n; j++, p += step) {
    let value = (valueAt(x, j) - at(means, statistic + j)) / at(roots, statistic + j);
    if (gamma != 0) value *= valueAt(gamma, p);
    if (beta != 0) value += valueAt(beta, p);
    f32.store(y + (<usize>j << 2), <f32>value);
  }
}

function backward(): void {
  counted = false;
  takeStatistics();
  if (!given && !storedSuffices()) measureAgain();
  const measured = counted;
  if (!given || parameterCount > 0) sumGradients();
  if (!given && !measured && anyFew()) {
    measureAgain();
    sumGradients();
  }
  startWalk();
  for (let i = 0, n = 0; i < size; i += n) {
    n = takeRun();
    const at = <usize>i << 2;
    if (!counts) {
      if (dSum == 0) memory.fill(dx + at, 0, <usize>n << 2);
      else memory.copy(dx + at, dSum + at, <usize>n << 2);
    } else if (r2 == 1) {
      writeEach(i, n);
    } else if (goesByElement()) {
      writeElements(i, n, meanOfRun(), rootAt(), levelAt(), slopeAt());
    } else {
      writeShared(at, n);
    }
  }
}

// @ts-ignore: decorator
@inline
function levelAt(): f64 {
  return at(levelsTable(), statistic);
}

// @ts-ignore: decorator
@inline
function slopeAt(): f64 {
  return at(slopesTable(), statistic);
}

/** Whether the table of counts is complete. */
let counted: bool = false;

// @ts-ignore: decorator
@inline
function isFew(statistic: i32): bool {
  const number = at(countsTable(), statistic);
  return number > 0 && number <= <f64>FEW;
}

function anyFew(): bool {
  for (let s = 0, end = k1 * k2; s < end; s++) if (isFew(s)) return true;
  return false;
}

/** Whether a run with one statistic is processed element by element. */
function goesByElement(): bool {
  return !rootFits(rootAt()) || (counted && !given && isFew(statistic));
}

/** Whether the statistics that the forward pass stored suffice (precision.ts). */
function storedSuffices(): bool {
  for (let s = 0, end = k1 * k2; s < end; s++) {
    const spread = varianceAt(s);
    if (!fitsFloat32(spread) || isFar(meanAt(s), spread)) return false;
  }
  return true;
}

function measureAgain(): void {
  memory.fill(scratch, 0, 3 * tableBytes());
  measureRuns(x, true);
  for (let s = 0, end = k1 * k2; s < end; s++) put(rootsTable(), s, rootOf(at(rootsTable(), s) / max(1, at(countsTable(), s))));
  counted = true;
}

/** Σ g / n (0 where nothing is centred) and Σ (g·xHat) / n of each statistic, and the gradients of the parameters. */
function sumGradients(): void {
  const slot = gradientsSlot();
  useSums(slot);
  emptySums(0, size);
  memory.fill(levelsTable(), 0, 2 * tableBytes());
  startWalk();
  for (let i = 0, n = 0; i < size; i += n) {
    n = takeRun();
    if (!counts) continue;
    if (r2 == 1) sumEachGradient(i, n);
    else if (goesByElement()) sumByElement(i, n);
    else sumShared(<usize>i << 2, n);
  }
  counted = true;
  storeGradients(slot, <usize>sumsBytes());
  // statistics that were given are constants
  const levels = levelsTable(), slopes = slopesTable();
  for (let s = 0, end = k1 * k2; s < end; s++) {
    const n = max(1, at(countsTable(), s));
    put(levels, s, given || mean == 0 ? 0 : at(levels, s) / n);
    put(slopes, s, given ? 0 : at(slopes, s) / n);
  }
}

function sumByElement(index: i32, n: i32): void {
  if (!counted) addAt(countsTable(), statistic, <f64>n);
  sumElements(index, n, meanOfRun(), rootAt());
  addAt(levelsTable(), statistic, sumOfG);
  addAt(slopesTable(), statistic, sumOfGX);
}

/** For runs that share a statistic. */
function sumShared(offset: usize, n: i32): void {
  const rstd = 1.0 / rootAt();
  const m = meanOfRun();
  const near = isNear(m, varianceAt(statistic));
  if (!counted) addAt(countsTable(), statistic, <f64>n);
  if (parameterCount > 0 && pr2 == 1) {
    const p = <usize>parameter << 2;
    const factors: usize = gamma == 0 ? 0 : gamma + p;
    keepShort(1);
    vectorSums(dy + offset, x + offset, n, m, rstd, near, factors, partialGamma + p, partialBeta + p);
    addAt(levelsTable(), statistic, sumDy);
    addAt(slopesTable(), statistic, sumDyX);
    return;
  }
  runSums(dy + offset, x + offset, n, m, near);
  const slope = sumDyX * rstd;
  const g = parameterCount > 0 ? addToParameter(parameter, sumDy, slope) : 1;
  addAt(levelsTable(), statistic, g * sumDy);
  addAt(slopesTable(), statistic, g * slope);
}

/** For runs whose elements have a statistic each. */
function sumEachGradient(index: i32, n: i32): void {
  const means = meansTable(), levels = levelsTable(), slopes = slopesTable(), roots = rootsTable(), step = parameterStep();
  let j = pairsOf(n);
  for (let i = 0; i < j; i += 2) {
    const s = <usize>(statistic + i) << 3;
    let g = pairAt(dy, index + i);
    const xHat = f64x2.div(f64x2.sub(pairAt(x, index + i), v128.load(means + s)), v128.load(roots + s));
    if (parameterCount > 0) {
      const p = parameter + i;
      addPair(totalBeta, p, g);
      addPair(totalGamma, p, f64x2.mul(g, xHat));
      if (gamma != 0) g = f64x2.mul(g, pairAt(gamma, p));
    }
    if (!counted) addPair(countsTable(), statistic + i, f64x2.splat(1));
    addPair(levels, statistic + i, g);
    addPair(slopes, statistic + i, f64x2.mul(g, xHat));
  }
  for (let p = parameter + j * step; j < n; j++, p += step) {
    const s = statistic + j;
    const u = valueAt(dy, index + j);
    const xHat = (valueAt(x, index + j) - at(means, s)) / at(roots, s);
    const g = parameterCount > 0 ? u * addToParameter(p, u, u * xHat) : u;
    if (!counted) addAt(countsTable(), s, 1);
    addAt(levels, s, g);
    addAt(slopes, s, g * xHat);
  }
}

/** For runs that share a statistic. */
function writeShared(offset: usize, n: i32): void {
  const rstd = 1.0 / rootAt();
  const m = meanOfRun();
  const near = isNear(m, varianceAt(statistic));
  const level = rstd * levelAt();
  const slope = rstd * rstd * slopeAt();
  const u = dy + offset, from = x + offset, to = dx + offset;
  const more: usize = dSum == 0 ? 0 : dSum + offset;
  const factors: usize = gamma == 0 ? 0 : gamma + (<usize>parameter << 2);
  if (gamma != 0 && pr2 == 1) {
    dxVector(u, from, to, n, m, <f32>rstd, slope, level, near, factors, more);
    return;
  }
  const scale = gamma == 0 ? rstd : rstd * <f64>f32.load(factors);
  dxRun(u, from, to, n, m, <f32>scale, slope, level, near, more);
}

/** For runs whose elements have a statistic each. */
function writeEach(index: i32, n: i32): void {
  const means = meansTable(), levels = levelsTable(), slopes = slopesTable(), roots = rootsTable(), step = parameterStep();
  let j = pairsOf(n);
  for (let i = 0; i < j; i += 2) {
    const s = <usize>(statistic + i) << 3;
    const rstd = f64x2.div(f64x2.splat(1), v128.load(roots + s));
    const xHat = f64x2.mul(f64x2.sub(pairAt(x, index + i), v128.load(means + s)), rstd);
    let g = pairAt(dy, index + i);
    if (gamma != 0) g = f64x2.mul(g, pairAt(gamma, parameter + i));
    g = f64x2.sub(f64x2.sub(g, v128.load(levels + s)), f64x2.mul(xHat, v128.load(slopes + s)));
    let value = f64x2.mul(g, rstd);
    if (dSum != 0) value = f64x2.add(value, pairAt(dSum, index + i));
    storePair(dx, index + i, value);
  }
  for (let p = parameter + j * step; j < n; j++, p += step) {
    const s = statistic + j;
    const root = at(roots, s);
    const xHat = (valueAt(x, index + j) - at(means, s)) / root;
    let g = valueAt(dy, index + j);
    if (gamma != 0) g *= valueAt(gamma, p);
    let value = (g - at(levels, s) - xHat * at(slopes, s)) / root;
    if (dSum != 0) value += valueAt(dSum, index + j);
    f32.store(dx + (<usize>(index + j) << 2), <f32>value);
  }
}
