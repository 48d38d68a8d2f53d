/**
 * A pass (src/kernels/pass.ts), tile by tile: each step is a loop over a tile of at most 512 elements, which stays in the
 * first-level cache. A tile is some whole rows of the space, or some of one row's elements.
 *
 * What is read lies where it is, if the tile's elements lie side by side there and fill whole vectors; else they are gathered
 * into a buffer of the tile, unless it has them from the tile before. Results likewise: the step that makes a value writes it
 * where it is to go, or into a buffer that is then scattered. Sums are float32 over at most 64 additions, float64 beyond.
 */
import { firstOf } from "./call";
import * as functions from "./functions";
import * as op from "./pass-operations";
import * as words from "../src/kernels/wasm/pass-words";
import { accumulate as addLanes, highLanes, laneSum, lowLanes, madd, zero } from "./simd";

/** The pass in memory. */
let pass: usize = 0;
/** Bytes of an operand in it. */
let operandBytes: usize = 0;
/** The part's share of scratch, where in it slots begin. */
let slots: usize = 0;
let table: usize = 0;
let carries: usize = 0;

// The current tile: so many rows of so many elements from a column on, and whether its rows end with it.
let rows: i32 = 0;
let length: i32 = 0;
let column: usize = 0;
let endsRow: bool = false;
/** Elements of a whole tile's row, bytes of a row of the space, and whether tiles have whole rows. */
let tileLength: i32 = 0;
let rowBytes: usize = 0;
let wholeRows: bool = false;
/** The tile's elements fill pairs of vectors. */
let full: bool = false;

// The state of an operand in a part's scratch: the addresses of the next tile's first row, of this one's, and of the row that its
// buffer holds, or 0.
const FROM: usize = 4;
const FILLED: usize = 8;
const STATE: usize = words.state;

/** Loads the pass at this address. */
export function beginPass(address: usize): void {
  pass = address;
  operandBytes = <usize>words.operand + (<usize>i32.load(pass, words.outerAxes) << 3);
  tileLength = i32.load(pass, words.tileLength);
  rowBytes = <usize>i32.load(pass, words.length) << 2;
  wholeRows = i32.load(pass, words.tilesPerRow) == 1;
}

export function passParts(): i32 {
  return i32.load(pass, words.parts);
}

// @ts-ignore: decorator
@inline
function operands(): usize {
  return pass + words.header + (<usize>i32.load(pass, words.outerAxes) << 2);
}

// @ts-ignore: decorator
@inline
function reductions(): usize {
  return operands() + <usize>(i32.load(pass, words.reads) + i32.load(pass, words.stores)) * operandBytes;
}

export function runPassPart(part: i32): void {
  const p = <usize>i32.load(pass, words.scratch) + <usize>part * <usize>i32.load(pass, words.partBytes);
  slots = p;
  table = p + i32.load(pass, words.tableAt);
  carries = p + i32.load(pass, words.carriesAt);
  functions.tabulate(table);
  const parts = i32.load(pass, words.parts);
  const units = i32.load(pass, words.units);
  const first = firstOf(part, parts, units), last = firstOf(part + 1, parts, units);
  const unitRows = i32.load(pass, words.unitRows);
  const tilesPerRow = i32.load(pass, words.tilesPerRow);
  let row: i32, tile = 0, endRow: i32, endTile = 0;
  if (unitRows == 0) {
    row = first / tilesPerRow;
    tile = first % tilesPerRow;
    endRow = last / tilesPerRow;
    endTile = last % tilesPerRow;
  } else {
    row = first * unitRows;
    endRow = min(last * unitRows, i32.load(pass, words.rows));
  }
  const index = p + i32.load(pass, words.indexAt);
  locate(row, index);
  const states = p + i32.load(pass, words.statesAt);
  const reads = operands();
  const stores = reads + <usize>i32.load(pass, words.reads) * operandBytes;
  const sums = reductions();
  const steps = prepare(p, states, index, part, first, last);
  const readCount = i32.load(pass, words.reads);
  const storeCount = i32.load(pass, words.stores);
  const sumCount = i32.load(pass, words.reductions);
  const rowsPerTile = i32.load(pass, words.rowsPerTile);
  const space = i32.load(pass, words.length);
  while (row < endRow || (row == endRow && tile < endTile)) {
    column = <usize>(tile * tileLength);
    length = min(tileLength, space - <i32>column);
    rows = wholeRows ? min(rowsPerTile, endRow - row) : 1;
    endsRow = tile + 1 == tilesPerRow;
    const count = rows * length;
    full = (count & 7) == 0;
    if (endsRow) advance(index);
    let o = reads, state = states;
    for (let i = 0; i < readCount; i++, o += operandBytes, state += STATE) {
      if (!place(o, state, true)) gather(o, state);
    }
    for (let i = 0; i < storeCount; i++, o += operandBytes, state += STATE) place(o, state, i32.load(o, words.direct) != 0);
    runSteps(steps, <usize>(count + 7 & -8) << 2);
    o = stores;
    state = states + <usize>readCount * STATE;
    for (let i = 0; i < storeCount; i++, o += operandBytes, state += STATE) scatter(o, state);
    for (let i = 0; i < sumCount; i++, o += operandBytes, state += STATE) reduce(o, state);
    if (endsRow) {
      row += rows;
      tile = 0;
    } else tile++;
  }
  let o = sums, state = states + <usize>(readCount + storeCount) * STATE;
  for (let i = 0; i < sumCount; i++, o += operandBytes, state += STATE) {
    if (i32.load(state, FILLED) != 0) flush(o, state, i32.load(state));
    // what no other part adds to is done
    if (i32.load(o, words.apart) != 0) continue;
    const each = i32.load(o, words.outputs) / units;
    write(o, first * each, last * each, 1);
  }
}

