/** Gamma, beta and stored statistics: polynomials of constants, as their values. */
import type { Values64 } from "../../formula/eager.js";
import { MOST_VALUES, sizeOf } from "../../shape.js";
import { CheckpointError } from "../errors.js";
import { type Algebra, near, numberIn, type Sum } from "./algebra.js";
import { evaluated } from "./evaluate.js";
import type { Parameter } from "./found.js";
import type { Surroundings } from "./surroundings.js";

/** Whether a sum is a number, or a value of the graph as it stands. */
export function isPlain(sum: Sum, algebra: Algebra): boolean {
  const [product, more] = sum.values();
  if (numberIn(sum) !== undefined) return true;
  const [power, another] = product.powers;
  return (
    more === undefined &&
    another === undefined &&
    near(product.factor, 1) &&
    power[1] === 1 &&
    algebra.atomAt(power[0]).kind === "given"
  );
}

/** The values of a sum of constants, at each place of these axes of x. */
export async function parameterOf(
  sum: Sum,
  algebra: Algebra,
  axes: readonly number[],
  surroundings: Surroundings,
): Promise<Parameter | undefined> {
  const number = numberIn(sum);
  if (number !== undefined) return { axes: [], shape: [], values: Float64Array.of(number) };
  const [first] = sum.values();
  const atom = first?.powers.length > 0 ? algebra.atomAt(first.powers[0][0]) : undefined;
  if (atom?.kind === "given" && !surroundings.isConstant(sum, algebra)) {
    const along = algebra.support(sum);
    const varying = [...algebra.x.shape.keys()].filter((axis) =>
      algebra.x.axes[axis].some((one) => along.has(one)),
    );
    return {
      name: atom.name,
      axes: varying,
      shape: surroundings.open(varying.map((axis) => algebra.x.shape[axis])),
    };
  }
  const segments = axes.flatMap((axis) => algebra.x.axes[axis]);
  const shape = axes.map((axis) => algebra.x.shape[axis]);
  const lengths = segments.map((segment) => algebra.lengthOf(segment));
  const size = lengths.reduce((a, b) => a * b, 1);
  // of a length that is open there is no constant
  if (shape.some((length) => surroundings.settled.isOpen(length)) || size > MOST_VALUES) return undefined;
  const isItself = isPlain(sum, algebra) && atom?.kind === "given";
  const stored = isItself ? surroundings.settled.constant(atom.name) : undefined;
  const values = await valuesOf(surroundings, sum, algebra, segments, lengths);
  // values in another file, which may be missing
  if (values === undefined) return isItself ? { name: stored?.name, axes, shape } : undefined;
  const isWhole = stored !== undefined && sizeOf(stored.shape) === size;
  return { name: isWhole ? stored.name : undefined, axes, shape, values };
}

/** A sum of constants at each place of these segments. */
async function valuesOf(
  surroundings: Surroundings,
  sum: Sum,
  algebra: Algebra,
  segments: readonly number[],
  lengths: readonly number[],
): Promise<Float64Array | undefined> {
  const size = sizeOf(lengths);
  const values = new Float64Array(size);
  for (const { factor, powers } of sum.values()) {
    const term = new Float64Array(size).fill(factor);
    for (const [number, exponent] of powers) {
      const atom = algebra.atomAt(number);
      if (atom.kind === "root") {
        const squares = await valuesOf(surroundings, atom.of, algebra, segments, lengths);
        if (squares === undefined) return undefined;
        for (let i = 0; i < size; i++) term[i] *= Math.sqrt(squares[i]) ** exponent;
        continue;
      }
      if (atom.kind !== "given") return undefined;
      const constant = surroundings.settled.known(atom.name) ?? (await constantAt(surroundings, atom.name));
      if (constant === undefined) return undefined;
      const strides = stridesOf(atom.axes.flat(), segments, lengths, (one) => algebra.lengthOf(one));
      for (let i = 0; i < size; i++) term[i] *= constant.data[placeOf(i, lengths, strides)] ** exponent;
    }
    for (let i = 0; i < size; i++) values[i] += term[i];
  }
  return values;
}

/** A constant's values, or what is computed of constants; undefined where the file does not have them all. */
async function constantAt({ graph }: Surroundings, name: string): Promise<Values64 | undefined> {
  try {
    return (await evaluated(graph, [name])).get(name);
  } catch (error) {
    if (error instanceof CheckpointError) return undefined;
    throw error;
  }
}

/** Distances in a constant whose axes follow these segments, for each segment of x's; 0 where it does not follow one. */
function stridesOf(
  own: readonly number[],
  segments: readonly number[],
  lengths: readonly number[],
  lengthOf: (segment: number) => number,
): number[] {
  return segments.map((segment, i) => {
    const at = own.indexOf(segment);
    return at < 0 || lengths[i] === 1 ? 0 : own.slice(at + 1).reduce((size, one) => size * lengthOf(one), 1);
  });
}

function placeOf(index: number, lengths: readonly number[], strides: readonly number[]): number {
  let rest = index;
  let place = 0;
  for (let i = lengths.length - 1; i >= 0; i--) {
    place += (rest % lengths[i]) * strides[i];
    rest = Math.floor(rest / lengths[i]);
  }
  return place;
}
