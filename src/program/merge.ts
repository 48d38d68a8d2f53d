/** Moments of several places on terms: a call of the reduction that a run brings, whose gradient is another one. */
import { type MergeRules, PARTS, type PartedMoments } from "../formula/ops.js";
import type { Kernels, Values } from "../kernels/contract.js";
import type { AsyncReduce } from "../moments.js";
import { sizeOf } from "../shape.js";
import type { Term } from "./term.js";
import type { Trace } from "./trace.js";

/** Moments of all places, by the reduction that a run brings. */
export function mergeTerms(ops: Trace, local: PartedMoments<Term>, rules: MergeRules): PartedMoments<Term> {
  const { shape } = local.rest;
  const here = PARTS.map((part) => local[part]);
  const outputs = ops.mergeOutputs({
    of: here,
    outputs: PARTS.map(() => shape),
    run(kernels, arrays, results, reduce) {
      const [read, room] = [arrays, results].map((all) => () => partsOf(kernels, all, shape));
      return rules.reduced(given(reduce), rules.listOf(read()), (list) => rules.writeParts(list, room()));
    },
    back(gradients) {
      const [ofRest, ofVariance] = [1, 2].map((part) => gradients[part] ?? ops.uniform(0, shape));
      const [rest, variance] = ops.mergeOutputs({
        of: [ofRest, ofVariance, ...here, ...outputs],
        outputs: [shape, shape],
        run(kernels, arrays, results, reduce) {
          const values = (array: (typeof arrays)[number]) => kernels.values(array, sizeOf(shape));
          const all = () => partsOf(kernels, arrays.slice(2 + PARTS.length), shape);
          const list = rules.gradientList(values(arrays[0]), values(arrays[1]), all().unit);
          return rules.reduced(given(reduce), list, (sums) =>
            rules.writeGradients(sums, partsOf(kernels, arrays.slice(2), shape), all(), {
              rest: values(results[0]),
              variance: values(results[1]),
            }),
          );
        },
      });
      return [
        [local.rest, rest],
        [local.variance, variance],
      ];
    },
  });
  const [near, rest, variance, unit, count] = outputs;
  return { near: ops.stop(near), rest, variance, unit: ops.stop(unit), count: ops.stop(count) };
}

/** The values of parts, which lie in the host's memory; until the next array is made. */
function partsOf<A>(
  kernels: Kernels<A>,
  arrays: readonly A[],
  shape: readonly number[],
): PartedMoments<Values> {
  const parts = PARTS.map((part, i) => [part, kernels.values(arrays[i], sizeOf(shape))]);
  return Object.fromEntries(parts) as PartedMoments<Values>;
}

function given(reduce: AsyncReduce | undefined): AsyncReduce {
  if (reduce !== undefined) return reduce;
  throw new Error("evenkeel: a program that merges moments was run without a reduction");
}
