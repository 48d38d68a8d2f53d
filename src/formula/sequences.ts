/**
 * What the recurrent layers share: their shapes and masks, their loop over time, the LSTM's step, initial kernels.
 *
 * Axes: x is [batch, time, features], a mask [batch, time]. A masked step leaves the state unchanged, its y is 0, and it contributes to
 * no gradient. Internally time is the first axis, so that a step is a contiguous range of rows.
 */
import { checkShape } from "./checks.js";
import { checkSeed, glorotUniform, onceOf, orthogonal } from "./initializers.js";
import { type Normalization, trained, type Weight } from "./normalization.js";
import type { Ops } from "./ops.js";
import { broadcastMask } from "./terms.js";

/** Options of every recurrent layer and cell. */
export interface RecurrentOptions {
  /** Length of the hidden state, and of y. No default. */
  units?: number;
  /** Default 1e-5; TensorFlow Addons has 1e-3. */
  epsilon?: number;
  /** Seed of the initial kernels, an integer: the same seed and shape give the same values. Default 0; give each layer its own. */
  seed?: number;
}

/** Options of recurrent layers over whole sequences. */
export interface SequenceOptions extends RecurrentOptions {
  /** Whether y is that of every step, [batch, time, units] (default), or the last state alone, [batch, units]. */
  returnSequences?: boolean;
}

export const recurrentDefaults = { units: undefined, epsilon: 1e-5, seed: 0 } as const;

/** @throws TypeError where units are missing, RangeError where they are not an integer of at least `least`. */
export function checkUnits(name: string, units: number | undefined, least: number): number {
  if (units === undefined) {
    throw new TypeError(
      `${name}: units is needed, the length of the hidden state; for example ${name}({ units: 64 })`,
    );
  }
  if (Number.isInteger(units) && units >= least) return units;
  const why = least > 1 ? "; over a single one layer normalization leaves nothing of the input" : "";
  throw new RangeError(`${name}: units must be an integer of at least ${least}, got ${units}${why}`);
}

/** @throws RangeError for a shape that is not [batch, time, features]. */
export function checkSequence(name: string, shape: readonly number[]): void {
  checkShape(name, shape, ["batch", "time", "features"]);
  if (shape.length === 3) return;
  throw new RangeError(
    `${name}: x must be [batch, time, features], got shape [${shape.join(", ")}]; flatten what a step consists of into its features`,
  );
}

/** The shape of y: of every step, or of the last state. */
export function outputsOf(
  [batch, steps]: readonly number[],
  units: number,
  returnSequences: boolean,
): number[][] {
  return [returnSequences ? [batch, steps, units] : [batch, units]];
}

/** A batch of sequences with time as the first axis. */
export interface Sequences<T> {
  readonly batch: number;
  readonly steps: number;
  /** [time·batch, features]; 0 where masked. */
  readonly rows: T;
  /** 1 where a step counts, 0 where not: [time·batch, 1], and as the mask came, [batch, time, 1]. */
  readonly counts?: { readonly rows: T; readonly mask: T };
}

/** Reorders x, and its mask, by time. @throws RangeError for a mask that is not [batch, time] */
export function byTime<T>(ops: Ops<T>, name: string, x: T, mask: T | undefined): Sequences<T> {
  const [batch, steps, features] = ops.shape(x);
  const rowsOf = (array: T, columns: number) =>
    ops.reshape(ops.transpose(array, [1, 0, 2]), [steps * batch, columns]);
  if (mask === undefined) return { batch, steps, rows: rowsOf(x, features) };
  const counted = stepMask(ops, name, mask, [batch, steps, 1]);
  return {
    batch,
    steps,
    rows: rowsOf(ops.where(counted, x, 0), features),
    counts: { rows: rowsOf(counted, 1), mask: counted },
  };
}

/** A mask as ones and zeros of this shape, whose last axis has length 1: a step counts with all of its features, or not at all. */
function stepMask<T>(ops: Ops<T>, name: string, mask: T, shape: readonly number[]): T {
  const lengths = ops.shape(mask);
  if (
    lengths.length > shape.length ||
    lengths.some((length, axis) => length !== 1 && length !== shape[axis])
  ) {
    const axes = shape.length === 3 ? "[batch, time]" : "[batch]";
    throw new RangeError(
      `${name}: mask must be ${axes}, here [${shape.slice(0, -1).join(", ")}], got [${lengths.join(", ")}]; a step counts as a whole`,
    );
  }
  return broadcastMask(ops, mask, shape);
}

