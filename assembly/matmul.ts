/**
 * C = A·B, or C += A·B, for float32 matrices with any transposes.
 *
 * Blocked as in Goto & van de Geijn, "Anatomy of High-Performance Matrix Multiplication" (2008): a block of B
 * (DEPTH × WIDTH) and one of A (HEIGHT × DEPTH) are packed into panels, B by eight columns and A by four rows, and a
 * 4×8 tile of C stays in registers while one panel of each streams past. Packing is where transposes are resolved.
 * Four rows, not six: eight accumulators and their operands fit into the registers of every engine, and it measures
 * the same.
 *
 * Every element of C is summed in order of k within a block and block after block, whatever the sizes of m and n.
 */
import { load, madd, zero } from "./simd";

/** Rows and columns of a tile. */
const TILE_ROWS = 4;
const TILE_COLUMNS = 8;
/** A panel of B, DEPTH × 8, stays in the first-level cache; the blocks of A and B share the second. */
const DEPTH = 256;
const HEIGHT = 128;
const WIDTH = 512;
const A_BYTES: usize = HEIGHT * DEPTH * 4;
const B_BYTES: usize = DEPTH * WIDTH * 4;

/** With fewer panels than this, packing a matrix costs more than it saves. */
const FEW_PANELS = 6;
/** A matrix of up to this many elements stays in cache in whatever order it is read. */
const SMALL: i64 = 1 << 13;

/** Scratch of `matMul` and `multiply`, for any sizes. */
export function matMulScratchBytes(): i32 {
  return <i32>(A_BYTES + B_BYTES);
}

/**
 * c [batch, m, n] = a [batch, m, k] · b [batch, k, n]; where transposed, a is [batch, k, m], b is [batch, n, k].
 * `batchA` and `batchB` are the elements from one matrix to the next, 0 where the same one serves all.
 */
export function matMul(
  a: usize,
  b: usize,
  c: usize,
  scratch: usize,
  batch: i32,
  batchA: i32,
  batchB: i32,
  m: i32,
  n: i32,
  k: i32,
  transposeA: bool,
  transposeB: bool,
): void {
  const rowA = bytes(transposeA ? m : k);
  const rowB = bytes(transposeB ? k : n);
  for (let i = 0; i < batch; i++) {
    multiply(a, rowA, transposeA, b, rowB, transposeB, c, bytes(n), m, n, k, false, scratch);
    a += bytes(batchA);
    b += bytes(batchB);
    c += bytes(m) * <usize>n;
  }
}

/** `matMul` of int32, which wraps around as integers do. */
export function matMulIntegers(
  a: usize,
  b: usize,
  c: usize,
  batch: i32,
  batchA: i32,
  batchB: i32,
  m: i32,
  n: i32,
  k: i32,
  transposeA: bool,
  transposeB: bool,
): void {
  const stepA = bytes(transposeA ? m : 1);
  const rowB = bytes(transposeB ? 1 : n);
  const stepB = bytes(transposeB ? k : 1);
  memory.fill(c, 0, bytes(m) * <usize>n * <usize>batch);
  for (let matrix = 0; matrix < batch; matrix++, a += bytes(batchA), b += bytes(batchB)) {
    for (let i = 0; i < m; i++, c += bytes(n)) {
      for (let p = 0; p < k; p++) {
        const value = i32.load(a + bytes(transposeA ? i : i * k) + stepA * <usize>p);
        let from = b + rowB * <usize>p;
        let j = 0;
        if (!transposeB) {
          const values = i32x4.splat(value);
          for (; j + 4 <= n; j += 4, from += 16) {
            const to = c + bytes(j);
            v128.store(to, i32x4.add(load(to), i32x4.mul(values, load(from))));
          }
        }
        for (; j < n; j++, from += stepB) i32.store(c + bytes(j), i32.load(c + bytes(j)) + value * i32.load(from));
      }
    }
  }
}

