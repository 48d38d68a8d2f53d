/**
 * Writes a pass for assembly/pass.ts: its space with neighbouring axes joined, cut into tiles and parts by sizes alone, and a buffer
 * for each value, which others take over once it is not needed.
 */
import { sizeOf } from "../../shape.js";
import type { Pass } from "../pass.js";
import { type LoweredPass, lower, operations } from "./lowering.js";
import * as at from "./pass-words.js";

/** More threads than these gain no memory bandwidth. */
const MOST_PARTS = 8;
/** Additions that are worth a part of their own, some 3 µs; to read or write an array is half of one. */
const PART_WORK = 32768;
/** Elements that a kernel takes at a time: two vectors. */
const PAIR = 8;
/** A cache line. */
const LINE = 64;
/** Bytes of a float64 sum. */
const ACCUMULATOR = 8;

/** A pass as it lies in memory, but for addresses. */
export interface Encoded {
  readonly words: Int32Array;
  /** Bytes of scratch, at the start of which the words are to be. */
  readonly bytes: number;
  /** Which words are to be moved by the address of scratch, of each array that is read, and of each result. */
  readonly scratch: readonly number[];
  readonly reads: readonly number[];
  readonly results: readonly number[];
}

/** An array as the space sees it, in elements. */
interface Operand {
  readonly strides: readonly number[];
  readonly offset: number;
}

