/**
 * A view divides an array's axes into kept and reduced ones. Adjacent axes of one kind collapse, so that four sizes over
 * a row-major array describe every normalization in use:
 *
 *     x[((a·r1 + b)·k2 + c)·r2 + d]        a < k1, b < r1, c < k2, d < r2
 *     statistic index = a·k2 + c           one value per kept position
 */
export interface View {
  readonly k1: number;
  readonly r1: number;
  readonly k2: number;
  readonly r2: number;
}

/** Number of values after the reduction. */
export function keptSize(view: View): number {
  return view.k1 * view.k2;
}

/** Number of elements reduced to each value. */
export function reducedSize(view: View): number {
  return view.r1 * view.r2;
}

/**
 * The view of a row-major array that keeps the named axes and reduces the others, or undefined if the axes
 * alternate more often than kept-reduced-kept-reduced (`planOf` then transposes).
 *
 * The view is canonical: axes of length 1 are ignored; without an inner kept axis (k2 = 1) everything reduced is in r2;
 * if nothing is reduced, everything is in k2.
 */
export function viewOf(shape: readonly number[], keptAxes: readonly number[]): View | undefined {
  const sizes = [1, 1, 1, 1];
  let slot = 0;
  for (let axis = 0; axis < shape.length; axis++) {
    const length = shape[axis];
    if (length === 1) continue;
    const parity = keptAxes.includes(axis) ? 0 : 1;
    if (slot % 2 !== parity) slot++;
    if (slot > 3) return undefined;
    sizes[slot] *= length;
  }
  const [k1, r1, k2, r2] = sizes;
  if (r1 === 1 && r2 === 1) return { k1: 1, r1: 1, k2: k1 * k2, r2: 1 };
  if (k2 === 1) return { k1, r1: 1, k2: 1, r2: r1 * r2 };
  return { k1, r1, k2, r2 };
}

/** The statistic that element `index` of the row-major array belongs to. */
export function statisticIndex(view: View, index: number): number {
  const block = Math.floor(index / view.r2);
  return Math.floor(block / (view.k2 * view.r1)) * view.k2 + (block % view.k2);
}