/** The index of a row by axes. */
function locate(row: i32, index: usize): void {
  for (let axis = <usize>i32.load(pass, words.outerAxes) << 2; axis > 0; axis -= 4) {
    const length = i32.load(pass + axis, words.header - 4);
    i32.store(index + axis - 4, row % length);
    row /= length;
  }
}

/** For each row of the tile, the axis that advances after it. */
function advance(index: usize): void {
  const last = <usize>i32.load(pass, words.outerAxes) - 1 << 2;
  for (let row: usize = 0; row < <usize>rows << 2; row += 4) {
    let axis = last;
    for (;;) {
      const next = i32.load(index + axis) + 1;
      if (next < i32.load(pass + axis, words.header) || axis == 0) {
        i32.store(index + axis, next);
        break;
      }
      i32.store(index + axis, 0);
      axis -= 4;
    }
    i32.store(carries + row, <i32>axis);
  }
}

/** Places operands at their first row, fills constants, empties accumulators; returns where the steps are. */
function prepare(p: usize, states: usize, index: usize, part: i32, first: i32, last: i32): usize {
  const axes = <usize>i32.load(pass, words.outerAxes) << 2;
  const sums = reductions();
  const end = sums + <usize>i32.load(pass, words.reductions) * operandBytes;
  for (let o = operands(); o < end; o += operandBytes, states += STATE) {
    let base = i32.load(o, words.base);
    for (let axis: usize = 0; axis < axes; axis += 4) base += i32.load(index + axis) * i32.load(o + axis, words.operand);
    if (o >= sums) {
      const apart = i32.load(o, words.apart);
      const each = i32.load(o, words.outputs) / i32.load(pass, words.units);
      empty(o, part * apart, apart == 0 ? first * each : 0, apart == 0 ? last * each : i32.load(o, words.outputs));
      base += part * apart;
      if (i32.load(o, words.inner) != 0) {
        const none: f32 = i32.load(o, words.largest) != 0 ? -Infinity : 0;
        for (let i: usize = 0; i < rowBytes; i += 4) f32.store(p + <usize>i32.load(o, words.window) + i, none);
      }
    }
    i32.store(states, base);
    i32.store(states, 0, FILLED);
  }
  // the slots' buffers, and the constants in theirs
  const slotBytes = <usize>i32.load(pass, words.slots) << 2;
  for (let slot: usize = 0; slot < slotBytes; slot += 4) i32.store(slots + slot, <i32>(p + <usize>i32.load(end + slot)));
  const values = end + slotBytes, valueBytes = <usize>i32.load(pass, words.constants) << 2;
  for (let i: usize = 0; i < valueBytes; i += 4) {
    const buffer = <usize>i32.load(slots + (<usize>i32.load(pass, words.reads) << 2) + i);
    const value = v128.load32_splat(values + i);
    for (let j: usize = 0; j < <usize>words.tile << 2; j += 16) v128.store(buffer + j, value);
  }
  return values + valueBytes;
}

