/** The elementary operations of formulas in TensorFlow.js, with gradients of any order. */
import * as tf from "@tensorflow/tfjs-core";
import type { ElementaryOps, Operand } from "../formula/ops.js";
import { roundedTo } from "../formula/rounding.js";

/** Computes a value that no gradient flows through: an operation without inputs has none. */
export function constant(value: () => tf.Tensor): tf.Tensor {
  return tf.customGrad(() => ({ value: value(), gradFunc: () => [] }))();
}

/** Whether gradients are nested, so that this one must itself be differentiable. */
export function isDifferentiatedAgain(): boolean {
  return tf.engine().state.gradientDepth > 0;
}

/**
 * A function whose derivative is a function of its value. TensorFlow.js treats the saved value as constant
 * when it differentiates the gradient again, which is silently wrong; here the value is recomputed.
 */
function smooth(
  x: tf.Tensor,
  value: (x: tf.Tensor) => tf.Tensor,
  slope: (y: tf.Tensor) => tf.Tensor,
): tf.Tensor {
  const operation = tf.customGrad((input, save) => {
    const y = value(input as tf.Tensor);
    (save as tf.GradSaveFunc)([input as tf.Tensor, y]);
    return {
      value: y,
      gradFunc(dy: tf.Tensor, saved) {
        const [from, to] = saved as tf.Tensor[];
        return tf.mul(dy, slope(isDifferentiatedAgain() ? smooth(from, value, slope) : to));
      },
    };
  });
  return operation(x);
}

/** As `smooth`, along the last axis: the wasm backend has a kernel that is ten times as fast as its exponentials are. */
function softmax(x: tf.Tensor): tf.Tensor {
  const operation = tf.customGrad((input, save) => {
    const y = tf.softmax(input as tf.Tensor);
    (save as tf.GradSaveFunc)([input as tf.Tensor, y]);
    return {
      value: y,
      gradFunc(dy: tf.Tensor, saved) {
        const [from, to] = saved as tf.Tensor[];
        const shares = isDifferentiatedAgain() ? softmax(from) : to;
        const weighted = tf.mul(dy, shares);
        return tf.sub(weighted, tf.mul(tf.sum(weighted, -1, true), shares));
      },
    };
  });
  return operation(x);
}

/** a/b. TensorFlow.js's gradient squares b, which overflows float32 from 2·10¹⁹ on; this one divides by b twice. */
function divided(a: tf.Tensor, b: tf.Tensor): tf.Tensor {
  const operation = tf.customGrad((p, q, save) => {
    (save as unknown as tf.GradSaveFunc)([p as tf.Tensor, q as tf.Tensor]);
    return {
      value: tf.div(p as tf.Tensor, q as tf.Tensor),
      gradFunc(dy: tf.Tensor, saved) {
        const [numerator, denominator] = saved as tf.Tensor[];
        const ofNumerator = divided(dy, denominator);
        const ofDenominator = tf.neg(tf.mul(ofNumerator, divided(numerator, denominator)));
        return [summedTo(ofNumerator, numerator.shape), summedTo(ofDenominator, denominator.shape)];
      },
    };
  });
  return operation(a, b);
}

type Binary = (a: tf.Tensor, b: tf.Tensor) => tf.Tensor;

/** Of two; of one and a limit, for which the wasm backend takes a twentieth of the time; and whether it is the first. */
interface Extremum {
  readonly of: Binary;
  within(x: tf.Tensor, limit: number): tf.Tensor;
  readonly takesFirst: Binary;
}

const greatest: Extremum = {
  of: tf.maximum,
  within: (x, limit) => tf.clipByValue(x, limit, Number.POSITIVE_INFINITY),
  takesFirst: tf.greaterEqual,
};
const least: Extremum = {
  of: tf.minimum,
  within: (x, limit) => tf.clipByValue(x, Number.NEGATIVE_INFINITY, limit),
  takesFirst: tf.lessEqual,
};

/** Elementwise maximum or minimum. TensorFlow.js's gradients do not sum over broadcast axes, and have none themselves. */
function extremum(
  a: Operand<tf.Tensor>,
  b: Operand<tf.Tensor>,
  { of, within, takesFirst }: Extremum,
): tf.Tensor {
  if (typeof a === "number") {
    return limited(
      tensor(b),
      (x) => within(x, a),
      (x) => tf.logicalNot(takesFirst(tf.scalar(a), x)),
    );
  }
  if (typeof b === "number") {
    return limited(
      a,
      (x) => within(x, b),
      (x) => takesFirst(x, tf.scalar(b)),
    );
  }
  const operation = tf.customGrad((p, q, save) => {
    (save as unknown as tf.GradSaveFunc)([p as tf.Tensor, q as tf.Tensor]);
    return {
      value: of(p as tf.Tensor, q as tf.Tensor),
      gradFunc(dy: tf.Tensor, saved) {
        const [first, second] = saved as tf.Tensor[];
        const ofFirst = constant(() => tf.cast(takesFirst(first, second), "float32"));
        return [
          summedTo(tf.mul(dy, ofFirst), first.shape),
          summedTo(tf.mul(dy, tf.sub(1, ofFirst)), second.shape),
        ];
      },
    };
  });
  return operation(a, b);
}

/** A function of which the gradient passes where x is taken. */
function limited(
  x: tf.Tensor,
  value: (x: tf.Tensor) => tf.Tensor,
  takes: (x: tf.Tensor) => tf.Tensor,
): tf.Tensor {
  const operation = tf.customGrad((input, save) => {
    (save as tf.GradSaveFunc)([input as tf.Tensor]);
    return {
      value: value(input as tf.Tensor),
      gradFunc(dy: tf.Tensor, saved) {
        const [from] = saved as tf.Tensor[];
        return tf.mul(
          dy,
          constant(() => tf.cast(takes(from), "float32")),
        );
      },
    };
  });
  return operation(x);
}

