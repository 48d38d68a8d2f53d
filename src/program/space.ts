/**
 * Spaces: the axes that a pass walks. What a pass reads and writes is seen through axes of its own; the space has as few as serve all.
 */
import type { Strided } from "../kernels/pass.js";
import { sizeOf } from "../shape.js";

/** Axes of an array as one sees it in a space: outermost first, neighbours that follow one another in memory merged. */
export interface Seen extends Strided {
  readonly lengths: readonly number[];
}

/** Merges axes over which memory goes on as within them. */
export function merged(shape: readonly number[], strides: readonly number[], offset: number): Seen {
  const lengths: number[] = [];
  const steps: number[] = [];
  for (let axis = 0; axis < shape.length; axis++) {
    const [length, stride] = [shape[axis], strides[axis]];
    if (length === 1) continue;
    const last = lengths.length - 1;
    if (last >= 0 && steps[last] === stride * length) {
      lengths[last] *= length;
      steps[last] = stride;
    } else {
      lengths.push(length);
      steps.push(stride);
    }
  }
  return { lengths, strides: steps, offset };
}

/** Sizes of what stands inside of each axis. */
function inner(lengths: readonly number[]): number[] {
  return lengths.map((_, axis) => sizeOf(lengths.slice(axis + 1)));
}

/** Where axes of an array end: sizes of what stands inside of each. */
export function cutsOf(all: readonly Seen[]): Set<number> {
  const cuts = new Set<number>();
  for (const { lengths } of all) for (const cut of inner(lengths)) cuts.add(cut);
  return cuts;
}

/** The axes that end at all of these, outermost first; undefined where they cut the elements across one another. */
export function commonAxes(size: number, cuts: ReadonlySet<number>): number[] | undefined {
  const ends = [...new Set([size, 1, ...cuts])].sort((a, b) => b - a);
  const axes: number[] = [];
  for (let i = 1; i < ends.length; i++) {
    if (ends[i - 1] % ends[i] !== 0) return undefined;
    axes.push(ends[i - 1] / ends[i]);
  }
  return axes.length === 0 ? [1] : axes;
}

/** The same elements through the axes of the space. */
export function through(axes: readonly number[], { lengths, strides, offset }: Seen): Strided {
  const own = inner(lengths);
  const whole = inner(axes);
  const steps = axes.map((length, axis) => {
    if (length === 1) return 0;
    // the axis that holds this one
    const holding = own.findIndex((size) => size <= whole[axis]);
    return strides[holding] * (whole[axis] / own[holding]);
  });
  return { strides: steps, offset };
}