/** What an operand moves by where an axis advances. */
// @ts-ignore: decorator
@inline
function deltasOf(o: usize): usize {
  return o + words.operand + (<usize>i32.load(pass, words.outerAxes) << 2);
}

/** What an operand moves by after a row of the tile. */
// @ts-ignore: decorator
@inline
function delta(o: usize, row: i32): i32 {
  return i32.load(deltasOf(o) + <usize>i32.load(carries + (<usize>row << 2)));
}

/**
 * Moves an operand to the tile. Its slot, if that is asked for, gets the address of the elements, or of its buffer; returns
 * whether they are at that address already.
 */
function place(o: usize, state: usize, sets: bool): bool {
  const base = i32.load(state);
  const inner = i32.load(o, words.inner);
  const isRead = o < operands() + <usize>i32.load(pass, words.reads) * operandBytes;
  i32.store(state, base, FROM);
  let next = base;
  let beside = inner == 4;
  let same = wholeRows || inner == 0;
  if (i32.load(o, words.dense) != 0 && full) {
    if (endsRow) next += rows * <i32>rowBytes;
    same = false;
  } else {
    for (let row = 0; row < rows; row++) {
      if (row + 1 == rows && !endsRow) break;
      const by = delta(o, row);
      next += by;
      if (row + 1 == rows) break;
      beside = beside && by == length << 2;
      same = same && by == 0;
    }
  }
  i32.store(state, next);
  const first = base + <i32>column * inner;
  if (!sets) return false;
  const slot = slots + <usize>i32.load(o, words.slot);
  if (beside && full) {
    i32.store(slot, first);
    return true;
  }
  i32.store(slot, <i32>(slots + <usize>i32.load(o, words.buffer)));
  if (!isRead) return false;
  if (same && i32.load(state, FILLED) == first) return true;
  i32.store(state, same ? first : 0, FILLED);
  return false;
}

/** Copies the tile's elements of an operand into its buffer. */
function gather(o: usize, state: usize): void {
  const inner = <usize>i32.load(o, words.inner);
  let from = <usize>i32.load(state, FROM) + column * inner;
  let to = slots + <usize>i32.load(o, words.buffer);
  if (inner == 0 && (length & 3) == 0 && wholeRows) {
    const deltas = deltasOf(o);
    for (let row = 0; row < rows; row++) {
      const value = v128.load32_splat(from);
      for (const end = to + (<usize>length << 2); to < end; to += 16) v128.store(to, value);
      if (row + 1 < rows) from += i32.load(deltas + <usize>i32.load(carries + (<usize>row << 2)));
    }
    return;
  }
  // a value for a row's tiles fills the longest of them
  const count = inner == 0 && !wholeRows ? tileLength : length;
  for (let row = 0; row < rows; row++, to += <usize>length << 2) {
    copy(from, inner, to, 4, count);
    if (row + 1 < rows) from += delta(o, row);
  }
}

/** Copies the tile's elements to where a store has them, unless they are there. */
function scatter(o: usize, state: usize): void {
  const inner = <usize>i32.load(o, words.inner);
  let to = <usize>i32.load(state, FROM) + column * inner;
  let from = <usize>i32.load(slots + <usize>i32.load(o, words.slot));
  if (from == to) return;
  for (let row = 0; row < rows; row++, from += <usize>length << 2) {
    copy(from, 4, to, inner, length);
    if (row + 1 < rows) to += delta(o, row);
  }
}

function copy(from: usize, by: usize, to: usize, toBy: usize, count: i32): void {
  let i = count;
  if (toBy == 4 && by == 4) {
    for (; i >= 4; i -= 4, from += 16, to += 16) v128.store(to, v128.load(from));
  } else if (toBy == 4 && by == 0) {
    const value = v128.load32_splat(from);
    for (; i >= 4; i -= 4, to += 16) v128.store(to, value);
  }
  for (; i > 0; i--, from += by, to += toBy) f32.store(to, f32.load(from));
}

