/** A row of the table as its tests run it. */
import { initialValues } from "../../../src/formula/normalization.js";
import { apply, type Evenkeel, open, type PlainArray } from "../../../src/index.js";
import { sizeOf } from "../../../src/shape.js";
import { expectClose, largest, normal } from "../../support/numerics.js";
import { type Row, rows } from "./index.js";

export const truth = await open({ backend: "reference" });

export type Arrays = Record<string, Float64Array>;

/** The same random numbers for the same row: inputs, weights, dy, and a mask with padding in it; the calls that are tried, and how one runs. */
export function prepared({ norm, shapes, weights: chosen, input = (value) => value, ...row }: Row) {
  const inputs = shapes.map((shape, i) => ({
    shape,
    data: Float64Array.from(normal(sizeOf(shape), 11 + i, 0.3)).map(i === 0 ? input : (value) => value),
  }));
  const specified = norm.weights(...shapes);
  const weights: Arrays = {};
  Object.entries(specified).forEach(([name, weight], i) => {
    const { shape, trained } = weight;
    const noise = normal(sizeOf(shape), 31 + i);
    const start = initialValues(weight);
    const values = Float64Array.from(noise, (value, at) =>
      trained ? start[at] + 0.3 * value : Math.fround(Math.abs(value) + 0.5),
    );
    weights[name] = chosen ? chosen(name, values) : values;
  });
  const given = apply(truth, norm, inputs as unknown as [PlainArray], weights);
  const dy = { shape: given.y.shape, data: Float64Array.from(normal(given.y.data.length, 51)) };
  const maskShape =
    row.mask === undefined ? (shapes[0].length > 2 ? shapes[0].slice(0, -1) : null) : row.mask;
  const mask = maskShape && {
    shape: maskShape,
    // a part of every statistic counts, and a part does not
    data: Float64Array.from(normal(sizeOf(maskShape), 71), (value) => (value > -0.4 ? 1 : 0)),
  };
  const trainedNames = Object.keys(specified).filter((name) => specified[name].trained);
  const keeps = Object.values(specified).some(({ trained }) => !trained);
  const calls = [true, ...((row.evaluates ?? keeps) ? [false] : [])].flatMap((training) =>
    (mask ? [undefined, mask] : [undefined]).map((masked) => ({
      training,
      masked,
      name: `${training ? "training" : "evaluation"}${masked ? ", masked" : ""}`,
    })),
  );
  /** y, state and gradients, without a framework. */
  const run = (
    ek: Evenkeel,
    { training, masked }: (typeof calls)[number],
    arrays: readonly PlainArray[] = inputs,
    held: Arrays = weights,
  ) => {
    const applied = apply(ek, norm, arrays as unknown as [PlainArray], held, {
      training,
      mask: masked ?? undefined,
    });
    return { applied, backward: () => applied.backward(dy) };
  };
  const { tolerance = 2e-5 } = row;
  return { norm, inputs, specified, weights, dy, trainedNames, tolerance, calls, run };
}

interface ArrayMask {
  shape: readonly number[];
  data: Float64Array;
}

/** A mask at each element of x. */
export function whole(mask: ArrayMask, shape: readonly number[]): Float64Array {
  return Float64Array.from({ length: sizeOf(shape) }, (_, i) => {
    let rest = i;
    let at = 0;
    let stride = 1;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const length = mask.shape[axis] ?? 1;
      if (length !== 1) at += (rest % shape[axis]) * stride;
      stride *= length;
      rest = Math.floor(rest / shape[axis]);
    }
    return mask.data[at];
  });
}

/** Within so much of the largest value, or of 1. */
export const close = (name: string, actual: PlainArray, expected: ArrayLike<number>, tolerance: number) =>
  expectClose(name, actual.data, expected, () => tolerance * Math.max(1, largest(expected)));

/** Every row with its name. */
export const named = rows.map((row) => ({ row, name: `${row.norm.name}${row.name ? ` ${row.name}` : ""}` }));