/** One product; `rowA`, `rowB` and `rowC` are the bytes from one stored row to the next. */
export function multiply(
  a: usize,
  rowA: usize,
  transposeA: bool,
  b: usize,
  rowB: usize,
  transposeB: bool,
  c: usize,
  rowC: usize,
  m: i32,
  n: i32,
  k: i32,
  accumulate: bool,
  scratch: usize,
): void {
  if (k == 0) {
    if (!accumulate) for (let i = 0; i < m; i++) memory.fill(c + <usize>i * rowC, 0, bytes(n));
    return;
  }
  const small = <i64>k * <i64>max(m, n) <= SMALL;
  const packA = !(transposeA && (small || n <= FEW_PANELS * TILE_COLUMNS));
  const packB = transposeB || !(small || m <= FEW_PANELS * TILE_ROWS);
  const packedA = scratch;
  const packedB = scratch + A_BYTES;
  const stepA = packA ? <usize>(TILE_ROWS * 4) : rowA;
  const depth = evenly(k, DEPTH);
  const height = packA ? HEIGHT : m;
  for (let p = 0; p < k; p += depth) {
    const steps = min(depth, k - p);
    const add = accumulate || p > 0;
    for (let j = 0; j < n; j += WIDTH) {
      const columns = min(WIDTH, n - j);
      const blockB = b + (transposeB ? <usize>j * rowB + bytes(p) : <usize>p * rowB + bytes(j));
      const whole = packB ? 0 : columns & ~(TILE_COLUMNS - 1);
      packColumnPanels(blockB, rowB, transposeB, packedB, whole, columns, steps);
      for (let i = 0; i < m; i += height) {
        const rows = min(height, m - i);
        const blockA = a + (transposeA ? <usize>p * rowA + bytes(i) : <usize>i * rowA + bytes(p));
        if (packA) packRowPanels(blockA, rowA, transposeA, packedA, rows, steps);
        for (let x = 0; x < columns; x += TILE_COLUMNS) {
          const direct = x < whole;
          const panelB = direct ? blockB + bytes(x) : packedB + bytes(x) * <usize>steps;
          const stepB = direct ? rowB : <usize>(TILE_COLUMNS * 4);
          let to = c + <usize>i * rowC + bytes(j + x);
          for (let y = 0; y < rows; y += TILE_ROWS) {
            const panelA = packA ? packedA + bytes(y) * <usize>steps : blockA + bytes(y);
            tileOf(rows - y, panelA, stepA, panelB, stepB, to, rowC, steps, columns - x, add);
            to += rowC * TILE_ROWS;
          }
        }
      }
    }
  }
}

// @ts-ignore: decorator
@inline
export function bytes(elements: i32): usize {
  return <usize>elements << 2;
}

/** The size of equal parts of `total`, none above `most`. */
function evenly(total: i32, most: i32): i32 {
  const parts = (total + most - 1) / most;
  return (total + parts - 1) / parts;
}

/** The rows [rows, steps] of A as panels [steps, 4]. */
function packRowPanels(a: usize, rowA: usize, transposed: bool, to: usize, rows: i32, steps: i32): void {
  for (let y = 0; y < rows; y += TILE_ROWS) {
    const lanes = min(TILE_ROWS, rows - y);
    if (transposed) packLanes(a + bytes(y), rowA, to, TILE_ROWS * 4, lanes, steps);
    else packTransposed(a + <usize>y * rowA, rowA, to, TILE_ROWS * 4, lanes, steps);
    to += bytes(TILE_ROWS) * <usize>steps;
  }
}

/** The columns [steps, from…columns] of B as panels [steps, 8], each at the place of its column number. */
function packColumnPanels(
  b: usize,
  rowB: usize,
  transposed: bool,
  to: usize,
  from: i32,
  columns: i32,
  steps: i32,
): void {
  for (let x = from; x < columns; x += 4) {
    const lanes = min(4, columns - x);
    const panel = to + bytes(x & ~(TILE_COLUMNS - 1)) * <usize>steps + bytes(x & 4);
    if (transposed) packTransposed(b + <usize>x * rowB, rowB, panel, TILE_COLUMNS * 4, lanes, steps);
    else packLanes(b + bytes(x), rowB, panel, TILE_COLUMNS * 4, lanes, steps);
  }
  // the other half of the last panel: its products are not stored, but must not be slow (subnormal) numbers
  if (from < columns && ((columns - 1) & 4) == 0) {
    let half = to + bytes((columns - 1) & ~(TILE_COLUMNS - 1)) * <usize>steps + 16;
    for (let s = 0; s < steps; s++, half += TILE_COLUMNS * 4) v128.store(half, zero());
  }
}

/** `lanes` ≤ 4 neighbours of each of `steps` rows, and zeros after them, every `step` bytes. */
function packLanes(from: usize, row: usize, to: usize, step: usize, lanes: i32, steps: i32): void {
  if (lanes == 4) {
    for (let s = 0; s < steps; s++, from += row, to += step) v128.store(to, load(from));
  } else {
    for (let s = 0; s < steps; s++, from += row, to += step) {
      v128.store(to, zero());
      for (let lane = 0; lane < lanes; lane++) f32.store(to + bytes(lane), f32.load(from + bytes(lane)));
    }
  }
}