/** Adds the tile's elements of a value, or of a product, to accumulators, which are float64. */
function reduce(o: usize, state: usize): void {
  const from = <usize>i32.load(slots + <usize>i32.load(o, words.slot));
  const factor = i32.load(o, words.factor);
  const largest = i32.load(o, words.largest);
  if (largest == words.ofSizes) reduceTile(SIZES, o, state, from, from);
  else if (largest != 0) reduceTile(LARGEST, o, state, from, from);
  else if (factor < 0) reduceTile(SUM, o, state, from, from);
  else reduceTile(PRODUCTS, o, state, from, <usize>i32.load(slots + <usize>factor));
}

/** Rows that are added up in float32 alone: 64 additions at most. */
const SHORT = 128;

/** Kinds of reductions. */
const SUM = 0;
const PRODUCTS = 1;
const LARGEST = 2;
/** The largest absolute values, as integers, among which a NaN is larger than ∞. */
const SIZES = 3;

// @ts-ignore: decorator
@inline
function reduceTile(kind: i32, o: usize, state: usize, from: usize, other: usize): void {
  const inner = i32.load(o, words.inner);
  let to = <usize>i32.load(state);
  let row = 0;
  if (kind <= PRODUCTS && inner == 0 && length <= SHORT && (length & 3) == 0) {
    row = kind == SUM ? shortSums(o, to, from) : shortProducts(o, to, from, other);
    to = shortTo;
    from += <usize>(row * length) << 2;
    other += <usize>(row * length) << 2;
  }
  while (row < rows) {
    // rows that go to the same accumulators
    const start = row;
    let by = 0;
    do {
      by = row + 1 < rows || endsRow ? delta(o, row) : 0;
      row++;
    } while (row < rows && by == 0);
    const count = row - start;
    const bytes = <usize>(count * length) << 2;
    if (inner == 0) {
      if (kind == SUM) sumOf(from, bytes, to);
      else if (kind == PRODUCTS) productsOf(from, other, bytes, to);
      else if (kind == LARGEST) largestOf(from, bytes, to);
      else largestSizeOf(from, bytes, to);
    } else {
      const window = slots + <usize>i32.load(o, words.window);
      if (kind == SUM) sumColumns(from, from + bytes, window + (column << 2));
      else if (kind == PRODUCTS) productColumns(from, other, from + bytes, window + (column << 2));
      else if (kind == LARGEST) largestColumns(from, from + bytes, window + (column << 2));
      else largestSizeColumns(from, from + bytes, window + (column << 2));
      // as many additions as rows have ended, or one more
      let additions = i32.load(state, FILLED);
      if (endsRow || additions == 0) i32.store(state, additions += count, FILLED);
      if (by != 0 || additions + i32.load(pass, words.rowsPerTile) > words.tileRows && endsRow) flush(o, state, to);
    }
    from += bytes;
    other += bytes;
    to += by;
  }
  i32.store(state, <i32>to);
}

// @ts-ignore: decorator
@inline
function join(kind: i32, sum: v128, at: usize, other: usize): v128 {
  if (kind == LARGEST) return f32x4.max(sum, v128.load(at));
  if (kind == SIZES) return i32x4.max_s(sum, f32x4.abs(v128.load(at)));
  if (kind == PRODUCTS) return madd(v128.load(at), v128.load(other), sum);
  return f32x4.add(sum, v128.load(at));
}

// @ts-ignore: decorator
@inline
function joinOne(kind: i32, sum: f32, at: usize, other: usize): f32 {
  if (kind == LARGEST) return max(sum, f32.load(at));
  if (kind == SIZES) return max(sum, abs(f32.load(at)));
  if (kind == PRODUCTS) return sum + f32.load(at) * f32.load(other);
  return sum + f32.load(at);
}

/** Where the accumulators of the rows after `shortRows` are. */
let shortTo: usize = 0;

function shortSums(o: usize, to: usize, from: usize): i32 {
  return shortRows(SUM, o, to, from, from);
}

function shortProducts(o: usize, to: usize, from: usize, other: usize): i32 {
  return shortRows(PRODUCTS, o, to, from, other);
}