export function encode(pass: Pass): Encoded {
  const lowered = lower(pass);
  const { constants, steps } = lowered;
  const results = pass.results.map((result, i) => ({ ...result, i, ...lowered.results[i] }));
  const stores = results.filter(({ reduced }) => !reduced);
  const reductions = results.filter(({ reduced }) => reduced);
  const { lengths, operands } = joinAxes(pass.lengths, [
    ...pass.reads,
    ...stores,
    ...reductions.map(({ strides, offset }) => ({ strides: denseStrides(pass.lengths, strides), offset })),
  ]);
  const axes = lengths.length - 1;
  const work = steps.reduce((total, { operation }) => total + operations[operation], operands.length / 2);
  const sums = operands.slice(pass.reads.length + stores.length).map(({ strides }) => strides);
  const { shared, ...cut } = cutSpace(lengths, sums, work);

  // a part's share of scratch
  const buffers = buffersOf(lowered, pass.reads.length);
  const statesAt = buffers.length * 4;
  const indexAt = statesAt + operands.length * at.state;
  const carriesAt = indexAt + axes * 4;
  const tableAt = carriesAt + at.tileRows * 4;
  const buffersAt = lines(tableAt + at.table);
  const tileBytes = at.tile * 4;
  const windowsAt = buffersAt + (Math.max(-1, ...buffers) + 1) * tileBytes;
  const windowBytes = lines(lengths[axes] * 4);
  const partBytes = windowsAt + reductions.length * windowBytes;
  const slots = buffers.map((buffer) => buffersAt + buffer * tileBytes);

  // in the order of pass-words.ts, as all that follows
  const words = [
    at.kind,
    cut.parts,
    cut.rows,
    lengths[axes],
    cut.rowsPerTile,
    cut.tileLength,
    cut.tilesPerRow,
    cut.units,
    cut.unitRows,
    axes,
    pass.reads.length,
    stores.length,
    reductions.length,
    slots.length,
    constants.length,
    steps.length,
    0,
    partBytes,
    statesAt,
    indexAt,
    carriesAt,
    tableAt,
    ...lengths.slice(0, -1),
  ];
  const dense = denseStrides(lengths, lengths);
  const given = pass.reads.length + constants.length;
  const values = [...pass.reads.keys(), ...[...stores, ...reductions].map(({ value }) => value)];
  const starts = operands.map(({ strides, offset }, i) => {
    const start = words.length;
    const value = values[i];
    const reduction = i - pass.reads.length - stores.length;
    const outputs = outputsOf(lengths, strides);
    const unit = reduction < 0 ? 4 : ACCUMULATOR;
    const isDense = strides.every((stride, axis) => stride === dense[axis] || lengths[axis] === 1);
    words.push(reduction < 0 ? offset * 4 : 0, strides[axes] * unit, isDense ? 1 : 0, value * 4);
    if (reduction < 0) {
      // only the first store of what a step makes
      const isDirect = value >= given && values.indexOf(value, pass.reads.length) === i;
      words.push(slots[value], isDirect ? 1 : 0, 0, 0, 0, 0);
    } else {
      const { offset, reduced, factor, sizes } = reductions[reduction];
      const largest = reduced === "largest" ? (sizes ? at.ofSizes : 1) : 0;
      words.push(windowsAt + reduction * windowBytes, offset * 4, outputs, largest);
      words.push(
        shared[reduction] ? 0 : lines(outputs * ACCUMULATOR),
        factor === undefined ? -1 : factor * 4,
      );
    }
    const outer = strides.slice(0, -1);
    // the axes within begin anew
    const back = outer.map((stride, axis) => stride * (lengths[axis] - 1));
    words.push(...outer.map((stride) => stride * unit));
    words.push(...outer.map((stride, axis) => (stride - sum(back.slice(axis + 1))) * unit));
    return start;
  });
  words.push(...slots, ...new Int32Array(Float32Array.from(constants).buffer));
  const numbers = Object.keys(operations);
  steps.forEach(({ operation, of, parameter }, i) => {
    const [a, b = 0, c = 0] = of.map((value) => value * 4);
    words.push(numbers.indexOf(operation), (given + i) * 4, a, b);
    if (parameter === undefined) words.push(c, 0, 0);
    else words.push(kindOf(parameter), ...new Int32Array(Float64Array.of(parameter).buffer));
  });

  // all of scratch: the words, parts' shares, accumulators
  const scratch = [at.scratch / 4];
  const sharesAt = lines(words.length * 4);
  words[at.scratch / 4] = sharesAt;
  let bytes = sharesAt + cut.parts * partBytes;
  const sumStarts = starts.slice(pass.reads.length + stores.length);
  for (const start of sumStarts) {
    scratch.push(start);
    words[start] = bytes;
    bytes +=
      lines(words[start + at.outputs / 4] * ACCUMULATOR) * (words[start + at.apart / 4] ? cut.parts : 1);
  }
  const places = new Array<number>(results.length);
  stores.forEach(({ i }, k) => {
    places[i] = starts[pass.reads.length + k];
  });
  reductions.forEach(({ i }, k) => {
    places[i] = sumStarts[k] + at.result / 4;
  });
  return {
    words: Int32Array.from(words),
    bytes,
    scratch,
    reads: starts.slice(0, pass.reads.length),
    results: places,
  };
}

const upTo = (multiple: number, value: number) => Math.ceil(value / multiple) * multiple;

/** Bytes up to the end of a cache line. */
const lines = (bytes: number) => upTo(LINE, bytes);

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);

const outputsOf = (lengths: readonly number[], strides: readonly number[]) =>
  sizeOf(lengths.filter((_, axis) => strides[axis] !== 0));

/** Strides of a dense array of the axes whose stride is not 0. */
function denseStrides(lengths: readonly number[], strides: readonly number[]): number[] {
  return strides.map((stride, axis) =>
    stride === 0 ? 0 : outputsOf(lengths.slice(axis + 1), strides.slice(axis + 1)),
  );
}

/** Joins neighbouring axes wherever each operand has them as one, and drops those of length 1; at least two are left. */
function joinAxes(
  from: readonly number[],
  seen: readonly Operand[],
): { lengths: number[]; operands: Operand[] } {
  const lengths: number[] = [];
  const strides: number[][] = seen.map(() => []);
  const push = (length: number, of: (operand: Operand) => number) => {
    lengths.push(length);
    seen.forEach((operand, i) => {
      strides[i].push(of(operand));
    });
  };
  from.forEach((length, axis) => {
    if (length === 1) return;
    const last = lengths.length - 1;
    const joins =
      last >= 0 && seen.every((operand, i) => strides[i][last] === operand.strides[axis] * length);
    if (joins) {
      lengths[last] *= length;
      seen.forEach((operand, i) => {
        strides[i][last] = operand.strides[axis];
      });
    } else push(length, (operand) => operand.strides[axis]);
  });
  while (lengths.length < 2) {
    lengths.unshift(1);
    for (const one of strides) one.unshift(0);
  }
  return { lengths, operands: seen.map(({ offset }, i) => ({ strides: strides[i], offset })) };
}