/** The state after a step: as it was where the step does not count. */
export function carried<T>(ops: Ops<T>, counts: T | undefined, before: T, after: T): T {
  return counts === undefined ? after : ops.where(counts, after, before);
}

/** One step: from its projected input and the states before it to the states after it. The first state is y. */
type Step<T> = (inputs: readonly T[], states: readonly T[], time: number, counts?: T) => readonly T[];

/** The loop over time: y from the projected inputs, each [time·batch, ...], with states [batch, units] initialized to 0. */
export function unrolled<T>(
  ops: Ops<T>,
  { batch, steps, counts }: Sequences<T>,
  inputs: readonly T[],
  { units, states, returnSequences }: { units: number; states: number; returnSequences: boolean },
  step: Step<T>,
): T {
  const each = inputs.map((rows) => parts(ops, rows, steps));
  const counted = counts && parts(ops, counts.rows, steps);
  const zeros = ops.constant(new Float32Array(batch * units), [batch, units]);
  let before: readonly T[] = new Array<T>(states).fill(zeros);
  const given: T[] = [];
  for (let time = 0; time < steps; time++) {
    const now = counted?.[time];
    const after = step(
      each.map((rows) => rows[time]),
      before,
      time,
      now,
    );
    before = after.map((state, i) => carried(ops, now, before[i], state));
    given.push(before[0]);
  }
  if (!returnSequences) return before[0];
  const y = ops.transpose(ops.reshape(ops.concat(given, 0), [steps, batch, units]), [1, 0, 2]);
  return counts ? ops.where(counts.mask, y, 0) : y;
}

/** The same for steps that do not depend on the time: by the host's own loop, where it has one and all of them count. */
function looped<T>(
  ops: Ops<T>,
  sequences: Sequences<T>,
  inputs: readonly T[],
  options: Parameters<typeof unrolled<T>>[3],
  step: (inputs: readonly T[], states: readonly T[]) => readonly T[],
): T {
  const { batch, steps, counts } = sequences;
  if (!ops.scan || counts) return unrolled(ops, sequences, inputs, options, step);
  const { units, states, returnSequences } = options;
  const zeros = ops.constant(new Float32Array(batch * units), [batch, units]);
  const byStep = inputs.map((rows) => ops.reshape(rows, [steps, batch, ...ops.shape(rows).slice(1)]));
  const { each, last } = ops.scan(byStep, new Array<T>(states).fill(zeros), step);
  return returnSequences ? ops.transpose(each, [1, 0, 2]) : last;
}

/**
 * An array in so many equal parts of its rows. By halves: a slice's gradient is as long as what it was cut from, and cut one
 * by one, their sum would take the square of the time.
 */
export function parts<T>(ops: Ops<T>, x: T, count: number): T[] {
  if (count === 1) return [x];
  const half = count >> 1;
  const rows = ops.shape(x)[0];
  const cut = (rows / count) * half;
  return [
    ...parts(ops, ops.slice(x, 0, 0, cut), half),
    ...parts(ops, ops.slice(x, 0, cut, rows), count - half),
  ];
}

/** Columns n·width up to (n + 1)·width. */
export function columns<T>(ops: Ops<T>, x: T, n: number, width: number): T {
  return ops.slice(x, 1, n * width, (n + 1) * width);
}

/**
 * The LSTM's step from its gates' sums [batch, 4·units], in Keras's order i, f, c, o:
 *
 *     c' = sigmoid(f)·c + sigmoid(i)·tanh(g)        h' = sigmoid(o)·tanh(N(c'))
 */
export function lstmStep<T>(
  ops: Ops<T>,
  sums: T,
  c: T,
  normalizeCell: (cell: T) => T,
): { h: T; cell: T; normalized: T } {
  const units = ops.shape(c)[1];
  // one sigmoid for all four, of which the third goes unused
  const gates = ops.sigmoid(sums);
  const remembered = ops.mul(columns(ops, gates, 1, units), c);
  const added = ops.mul(columns(ops, gates, 0, units), ops.tanh(columns(ops, sums, 2, units)));
  const cell = ops.add(remembered, added);
  const normalized = normalizeCell(cell);
  return { h: ops.mul(columns(ops, gates, 3, units), ops.tanh(normalized)), cell, normalized };
}