/** Adds up short rows whose accumulators lie side by side, four at a time; returns how many. */
// @ts-ignore: decorator
@inline
function shortRows(kind: i32, o: usize, to: usize, from: usize, other: usize): i32 {
  const span = <usize>length << 2, deltas = deltasOf(o);
  let row = 0;
  for (; row + 4 <= rows; row += 4) {
    const carry = carries + (<usize>row << 2);
    if (i32.load(deltas + <usize>i32.load(carry)) != 8) break;
    if (i32.load(deltas + <usize>i32.load(carry, 4)) != 8) break;
    if (i32.load(deltas + <usize>i32.load(carry, 8)) != 8) break;
    addLanes(to, fourTotals(kind, from, other - from, span));
    from += span << 2;
    other += span << 2;
    to += 24;
    if (row + 4 < rows || endsRow) to += <usize>i32.load(deltas + <usize>i32.load(carry, 12));
  }
  shortTo = to;
  return row;
}

/** The sums of four rows of so many bytes. */
// @ts-ignore: decorator
@inline
function fourTotals(kind: i32, from: usize, factor: usize, span: usize): v128 {
  let a = zero(), b = a, c = a, d = a;
  for (const end = from + span; from < end; from += 16) {
    let at = from;
    a = join(kind, a, at, at + factor);
    at += span;
    b = join(kind, b, at, at + factor);
    at += span;
    c = join(kind, c, at, at + factor);
    at += span;
    d = join(kind, d, at, at + factor);
  }
  const first = f32x4.add(i32x4.shuffle(a, b, 0, 4, 1, 5), i32x4.shuffle(a, b, 2, 6, 3, 7));
  const second = f32x4.add(i32x4.shuffle(c, d, 0, 4, 1, 5), i32x4.shuffle(c, d, 2, 6, 3, 7));
  return f32x4.add(i32x4.shuffle(first, second, 0, 1, 4, 5), i32x4.shuffle(first, second, 2, 3, 6, 7));
}

// A function each, which leaves it the registers.

function sumOf(from: usize, bytes: usize, to: usize): void {
  totalOf(SUM, from, from, bytes, to);
}

function productsOf(from: usize, other: usize, bytes: usize, to: usize): void {
  totalOf(PRODUCTS, from, other, bytes, to);
}

function largestOf(from: usize, bytes: usize, to: usize): void {
  totalOf(LARGEST, from, from, bytes, to);
}

function largestSizeOf(from: usize, bytes: usize, to: usize): void {
  totalOf(SIZES, from, from, bytes, to);
}

function sumColumns(from: usize, end: usize, to: usize): void {
  columnsOf(SUM, from, from, end, to);
}

function productColumns(from: usize, other: usize, end: usize, to: usize): void {
  columnsOf(PRODUCTS, from, other, end, to);
}

function largestColumns(from: usize, end: usize, to: usize): void {
  columnsOf(LARGEST, from, from, end, to);
}

function largestSizeColumns(from: usize, end: usize, to: usize): void {
  columnsOf(SIZES, from, from, end, to);
}

/** Of at most 512 elements. */
// @ts-ignore: decorator
@inline
function totalOf(kind: i32, from: usize, other: usize, bytes: usize, to: usize): void {
  let a = kind >= LARGEST ? f32x4.splat(-Infinity) : zero();
  let b = a, c = a, d = a;
  let i: usize = 0;
  if (kind == LARGEST) {
    // NaN aside: a maximum that keeps it takes seven instructions
    let none = zero();
    for (; i + 32 <= bytes; i += 32) {
      const first = v128.load(from + i), second = v128.load(from + i, 16);
      a = f32x4.pmax(a, first);
      b = f32x4.pmax(b, second);
      none = v128.or(none, v128.or(f32x4.ne(first, first), f32x4.ne(second, second)));
    }
    c = none;
  }
  for (; i + 64 <= bytes; i += 64) {
    a = join(kind, a, from + i, other + i);
    b = join(kind, b, from + i + 16, other + i + 16);
    c = join(kind, c, from + i + 32, other + i + 32);
    d = join(kind, d, from + i + 48, other + i + 48);
  }
  if (kind != LARGEST && i + 32 <= bytes) {
    a = join(kind, a, from + i, other + i);
    b = join(kind, b, from + i + 16, other + i + 16);
    i += 32;
  }
  let rest: f32 = kind >= LARGEST ? -Infinity : 0;
  for (; i < bytes; i += 4) rest = joinOne(kind, rest, from + i, other + i);
  const before = f64.load(to);
  if (kind >= LARGEST) {
    a = kind == LARGEST ? v128.or(f32x4.max(a, b), c) : i32x4.max_s(i32x4.max_s(a, b), i32x4.max_s(c, d));
    a = f32x4.max(a, i32x4.shuffle(a, a, 2, 3, 0, 1));
    a = f32x4.max(a, i32x4.shuffle(a, a, 1, 0, 3, 2));
    f64.store(to, max(before, <f64>max(rest, f32x4.extract_lane(a, 0))));
  } else f64.store(to, before + (laneSum(f32x4.add(a, b)) + laneSum(f32x4.add(c, d))) + <f64>rest);
}