/** Undoes a broadcast. */
function summedTo(x: tf.Tensor, shape: number[]): tf.Tensor {
  const axes = tf.broadcast_util.getReductionAxes(shape, x.shape);
  return tf.reshape(axes.length > 0 ? tf.sum(x, axes) : x, shape);
}

/** Of this shape: a sum with zeros, which on the wasm backend is several times as fast as repeating is. */
export function filled(x: tf.Tensor, shape: number[]): tf.Tensor {
  return tf.util.arraysEqual(x.shape, shape) ? x : tf.add(tf.zeros(shape), x);
}

/** TensorFlow.js's own gradient of a broadcast slices once for every repetition. */
function broadcast(x: tf.Tensor, shape: number[]): tf.Tensor {
  if (tf.util.arraysEqual(x.shape, shape)) return x;
  const operation = tf.customGrad((input) => ({
    value: filled(input as tf.Tensor, shape),
    gradFunc: (dy: tf.Tensor) => summedTo(dy, x.shape),
  }));
  return operation(x);
}

/** A function with a straight-through gradient. */
function straight(x: tf.Tensor, value: (x: tf.Tensor) => tf.Tensor): tf.Tensor {
  const operation = tf.customGrad((input) => ({
    value: value(input as tf.Tensor),
    gradFunc: (dy: tf.Tensor) => dy,
  }));
  return operation(x);
}

/** Sorted along the last axis. A NaN, which no backend orders, counts as the largest value. */
function ascending(x: tf.Tensor): tf.Tensor {
  // the wasm backend is slow to broadcast a number
  const negative = tf.where(tf.isNaN(x), tf.fill(x.shape, Number.NEGATIVE_INFINITY), tf.neg(x));
  return tf.neg(tf.topk(negative, x.shape[x.rank - 1]).values);
}

export const elementary: ElementaryOps<tf.Tensor> = {
  shape: (x) => x.shape,
  constant: (values, shape) => tf.tensor(Float32Array.from(values), [...shape], "float32"),
  add: (a, b) => tf.add(tensor(a), tensor(b)),
  sub: (a, b) => tf.sub(tensor(a), tensor(b)),
  mul: (a, b) => tf.mul(tensor(a), tensor(b)),
  div: (a, b) => divided(tensor(a), tensor(b)),
  // where NaN stays, on every backend
  max: (a, b) => (a === 0 ? tf.relu(tensor(b)) : extremum(a, b, greatest)),
  min: (a, b) => extremum(a, b, least),
  greater: (a, b) => constant(() => tf.cast(tf.greater(tensor(a), tensor(b)), "float32")),
  // a cast to bool would truncate 0.3 to 0 on some backends
  where(condition, a, b) {
    const { assertAndGetBroadcastShape } = tf.broadcast_util;
    const [first, second] = [tensor(a), tensor(b)];
    const shape = assertAndGetBroadcastShape(
      condition.shape,
      assertAndGetBroadcastShape(first.shape, second.shape),
    );
    return tf.where(
      constant(() => tf.notEqual(filled(condition, shape), tf.zeros(shape))),
      broadcast(first, shape),
      broadcast(second, shape),
    );
  },
  abs: (x) => tf.abs(x),
  exp: (x) => smooth(x, tf.exp, (y) => y),
  sqrt: (x) => tf.sqrt(x),
  tanh: (x) => smooth(x, tf.tanh, (y) => tf.sub(1, tf.square(y))),
  sigmoid: (x) => smooth(x, tf.sigmoid, (y) => tf.mul(y, tf.sub(1, y))),
  erf: (x) => tf.erf(x),
  pow: (x, exponent) => tf.pow(x, exponent),
  rounded: (x, type) => straight(x, (values) => roundedTo(elementary, values, type)),
  sum: (x, axes) => tf.sum(x, [...axes], true),
  largest: (x, axes) => constant(() => tf.max(x, [...axes], true)),
  sorted: (x) => constant(() => ascending(x)),
  matMul: (a, b) => tf.matMul(a, b),
  reshape: (x, shape) => tf.reshape(x, [...shape]),
  transpose: (x, order) => tf.transpose(x, [...order]),
  slice(x, axis, from, to) {
    const begin = x.shape.map((_, one) => (one === axis ? from : 0));
    const size = x.shape.map((length, one) => (one === axis ? to - from : length));
    return tf.slice(x, begin, size);
  },
  concat: (parts, axis) => tf.concat([...parts], axis),
  softmax,
  stop: (x) => constant(() => tf.clone(x)),
  intercept(x, saved, through) {
    const intercepted = tf.customGrad((values, save) => {
      (save as tf.GradSaveFunc)([...saved]);
      return {
        value: tf.clone(values as tf.Tensor),
        gradFunc(gradient, stored) {
          if (isDifferentiatedAgain()) {
            throw new Error(
              "evenkeel: a gradient that is replaced in the backward pass, as online normalization's, is not differentiable; " +
                "take second derivatives with control: false",
            );
          }
          return through(gradient as tf.Tensor, stored as tf.Tensor[]);
        },
      };
    });
    return intercepted(x);
  },
};

function tensor(operand: Operand<tf.Tensor>): tf.Tensor {
  return typeof operand === "number" ? tf.scalar(operand) : operand;
}