/** The LSTM's bias: 1 for the forget gate where `unitForgetBias` is set, else 0. */
export function lstmBias(units: number, unitForgetBias: boolean): Weight {
  if (!unitForgetBias) return trained([4 * units], 0);
  return trained(
    [4 * units],
    onceOf(() => new Float32Array(4 * units).fill(1, units, 2 * units)),
  );
}

/**
 * Initial kernels by the number of features: Glorot uniform for x, rows orthonormal for h, as in Keras. Hosts ask for weights at
 * every call, so each kernel is computed once, when its values are first needed.
 * @throws RangeError for a seed that is not an integer
 */
export function kernelsFor(name: string, units: number, gates: number, seed: number) {
  checkSeed(name, seed);
  const made = new Map<number, { kernel: Weight; recurrentKernel: Weight }>();
  const width = gates * units;
  return (features: number) => {
    let kernels = made.get(features);
    if (!kernels) {
      kernels = {
        kernel: trained(
          [features, width],
          onceOf(() => glorotUniform(features, width, 2 * seed)),
        ),
        recurrentKernel: trained(
          [units, width],
          onceOf(() => orthogonal(units, width, 2 * seed + 1)),
        ),
      };
      made.set(features, kernels);
    }
    return kernels;
  };
}

/** One step of a recurrent layer: `layerOf` loops over it, `cellOf` exposes it alone. */
export interface Cell {
  readonly units: number;
  /** How many states it has; the first is y. */
  readonly states: number;
  weights(features: number): Record<string, Weight>;
  /** Projects the inputs [rows, features] of all steps at once. */
  project<T>(ops: Ops<T>, rows: T, weights: Readonly<Record<string, T>>): T[];
  step<T>(ops: Ops<T>, inputs: readonly T[], states: readonly T[], weights: Readonly<Record<string, T>>): T[];
}

/** The layer that loops over a cell. */
export function layerOf(name: string, cell: Cell, returnSequences: boolean): Omit<Normalization, "name"> {
  const { units, states } = cell;
  return {
    handles: { mask: true },
    weights(shape) {
      checkSequence(name, shape);
      return cell.weights(shape[2]);
    },
    outputs: (shape) => outputsOf(shape, units, returnSequences),
    apply(ops, [x], weights, { mask }) {
      const sequences = byTime(ops, name, x, mask);
      const inputs = cell.project(ops, sequences.rows, weights);
      const y = looped(ops, sequences, inputs, { units, states, returnSequences }, (now, before) =>
        cell.step(ops, now, before, weights),
      );
      return { y };
    },
  };
}

/** The cell alone: x [batch, features] and its states, each [batch, units], to the states after the step. */
export function cellOf(name: string, cell: Cell): Omit<Normalization, "name"> {
  const { units, states } = cell;
  return {
    handles: { mask: true },
    weights(...shapes) {
      const [x, ...others] = shapes;
      checkShape(name, x, ["batch", "features"]);
      const fits = x.length === 2 && others.length === states;
      if (
        !fits ||
        others.some(([batch, length, ...more]) => batch !== x[0] || length !== units || more.length)
      ) {
        const named = ["h", "c"].slice(0, states).map((state) => `${state} [batch, ${units}]`);
        throw new RangeError(
          `${name}: inputs must be x [batch, features], ${named.join(", ")}, got ` +
            `${shapes.map((shape) => `[${shape.join(", ")}]`).join(", ")}; states start as zeros`,
        );
      }
      return cell.weights(x[1]);
    },
    outputs: (_, ...others) => others.map((shape) => [...shape]),
    apply(ops, [x, ...before], weights, { mask }) {
      const counts = mask && stepMask(ops, name, mask, [ops.shape(x)[0], 1]);
      const rows = counts ? ops.where(counts, x, 0) : x;
      const after = cell.step(ops, cell.project(ops, rows, weights), before, weights);
      const [y, ...more] = after.map((state, i) => carried(ops, counts, before[i], state));
      return more.length > 0 ? { y, more } : { y };
    },
  };
}