interface Cut {
  readonly parts: number;
  readonly rows: number;
  readonly rowsPerTile: number;
  readonly tileLength: number;
  readonly tilesPerRow: number;
  readonly units: number;
  readonly unitRows: number;
  /** Of each reduction: whether no two parts add to one result. */
  readonly shared: readonly boolean[];
}

/** `work` is per element; `sums` are the strides of reductions. */
function cutSpace(lengths: readonly number[], sums: readonly (readonly number[])[], work: number): Cut {
  const length = lengths[lengths.length - 1];
  const size = sizeOf(lengths);
  const rows = size / length;
  const tileLength = length <= at.tile ? length : upTo(PAIR, length / Math.ceil(length / at.tile));
  const tilesPerRow = Math.ceil(length / tileLength);
  const rowsPerTile = tilesPerRow > 1 ? 1 : rowsOf(length, rows, lengths[lengths.length - 2]);
  const worth = Math.max(1, Math.min(MOST_PARTS, Math.floor((size * work) / PART_WORK)));

  // parts by the outermost axis have results of their own where that is kept
  const kept = sums.map((strides) => strides[0] !== 0);
  const byOutermost = kept.includes(true) && lengths[0] * 2 >= worth;
  const shared = kept.map((keeps) => byOutermost && keeps);
  const unitRows = byOutermost ? rows / lengths[0] : tilesPerRow > 1 ? 0 : rowsPerTile;
  const units = unitRows === 0 ? rows * tilesPerRow : Math.ceil(rows / unitRows);
  // accumulators of all parts take half as much memory as an array at most
  const room = sums.map((strides, i) =>
    shared[i] ? worth : Math.floor(size / 4 / outputsOf(lengths, strides)),
  );
  const parts = Math.max(1, Math.min(worth, units, ...room));
  return { parts, rows, rowsPerTile, tileLength, tilesPerRow, units, unitRows, shared };
}

/**
 * Rows of a tile of whole ones, which are best whole pairs of vectors, and lie side by side in what has these axes as one: as many as
 * divide the axis around them.
 */
function rowsOf(length: number, rows: number, around: number): number {
  const most = Math.min(Math.floor(at.tile / length), at.tileRows, rows);
  const counts = Array.from({ length: Math.ceil(most / 2) }, (_, i) => most - i);
  const paired = counts.filter((count) => (count * length) % PAIR === 0);
  return paired.find((count) => around % count === 0) ?? paired[0] ?? most;
}

/** The buffer of each value: those of what is read and of constants, and of what results need, stay theirs. */
function buffersOf({ constants, steps, results }: LoweredPass, reads: number): number[] {
  const given = reads + constants.length;
  const buffers = Array.from({ length: given }, (_, i) => i);
  const last = new Map<number, number>();
  steps.forEach(({ of }, i) => {
    for (const value of of) last.set(value, i);
  });
  for (const { value, factor } of results) {
    last.delete(value);
    if (factor !== undefined) last.delete(factor);
  }
  const free: number[] = [];
  let count = given;
  steps.forEach(({ of }, i) => {
    for (const value of new Set(of)) if (value >= given && last.get(value) === i) free.push(buffers[value]);
    buffers.push(free.pop() ?? count++);
  });
  return buffers;
}

function kindOf(exponent: number): number {
  if (exponent % 2 === 0 || Math.abs(exponent) === Number.POSITIVE_INFINITY) return at.even;
  return Number.isInteger(exponent) ? at.odd : at.fraction;
}
