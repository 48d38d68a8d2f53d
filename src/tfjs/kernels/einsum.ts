/**
 * Einstein summation of one or two tensors: summed axes that only one of them has are reduced first; what
 * remains is a matrix product over the axes that both have. Its gradient, registered for every backend, is
 * again a summation.
 */
import * as tf from "@tensorflow/tfjs-core";
import { call, dispose, type Host, type Inputs } from "./host.js";

export function einsum(host: Host, inputs: Inputs, { equation }: tf.EinsumAttrs): tf.TensorInfo {
  const tensors = Object.values(inputs);
  const { allDims, summedDims, idDims } = tf.backend_util.decodeEinsumEquation(equation, tensors.length);
  const output = equation.replace(/\s/g, "").split("->")[1];
  if (new Set(output).size !== output.length) {
    throw new RangeError(
      `einsum: the output must name each axis once, got "${equation}"; take a diagonal with tf.gatherND`,
    );
  }
  tf.backend_util.checkEinsumDimSizes(allDims.length, idDims, tensors as tf.Tensor[]);
  const made: tf.TensorInfo[] = [];
  const run = (kernelName: string, inputs: Inputs, attrs?: tf.NamedAttrMap) => {
    made.push(call(host, kernelName, inputs, attrs));
    return made[made.length - 1];
  };
  const reshape = (x: tf.TensorInfo, shape: number[]) => run(tf.Reshape, { x }, { shape });
  const ordered = (x: tf.TensorInfo, from: number[], to: number[]) =>
    isSame(from, to) ? x : run(tf.Transpose, { x }, { perm: to.map((axis) => from.indexOf(axis)) });

  // axes are numbered as in allDims: the output's first, in its order
  const isOutput = (axis: number) => !summedDims.includes(axis);
  const terms = tensors.map((tensor, i) => {
    const others = idDims.filter((_, other) => other !== i).flat();
    const alone = idDims[i].filter((axis) => !isOutput(axis) && !others.includes(axis));
    const axes = idDims[i].filter((axis) => !alone.includes(axis));
    if (alone.length === 0) return { x: tensor, axes };
    return {
      x: run(tf.Sum, { x: tensor }, { axis: alone.map((axis) => idDims[i].indexOf(axis)), keepDims: false }),
      axes,
    };
  });

  function product(): { x: tf.TensorInfo; axes: number[] } {
    const [a, b] = terms;
    const both = a.axes.filter((axis) => b.axes.includes(axis));
    const batch = both.filter(isOutput).sort((i, j) => i - j);
    const contracted = both.filter((axis) => !isOutput(axis));
    const free = terms.map(({ axes }) => axes.filter((axis) => !both.includes(axis)));
    const lengths = new Map(terms.flatMap(({ x, axes }) => axes.map((axis, at) => [axis, x.shape[at]])));
    const shape = (...axes: number[][]) => axes.flat().map((axis) => lengths.get(axis) as number);
    const size = (axes: number[]) => tf.util.sizeFromShape(shape(axes));
    // without a transpose where axes are already [batch, free, contracted] or [batch, contracted, free]
    const matrices = terms.map(({ x, axes }, i) => {
      const isTransposed = isSame(axes, [...batch, ...contracted, ...free[i]]);
      const order = isTransposed ? [contracted, free[i]] : [free[i], contracted];
      const rows = ordered(x, axes, [batch, ...order].flat());
      return { isTransposed, x: reshape(rows, [size(batch), ...order.map(size)]) };
    });
    const [left, right] = matrices;
    const y =
      contracted.length === 0
        ? run(tf.Multiply, {
            a: reshape(left.x, [size(batch), size(free[0]), 1]),
            b: reshape(right.x, [size(batch), 1, size(free[1])]),
          })
        : run(
            tf.BatchMatMul,
            { a: left.x, b: right.x },
            { transposeA: left.isTransposed, transposeB: !right.isTransposed },
          );
    return { x: reshape(y, shape(batch, ...free)), axes: [batch, ...free].flat() };
  }

  try {
    const { x, axes } = terms.length === 1 ? terms[0] : product();
    const inOrder = [...axes].sort((i, j) => i - j);
    const y = ordered(x, axes, inOrder);
    // always a new tensor, even where there was nothing to do
    return call(host, tf.Reshape, { x: y }, { shape: y.shape });
  } finally {
    dispose(host, ...made);
  }
}

function isSame(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((value, i) => value === b[i]);
}

/** TensorFlow.js registers no gradient for Einsum. */
tf.registerGradient({
  kernelName: tf.Einsum,
  saveAllInputs: true,
  gradFunc(dy, saved, attributes) {
    const { equation } = attributes as unknown as tf.EinsumAttrs;
    const [left, output] = equation.replace(/\s/g, "").split("->");
    const terms = left.split(",");
    const gradients = terms.map((term, i) => () => {
      const others = terms.filter((_, other) => other !== i);
      const known = [...term].filter(
        (label) => output.includes(label) || others.some((other) => other.includes(label)),
      );
      const x = saved[i];
      const sum = tf.einsum(
        `${[output, ...others].join()}->${known.join("")}`,
        dy as tf.Tensor,
        ...saved.filter((_, other) => other !== i),
      );
      // x was summed over the other axes: the gradient is broadcast along them
      const shape = x.shape.map((length, axis) => (known.includes(term[axis]) ? length : 1));
      return tf.broadcastTo(tf.reshape(sum, shape), x.shape);
    });
    return Object.fromEntries(gradients.entries());
  },
});
