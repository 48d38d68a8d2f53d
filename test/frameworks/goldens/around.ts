/**
 * What stands around a normalization in the frameworks' cases: linear layers, convolutions, activations, attention. None of
 * it is Evenkeel's; it is written in the same operations, so that a whole case runs, and is differentiated, in one call.
 */
import { type ApplyOptions, buffer, trained } from "../../../src/formula/normalization.js";
import { run } from "../../../src/formula/run.js";
import type { ApplyResult, Normalization, Operand, Ops, Weight } from "../../../src/index.js";
import type { Case, Mapped } from "./golden.js";

export type Named<T> = Readonly<Record<string, T>>;

/** Weights have the framework's names and shapes. */
type Formula = <T>(
  ops: Ops<T>,
  inputs: readonly T[],
  weights: Named<T>,
  options: ApplyOptions<T>,
) => ApplyResult<T>;

/** A formula around a normalization; the case's weights are trained, but for those that are kept. */
export function around(
  c: Case,
  formula: Formula,
  keeps: Named<Weight> = {},
): Pick<Mapped, "norm" | "weights"> {
  const names = Object.keys(c.weights ?? {});
  const weights: Record<string, Weight> = { ...keeps };
  for (const name of names) if (!(name in keeps)) weights[name] = trained(c.weights?.[name].shape ?? [], 0);
  const norm: Normalization = { name: c.of, handles: { mask: true }, weights: () => weights, apply: formula };
  return { norm, weights: Object.fromEntries(Object.keys(weights).map((name) => [name, name])) };
}

/** State of these names, as it is at first. */
export const state = (names: readonly string[], length: number, initial = 0) =>
  Object.fromEntries(names.map((name) => [name, buffer([length], initial)]));

/** A normalization in a formula: its own names of weights by the framework's. */
export function part(norm: Normalization, names: Named<string>) {
  return <T>(ops: Ops<T>, inputs: readonly T[], weights: Named<T>, options: ApplyOptions<T>) => {
    const specified = norm.weights(...inputs.map((x) => ops.shape(x)));
    const own: Record<string, T> = {};
    for (const [ours, { shape, initial, trained }] of Object.entries(specified)) {
      const given = weights[names[ours] ?? ours];
      if (given !== undefined) own[ours] = ops.reshape(given, shape);
      else if (!trained && typeof initial === "number") own[ours] = filled(ops, shape, initial);
      else throw new Error(`${norm.name}: nothing is given for ${ours}`);
    }
    const ran = run(ops, norm, inputs, own, options);
    const after = Object.entries(ran.state ?? {}).map(([ours, array]) => [names[ours] ?? ours, array]);
    return { ...ran, state: Object.fromEntries(after) as Record<string, T> };
  };
}

export function filled<T>(ops: Ops<T>, shape: readonly number[], value: number): T {
  return ops.constant(new Float64Array(shape.reduce((a, b) => a * b, 1)).fill(value), shape);
}

export const relu = <T>(ops: Ops<T>, x: T): T => ops.max(x, 0);

/** A layer of theirs that has a weight: y from x, its weight and bias. */
export type Layer = <T>(ops: Ops<T>, x: T, kernel: T, bias?: T) => T;

/** x [rows, in], kernel [in, out]. */
const dense: Layer = (ops, x, kernel, bias) => plus(ops, ops.matMul(x, kernel), bias);

/** PyTorch's: kernel [out, in]. */
export const linear: Layer = (ops, x, kernel, bias) => dense(ops, x, ops.transpose(kernel, [1, 0]), bias);

/** x [batch, height, width, in], kernel [kernel height, kernel width, in, out], without padding. */
const convolution: Layer = (ops, x, kernel, bias) => {
  const [batch, height, width, channels] = ops.shape(x);
  const [tall, wide, , out] = ops.shape(kernel);
  const [rows, columns] = [height - tall + 1, width - wide + 1];
  let y: typeof x | undefined;
  for (let i = 0; i < tall; i++) {
    for (let j = 0; j < wide; j++) {
      const seen = ops.slice(ops.slice(x, 1, i, i + rows), 2, j, j + columns);
      const weight = ops.slice(ops.slice(kernel, 0, i, i + 1), 1, j, j + 1);
      const term = ops.matMul(
        ops.reshape(seen, [batch * rows * columns, channels]),
        ops.reshape(weight, [channels, out]),
      );
      y = y === undefined ? term : ops.add(y, term);
    }
  }
  if (y === undefined) throw new Error("a kernel has places");
  return ops.reshape(plus(ops, y, bias), [batch, rows, columns, out]);
};

/** PyTorch's: x [batch, in, height, width], kernel [out, in, kernel height, kernel width]. */
export const convolutionFirst: Layer = (ops, x, kernel, bias) => {
  const y = convolution(ops, ops.transpose(x, [0, 2, 3, 1]), ops.transpose(kernel, [2, 3, 1, 0]), bias);
  return ops.transpose(y, [0, 3, 1, 2]);
};

/** PyTorch's ConvTranspose1d: x [batch, in, time], kernel [in, out, places]. */
const transposedConvolution: Layer = (ops, x, kernel, bias) => {
  const [batch, channels, time] = ops.shape(x);
  const [, out, places] = ops.shape(kernel);
  const rows = ops.reshape(ops.transpose(x, [0, 2, 1]), [batch * time, channels]);
  let y: Operand<typeof x> = 0;
  for (let place = 0; place < places; place++) {
    const weight = ops.reshape(ops.slice(kernel, 2, place, place + 1), [channels, out]);
    const term = ops.reshape(ops.matMul(rows, weight), [batch, time, out]);
    const before = filled(ops, [batch, place, out], 0);
    const after = filled(ops, [batch, places - 1 - place, out], 0);
    const parts = [...(place > 0 ? [before] : []), term, ...(place < places - 1 ? [after] : [])];
    y = ops.add(y, ops.concat(parts, 1));
  }
  return ops.transpose(plus(ops, y as typeof x, bias), [0, 2, 1]);
};

function plus<T>(ops: Ops<T>, y: T, bias: T | undefined): T {
  return bias === undefined ? y : ops.add(y, bias);
}

/** By how it is written in the cases. */
export function layerOf(written: unknown): Layer {
  const all: [RegExp, Layer][] = [
    [/^nn\.Linear/, linear],
    [/^nn\.Conv2d/, convolutionFirst],
    [/^nn\.ConvTranspose1d/, transposedConvolution],
    [/^(Dense|Linear)/, dense],
    [/^Conv/, convolution],
  ];
  const found = all.find(([pattern]) => pattern.test(String(written)));
  if (!found) throw new Error(`no layer is written ${written}`);
  return found[1];
}

/** Dot products of rows: [m, k] by [n, k]. */
export const dots = <T>(ops: Ops<T>, a: T, b: T): T => ops.matMul(a, ops.transpose(b, [1, 0]));

export function softmax<T>(ops: Ops<T>, x: T): T {
  const powers = ops.exp(x);
  return ops.div(powers, ops.sum(powers, [ops.shape(x).length - 1]));
}

/** x as [rows, columns] in a formula, and what is made of it in x's shape again. */
export function asTable<T>(ops: Ops<T>, x: T, columns: number, formula: (table: T) => T): T {
  const shape = ops.shape(x);
  const size = shape.reduce((a, b) => a * b, 1);
  return ops.reshape(formula(ops.reshape(x, [size / columns, columns])), shape);
}
