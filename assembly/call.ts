/**
 * The current call: its arguments, read from where the host wrote them in memory, so that every thread's instance has the same,
 * and how its work is split into parts.
 *
 * The parts depend on the sizes alone, never on the number of threads, so that results do not either. Either each part is a range
 * of whole blocks (a block is [r1, k2, r2] with k2 statistics), or, where blocks are few and large, each block is split into
 * pieces: of its r1 rows or, where it is a single segment, of that.
 */
import * as words from "../src/kernels/wasm/call-words";
import { asColumns, k1, k2, pk1, pk2, pr2, r1, r2, repeatsByRow, setMaskView, setViews } from "./views";

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
/** One value per kept position of its own view; where it is 0, an element is masked (`masked.ts`). */
export let mask: usize = 0;
export let scratch: usize = 0;
/** How arrays of the shape of x are stored: 0 float32; else as half.ts says, and these addresses are those of its windows. */
export let storage: i32 = 0;
/** Statistics are given with the call, as constants. */
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

/** Bytes of x that are worth a part of their own: with twice as many, two threads take 3.2 µs, one takes 5.4 µs. */
const PART_BYTES = 49152;
/** More threads than these gain no memory bandwidth. */
const MOST_PARTS = 8;
/** Rows that are worth column sums of their own. */
const PIECE_ROWS = 32;

// @ts-ignore: decorator
@inline
function word<T>(call: usize, at: i32): T {
  return load<T>(call + (<usize>at << 2));
}

/** Reads the arguments from where the host wrote them. */
export function begin(call: usize): void {
  isBackward = word<i32>(call, words.backward) != 0;
  x = word<usize>(call, words.x);
  y = word<usize>(call, words.y);
  dy = word<usize>(call, words.dy);
  dx = word<usize>(call, words.dx);
  gamma = word<usize>(call, words.gamma);
  beta = word<usize>(call, words.beta);
  mean = word<usize>(call, words.mean);
  variance = word<usize>(call, words.variance);
  dGamma = word<usize>(call, words.dGamma);
  dBeta = word<usize>(call, words.dBeta);
  residual = word<usize>(call, words.residual);
  sum = word<usize>(call, words.sum);
  dSum = word<usize>(call, words.dSum);
  scratch = word<usize>(call, words.scratch);
  storage = word<i32>(call, words.storage);
  given = word<i32>(call, words.given) != 0;
  setViews(
    word<i32>(call, words.k1), word<i32>(call, words.r1), word<i32>(call, words.k2), word<i32>(call, words.r2),
    word<i32>(call, words.pk1), word<i32>(call, words.pr1), word<i32>(call, words.pk2), word<i32>(call, words.pr2),
  );
  mask = word<usize>(call, words.mask);
  setMaskView(word<i32>(call, words.mr1), word<i32>(call, words.mk2), word<i32>(call, words.mr2));
  epsilon = word<f64>(call, words.epsilon);
  blockSize = r1 * k2 * r2;
  size = k1 * blockSize;
  const plain = gamma == 0 && beta == 0 && dGamma == 0 && dBeta == 0;
  parameterCount = plain ? 0 : pk1 * pk2;
  cut();
}

/** Puts windows (half.ts) where the call has arrays; results are written through those of x and dy. */
export function setWindows(ofX: usize, ofDy: usize, ofDSum: usize): void {
  x = ofX;
  y = ofX;
  dy = ofDy;
  dx = ofDy;
  dSum = ofDSum;
  residual = 0;
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
    // 14 at most: a ticket of src/kernels/wasm/tickets.ts holds 15
    parts = k1 * pieces;
    return;
  }
  pieces = 0;
  parts = max(1, min(most, k1));
}

/** Whether the elements of a run have a parameter each; else many elements share one. */
// @ts-ignore: decorator
@inline
export function hasVectors(): bool {
  return pr2 == 1 && !asColumns(k2, r2);
}

/** Whether each parameter applies to one element only, in runs. */
// @ts-ignore: decorator
@inline
export function isDirect(): bool {
  return parameterCount == size && hasVectors();
}

/** Whether every row of columns has the same parameters, or none. */
// @ts-ignore: decorator
@inline
export function columnsRepeat(): bool {
  return parameterCount == 0 || repeatsByRow();
}

/** The first of `count` items that belongs to part `i` of `shares`. */
// @ts-ignore: decorator
@inline
export function firstOf(i: i32, shares: i32, count: i32): i32 {
  return <i32>((<i64>i * <i64>count) / <i64>shares);
}

// Results of `piece`: the piece's first element in its block, the number of its rows of segments, and their length.
export let pieceFrom: i32 = 0;
export let pieceRows: i32 = 0;
export let pieceLength: i32 = 0;

/** Piece `i` of `count` of a block. */
export function piece(i: i32, count: i32): void {
  if (r1 == 1 && count > 1) {
    // aligned to cache lines
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