/** Of each column of the rows up to `end`, to float32. */
// @ts-ignore: decorator
@inline
function columnsOf(kind: i32, from: usize, other: usize, end: usize, to: usize): void {
  const span = <usize>length << 2;
  const factor = other - from;
  const pairs = to + (span & -32), vectors = to + (span & -16), last = to + span;
  for (; to < pairs; to += 32, from += 32) {
    let sum = v128.load(to), next = v128.load(to, 16);
    for (let at = from; at < end; at += span) {
      sum = join(kind, sum, at, at + factor);
      next = join(kind, next, at + 16, at + factor + 16);
    }
    v128.store(to, sum);
    v128.store(to, next, 16);
  }
  for (; to < vectors; to += 16, from += 16) {
    let sum = v128.load(to);
    for (let at = from; at < end; at += span) sum = join(kind, sum, at, at + factor);
    v128.store(to, sum);
  }
  for (; to < last; to += 4, from += 4) {
    let sum = f32.load(to);
    for (let at = from; at < end; at += span) sum = joinOne(kind, sum, at, at + factor);
    f32.store(to, sum);
  }
}

/** Adds the float32 sums of a row's columns to their accumulators, and empties them. */
function flush(o: usize, state: usize, to: usize): void {
  i32.store(state, 0, FILLED);
  const largest = i32.load(o, words.largest) != 0;
  const window = slots + <usize>i32.load(o, words.window);
  const none = largest ? f32x4.splat(-Infinity) : zero();
  let i: usize = 0;
  for (; i + 16 <= rowBytes; i += 16, to += 32) {
    const sum = v128.load(window + i);
    if (largest) {
      v128.store(to, f64x2.max(v128.load(to), lowLanes(sum)));
      v128.store(to, f64x2.max(v128.load(to, 16), highLanes(sum)), 16);
    } else addLanes(to, sum);
    v128.store(window + i, none);
  }
  for (; i < rowBytes; i += 4, to += 8) {
    const before = f64.load(to), sum = <f64>f32.load(window + i);
    f64.store(to, largest ? max(before, sum) : before + sum);
    f32.store(window + i, largest ? -Infinity : 0);
  }
}

/** Of no elements: the accumulators from `first` up to `last`, which lie `apart` bytes from the first part's. */
function empty(o: usize, apart: usize, first: i32, last: i32): void {
  const base = <usize>i32.load(o, words.base) + apart;
  const none: f64 = i32.load(o, words.largest) != 0 ? -Infinity : 0;
  for (let i = first; i < last; i++) f64.store(base + (<usize>i << 3), none);
}

/** Writes the results from `first` up to `last`, over so many parts in their order. */
function write(o: usize, first: i32, last: i32, parts: i32): void {
  const apart = <usize>i32.load(o, words.apart);
  const largest = i32.load(o, words.largest) != 0;
  for (let i = first; i < last; i++) {
    let at = <usize>i32.load(o, words.base) + (<usize>i << 3);
    let total = f64.load(at);
    for (let part = 1; part < parts; part++) {
      at += apart;
      total = largest ? max(total, f64.load(at)) : total + f64.load(at);
    }
    f32.store(<usize>i32.load(o, words.result) + (<usize>i << 2), <f32>total);
  }
}