/** The same from `lanes` rows of `steps` elements. */
function packTransposed(from: usize, row: usize, to: usize, step: usize, lanes: i32, steps: i32): void {
  let s = 0;
  if (lanes == 4) {
    for (; s + 4 <= steps; s += 4, from += 16) {
      const r0 = load(from);
      const r1 = load(from + row);
      const r2 = load(from + row * 2);
      const r3 = load(from + row * 3);
      const low01 = v128.shuffle<f32>(r0, r1, 0, 4, 1, 5);
      const low23 = v128.shuffle<f32>(r2, r3, 0, 4, 1, 5);
      const high01 = v128.shuffle<f32>(r0, r1, 2, 6, 3, 7);
      const high23 = v128.shuffle<f32>(r2, r3, 2, 6, 3, 7);
      v128.store(to, v128.shuffle<f64>(low01, low23, 0, 2));
      v128.store(to + step, v128.shuffle<f64>(low01, low23, 1, 3));
      v128.store(to + step * 2, v128.shuffle<f64>(high01, high23, 0, 2));
      v128.store(to + step * 3, v128.shuffle<f64>(high01, high23, 1, 3));
      to += step * 4;
    }
  }
  for (; s < steps; s++, from += 4, to += step) {
    v128.store(to, zero());
    for (let lane = 0; lane < lanes; lane++) f32.store(to + bytes(lane), f32.load(from + <usize>lane * row));
  }
}

/** A tile of up to four rows, with a separate loop for each number of rows. */
function tileOf(
  rows: i32,
  a: usize,
  stepA: usize,
  b: usize,
  stepB: usize,
  c: usize,
  rowC: usize,
  steps: i32,
  columns: i32,
  add: bool,
): void {
  if (rows >= 4) tile(4, a, stepA, b, stepB, c, rowC, steps, columns, add);
  else if (rows == 3) tile(3, a, stepA, b, stepB, c, rowC, steps, columns, add);
  else if (rows == 2) tile(2, a, stepA, b, stepB, c, rowC, steps, columns, add);
  else tile(1, a, stepA, b, stepB, c, rowC, steps, columns, add);
}

/** c [rows, columns ≤ 8] from `steps` rows of a panel of A and one of B, `stepA` and `stepB` bytes apart. */
// @ts-ignore: decorator
@inline
function tile(
  rows: i32,
  a: usize,
  stepA: usize,
  b: usize,
  stepB: usize,
  c: usize,
  rowC: usize,
  steps: i32,
  columns: i32,
  add: bool,
): void {
  let low0 = zero();
  let high0 = zero();
  let low1 = zero();
  let high1 = zero();
  let low2 = zero();
  let high2 = zero();
  let low3 = zero();
  let high3 = zero();
  for (let s = 0; s < steps; s++) {
    const low = load(b);
    const high = v128.load(b, 16);
    const a0 = v128.load32_splat(a);
    low0 = madd(a0, low, low0);
    high0 = madd(a0, high, high0);
    if (rows > 1) {
      const a1 = v128.load32_splat(a, 4);
      low1 = madd(a1, low, low1);
      high1 = madd(a1, high, high1);
    }
    if (rows > 2) {
      const a2 = v128.load32_splat(a, 8);
      low2 = madd(a2, low, low2);
      high2 = madd(a2, high, high2);
    }
    if (rows > 3) {
      const a3 = v128.load32_splat(a, 12);
      low3 = madd(a3, low, low3);
      high3 = madd(a3, high, high3);
    }
    a += stepA;
    b += stepB;
  }
  storeRow(c, low0, high0, columns, add);
  if (rows > 1) storeRow(c + rowC, low1, high1, columns, add);
  if (rows > 2) storeRow(c + rowC * 2, low2, high2, columns, add);
  if (rows > 3) storeRow(c + rowC * 3, low3, high3, columns, add);
}

// @ts-ignore: decorator
@inline
function storeRow(c: usize, low: v128, high: v128, columns: i32, add: bool): void {
  if (columns >= TILE_COLUMNS) {
    if (add) {
      low = f32x4.add(load(c), low);
      high = f32x4.add(v128.load(c, 16), high);
    }
    v128.store(c, low);
    v128.store(c, high, 16);
    return;
  }
  for (let x = 0; x < columns; x++, c += 4) {
    const value = f32x4.extract_lane(low, 0);
    f32.store(c, add ? f32.load(c) + value : value);
    if (x == 3) low = high;
    else low = v128.shuffle<f32>(low, low, 1, 2, 3, 0);
  }
}
