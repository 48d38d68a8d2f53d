/**
 * The call in progress: its arguments as the host laid them out in memory, so that every thread's instance reads the same,
 * and how its work is cut into parts.
 *
 * The parts follow from the sizes alone, never from the number of threads, so that results do not depend on it. Either
 * each part is a range of whole blocks (a block is [r1, k2, r2] with k2 statistics), or, where blocks are few and large, each
 * block is split into pieces: of its r1 rows, or, where it is one single segment, of that.
 */
import { asColumns, k1, k2, pr2, r1, r2, repeatsByRow, setMaskView, setViews } from "./views";

// Addresses in bytes; 0 stands for an absent array.
export let isBackward: bool = false;
export let x: usize = 0;
export let y: usize = 0;
export let dy: usize = 0;
export let dx: usize = 0;
export let gamma: usize = 0;
export let beta: usize = 0;
export let mean: usize = 0;
export let variance: usize = 0;
export let dGamma: usize = 0;
export let dBeta: usize = 0;
export let residual: usize = 0;
export let sum: usize = 0;
export let dSum: usize = 0;
/** One value per kept position of its own view; where it is 0, an element counts nowhere (`masked.ts`). */
export let mask: usize = 0;
export let scratch: usize = 0;
/** Statistics come with the call, and are constants. */
export let given: bool = false;
export let epsilon: f64 = 0;

/** Elements of one block, and of the whole array. */
export let blockSize: i32 = 0;
export let size: i32 = 0;
/** Elements per parameter array. */
export let parameterCount: i32 = 0;
export let parts: i32 = 0;
/** Pieces that each block is split into; 0 where parts are whole blocks. */
export let pieces: i32 = 0;

/** Bytes of x that are worth a part of their own: with twice as many, two threads take 3.2 instead of 5.4 µs. */
const PART_BYTES = 49152;
/** More threads than these find no more memory bandwidth. */
const MOST_PARTS = 8;
/** Rows of columns that are worth sums of their own. */
const PIECE_ROWS = 32;

/** Takes the arguments from where the host wrote them (src/kernels/wasm/wasm.ts, in the same order). */
export function begin(call: usize): void {
  isBackward = load<i32>(call) != 0;
  x = load<usize>(call, 4);
  y = load<usize>(call, 8);
  dy = load<usize>(call, 12);
  dx = load<usize>(call, 16);
  gamma = load<usize>(call, 20);
  beta = load<usize>(call, 24);
  mean = load<usize>(call, 28);
  variance = load<usize>(call, 32);
  dGamma = load<usize>(call, 36);
  dBeta = load<usize>(call, 40);
  residual = load<usize>(call, 44);
  sum = load<usize>(call, 48);
  dSum = load<usize>(call, 52);
  scratch = load<usize>(call, 56);
  given = load<i32>(call, 60) != 0;
  setViews(
    load<i32>(call, 64), load<i32>(call, 68), load<i32>(call, 72), load<i32>(call, 76),
    load<i32>(call, 80), load<i32>(call, 84), load<i32>(call, 88), load<i32>(call, 92),
  );
  mask = load<usize>(call, 96);
  setMaskView(load<i32>(call, 100), load<i32>(call, 104), load<i32>(call, 108));
  epsilon = load<f64>(call, 112);
  blockSize = r1 * k2 * r2;
  size = k1 * blockSize;
  const plain = gamma == 0 && beta == 0 && dGamma == 0 && dBeta == 0;
  parameterCount = plain ? 0 : load<i32>(call, 80) * load<i32>(call, 88);
  if (mask == 0) {
    cut();
    return;
  }
  parts = 1;
  pieces = 0;
}

function cut(): void {
  let most = min(MOST_PARTS, size / (PART_BYTES / 4));
  // each part of a backward pass has parameter gradients of its own (24 bytes per parameter): half of x at most
  if (isBackward && parameterCount > 0 && !isDirect()) most = min(most, size / (12 * parameterCount));
  most = max(1, most);
  pieces = k1 > 0 && most > k1 ? (most + k1 - 1) / k1 : 0;
  // sums of columns cost as much as some rows
  if (r1 > 1) pieces = min(pieces, asColumns(k2, r2) ? r1 / PIECE_ROWS : r1);
  else if (k2 > 1) pieces = 0;
  if (pieces > 1) {
    // 14 at most: a ticket of src/kernels/wasm/pool.ts holds 15
    parts = k1 * pieces;
    return;
  }
  pieces = 0;
  parts = max(1, min(most, k1));
}

/** Whether runs of elements have a parameter each; else many elements share one. */
// @ts-ignore: decorator
@inline
export function hasVectors(): bool {
  return pr2 == 1 && !asColumns(k2, r2);
}

/** Whether each parameter meets one element only, in runs. */
// @ts-ignore: decorator
@inline
export function isDirect(): bool {
  return parameterCount == size && hasVectors();
}

/** Whether every row of columns meets the same parameters, or none. */
// @ts-ignore: decorator
@inline
export function columnsRepeat(): bool {
  return parameterCount == 0 || repeatsByRow();
}

/** The first of `count` that belongs to share `i` of `shares`. */
// @ts-ignore: decorator
@inline
export function firstOf(i: i32, shares: i32, count: i32): i32 {
  return <i32>((<i64>i * <i64>count) / <i64>shares);
}

// What `piece` found: the piece's first element in its block, how many rows of segments it has, and how long they are.
export let pieceFrom: i32 = 0;
export let pieceRows: i32 = 0;
export let pieceLength: i32 = 0;

/** Piece `i` of `count` of a block. */
export function piece(i: i32, count: i32): void {
  if (r1 == 1 && count > 1) {
    // on a cache line's border
    pieceFrom = firstOf(i, count, r2) & -16;
    pieceRows = 1;
    pieceLength = (i + 1 == count ? r2 : firstOf(i + 1, count, r2) & -16) - pieceFrom;
    return;
  }
  const first = firstOf(i, count, r1);
  pieceFrom = first * k2 * r2;
  pieceRows = firstOf(i + 1, count, r1) - first;
  pieceLength = r2;
}