/** Joins what parts have added up. */
export function joinParts(): void {
  let o = reductions();
  for (let i = i32.load(pass, words.reductions); i > 0; i--, o += operandBytes) {
    if (i32.load(o, words.apart) != 0) write(o, 0, i32.load(o, words.outputs), i32.load(pass, words.parts));
  }
}

// @ts-ignore: decorator
@inline
function ones(holds: v128): v128 {
  return v128.and(holds, f32x4.splat(1));
}

/** An operation of vectors; `operation` is constant at each call site. */
// @ts-ignore: decorator
@inline
function apply(operation: i32, a: v128, b: v128, c: v128): v128 {
  if (operation == op.add) return f32x4.add(a, b);
  if (operation == op.sub) return f32x4.sub(a, b);
  if (operation == op.mul) return f32x4.mul(a, b);
  if (operation == op.div) return f32x4.div(a, b);
  if (operation == op.max) return f32x4.max(a, b);
  if (operation == op.min) return f32x4.min(a, b);
  if (operation == op.greater) return ones(f32x4.gt(a, b));
  if (operation == op.atLeast) return ones(f32x4.ge(a, b));
  if (operation == op.where) return v128.bitselect(b, c, f32x4.ne(a, zero()));
  // rounded twice, as two steps are: a term may be made again in another pass, beside what was measured of it
  if (operation == op.multiplyAdd) return f32x4.add(f32x4.mul(a, b), c);
  if (operation == op.subtractProduct) return f32x4.sub(c, f32x4.mul(a, b));
  if (operation == op.multiplySub) return f32x4.sub(f32x4.mul(a, b), c);
  if (operation == op.multiplyTwice) return f32x4.mul(f32x4.mul(a, b), c);
  if (operation == op.addTwice) return f32x4.add(f32x4.add(a, b), c);
  if (operation == op.addMultiply) return f32x4.mul(f32x4.add(a, b), c);
  if (operation == op.subMultiply) return f32x4.mul(f32x4.sub(a, b), c);
  if (operation == op.subTwice) return f32x4.sub(f32x4.sub(a, b), c);
  if (operation == op.subAdd) return f32x4.add(f32x4.sub(a, b), c);
  if (operation == op.pmax) return f32x4.pmax(a, b);
  if (operation == op.pmin) return f32x4.pmin(a, b);
  if (operation == op.abs) return f32x4.abs(a);
  if (operation == op.sqrt) return f32x4.sqrt(a);
  if (operation == op.root) return functions.root(a);
  return functions.bfloat16(a);
}

// A loop loads no operand that it has no use for: loads are never removed, since they may trap.

// @ts-ignore: decorator
@inline
function loop1(operation: i32, a: usize, to: usize, bytes: usize): void {
  for (const end = to + bytes; to < end; a += 32, to += 32) {
    const first = apply(operation, v128.load(a), zero(), zero());
    const second = apply(operation, v128.load(a, 16), zero(), zero());
    v128.store(to, first);
    v128.store(to, second, 16);
  }
}

// @ts-ignore: decorator
@inline
function loop2(operation: i32, a: usize, b: usize, to: usize, bytes: usize): void {
  for (const end = to + bytes; to < end; a += 32, b += 32, to += 32) {
    const first = apply(operation, v128.load(a), v128.load(b), zero());
    const second = apply(operation, v128.load(a, 16), v128.load(b, 16), zero());
    v128.store(to, first);
    v128.store(to, second, 16);
  }
}

// @ts-ignore: decorator
@inline
function loop3(operation: i32, a: usize, b: usize, c: usize, to: usize, bytes: usize): void {
  for (const end = to + bytes; to < end; a += 32, b += 32, c += 32, to += 32) {
    const first = apply(operation, v128.load(a), v128.load(b), v128.load(c));
    const second = apply(operation, v128.load(a, 16), v128.load(b, 16), v128.load(c, 16));
    v128.store(to, first);
    v128.store(to, second, 16);
  }
}

// @ts-ignore: decorator
@inline
function exp(a: usize, to: usize, bytes: usize): void {
  const t = table;
  for (const end = to + bytes; to < end; a += 32, to += 32) {
    const first = functions.exp(v128.load(a), t);
    const second = functions.exp(v128.load(a, 16), t);
    v128.store(to, first);
    v128.store(to, second, 16);
  }
}

// @ts-ignore: decorator
@inline
function tanh(a: usize, to: usize, bytes: usize): void {
  const t = table;
  for (const end = to + bytes; to < end; a += 32, to += 32) {
    const first = functions.tanh(v128.load(a), t);
    const second = functions.tanh(v128.load(a, 16), t);
    v128.store(to, first);
    v128.store(to, second, 16);
  }
}

function sigmoid(a: usize, to: usize, bytes: usize): void {
  const t = table;
  for (const end = to + bytes; to < end; a += 32, to += 32) {
    const first = functions.sigmoid(v128.load(a), t);
    const second = functions.sigmoid(v128.load(a, 16), t);
    v128.store(to, first);
    v128.store(to, second, 16);
  }
}

// @ts-ignore: decorator
@inline
function erf(a: usize, to: usize, bytes: usize): void {
  const t = table;
  for (const end = to + bytes; to < end; a += 16, to += 16) v128.store(to, functions.erf(v128.load(a), t));
}

function float16(a: usize, to: usize, bytes: usize): void {
  const t = table;
  for (const end = to + bytes; to < end; a += 32, to += 32) {
    const first = functions.float16(v128.load(a), t);
    const second = functions.float16(v128.load(a, 16), t);
    v128.store(to, first);
    v128.store(to, second, 16);
  }
}

/** Runs the steps on the tile's `bytes`, a multiple of 32. */
function runSteps(step: usize, bytes: usize): void {
  const end = step + <usize>i32.load(pass, words.steps) * words.step;
  for (; step < end; step += words.step) {
    const to = <usize>i32.load(slots + <usize>i32.load(step, 4));
    const a = <usize>i32.load(slots + <usize>i32.load(step, 8));
    const b = <usize>i32.load(slots + <usize>i32.load(step, 12));
    const c = <usize>i32.load(slots + <usize>i32.load(step, 16));
    switch (i32.load(step, 0)) {
      case op.add: loop2(op.add, a, b, to, bytes); break;
      case op.sub: loop2(op.sub, a, b, to, bytes); break;
      case op.mul: loop2(op.mul, a, b, to, bytes); break;
      case op.div: loop2(op.div, a, b, to, bytes); break;
      case op.max: loop2(op.max, a, b, to, bytes); break;
      case op.min: loop2(op.min, a, b, to, bytes); break;
      case op.greater: loop2(op.greater, a, b, to, bytes); break;
      case op.atLeast: loop2(op.atLeast, a, b, to, bytes); break;
      case op.where: loop3(op.where, a, b, c, to, bytes); break;
      case op.multiplyAdd: loop3(op.multiplyAdd, a, b, c, to, bytes); break;
      case op.subtractProduct: loop3(op.subtractProduct, a, b, c, to, bytes); break;
      case op.multiplySub: loop3(op.multiplySub, a, b, c, to, bytes); break;
      case op.multiplyTwice: loop3(op.multiplyTwice, a, b, c, to, bytes); break;
      case op.addTwice: loop3(op.addTwice, a, b, c, to, bytes); break;
      case op.addMultiply: loop3(op.addMultiply, a, b, c, to, bytes); break;
      case op.subMultiply: loop3(op.subMultiply, a, b, c, to, bytes); break;
      case op.subTwice: loop3(op.subTwice, a, b, c, to, bytes); break;
      case op.subAdd: loop3(op.subAdd, a, b, c, to, bytes); break;
      case op.pmax: loop2(op.pmax, a, b, to, bytes); break;
      case op.pmin: loop2(op.pmin, a, b, to, bytes); break;
      case op.abs: loop1(op.abs, a, to, bytes); break;
      case op.sqrt: loop1(op.sqrt, a, to, bytes); break;
      case op.root: loop1(op.root, a, to, bytes); break;
      case op.exp: exp(a, to, bytes); break;
      case op.tanh: tanh(a, to, bytes); break;
      case op.sigmoid: sigmoid(a, to, bytes); break;
      case op.erf: erf(a, to, bytes); break;
      case op.float16: float16(a, to, bytes); break;
      case op.bfloat16: loop1(op.bfloat16, a, to, bytes); break;
      default: functions.power(a, to, bytes, f64.load(step, 20), i32.load(step, 16)); break;
    }
  }
}
