/**
 * The operations of TensorFlow.js that training uses, and their gradients, on wasm against cpu, over odd shapes, axes and
 * types. Those that have files of their own here are left to them.
 */
import * as tf from "@tensorflow/tfjs-core";
import { expect, it } from "vitest";
import { onWasm } from "./wasm-and-cpu.js";

onWasm();

interface Input {
  shape: number[];
  dtype: "float32" | "int32" | "bool";
  values: number[];
}
interface Case {
  name: string;
  inputs: Input[];
  run: (...inputs: tf.Tensor[]) => tf.Tensor;
}

let state = 1;
/** In (−1, 1), the same at every run. */
function next(): number {
  state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
  return state / 0x40000000 - 1;
}
function input(shape: number[], value: () => number, dtype: Input["dtype"] = "float32"): Input {
  return { shape, dtype, values: Array.from({ length: tf.util.sizeFromShape(shape) }, value) };
}
const any = (...shape: number[]) => input(shape, () => 3 * next());
const positive = (...shape: number[]) => input(shape, () => 0.2 + Math.abs(2 * next()));
const small = (...shape: number[]) => input(shape, () => 0.9 * next());
/** Many of a size, zeros among them. */
const tied = (...shape: number[]) => input(shape, () => Math.round(2 * next()));
const integers = (...shape: number[]) => input(shape, () => Math.round(9 * next()), "int32");
const counts = (...shape: number[]) => input(shape, () => 1 + Math.round(Math.abs(4 * next())), "int32");
const flags = (...shape: number[]) => input(shape, () => Number(next() > 0), "bool");

/** By name: all of them can be looked up. */
const operations = { ...tf };
const cases: Case[] = [];
type Run = (...inputs: never[]) => tf.Tensor;
function add(name: string, inputs: Input[], run: Run): void {
  const shapes = inputs.map(({ shape, dtype }) => `${dtype} [${shape}]`).join(", ");
  cases.push({ name: `${name} of ${shapes}`, inputs, run: run as Case["run"] });
}

const shapes = [[], [1], [5], [3, 4], [2, 1, 3], [2, 3, 1, 2], [2, 1, 3, 2, 2], [1, 2, 1, 2, 3, 2], [0, 3]];
for (const shape of shapes) {
  const unary = {
    abs: tf.abs,
    neg: tf.neg,
    sin: tf.sin,
    cos: tf.cos,
    sinh: tf.sinh,
    cosh: tf.cosh,
    tanh: tf.tanh,
    exp: tf.exp,
    sigmoid: tf.sigmoid,
    expm1: tf.expm1,
    square: tf.square,
    relu: tf.relu,
    relu6: tf.relu6,
    elu: tf.elu,
    selu: tf.selu,
    softplus: tf.softplus,
    erf: tf.erf,
    sign: tf.sign,
    floor: tf.floor,
    ceil: tf.ceil,
    round: tf.round,
    atan: tf.atan,
    asinh: tf.asinh,
    step: tf.step,
    leakyRelu: tf.leakyRelu,
    zerosLike: tf.zerosLike,
    onesLike: tf.onesLike,
  };
  for (const [name, op] of Object.entries(unary)) {
    for (const values of [any, tied]) add(name, [values(...shape)], (x: tf.Tensor) => op(x));
  }
  for (const name of ["abs", "neg", "square", "relu", "relu6", "sign"] as const) {
    add(name, [integers(...shape)], (x: tf.Tensor) => operations[name](x));
  }
  for (const name of ["log", "log1p", "sqrt", "rsqrt", "reciprocal"] as const) {
    add(name, [positive(...shape)], (x: tf.Tensor) => operations[name](x));
  }
  for (const name of ["asin", "acos", "atanh", "tan"] as const) {
    add(name, [small(...shape)], (x: tf.Tensor) => operations[name](x));
  }
  for (const values of [tied, integers])
    add("clip", [values(...shape)], (x: tf.Tensor) => tf.clipByValue(x, -1, 2));
  for (const to of ["float32", "int32", "bool"] as const) {
    for (const values of [any, integers, flags])
      add(`cast to ${to}`, [values(...shape)], (x: tf.Tensor) => tf.cast(x, to));
  }
}

const pairs = [
  [[], []],
  [[3], []],
  [[], [3]],
  [[3, 4], [4]],
  [
    [3, 4],
    [3, 1],
  ],
  [
    [2, 1, 4],
    [3, 1],
  ],
  [
    [2, 1, 3, 1],
    [1, 4, 1, 5],
  ],
  [
    [2, 3, 1, 2, 2],
    [3, 1, 2, 2],
  ],
  [
    [2, 1, 2, 1, 2, 1],
    [1, 2, 1, 2, 1, 2],
  ],
];
for (const [a, b] of pairs) {
  for (const name of ["add", "sub", "mul", "squaredDifference", "maximum", "minimum"] as const) {
    for (const values of [any, tied, integers]) {
      add(name, [values(...a), values(...b)], (x: tf.Tensor, y: tf.Tensor) => operations[name](x, y));
    }
    add(name, [integers(...a), any(...b)], (x: tf.Tensor, y: tf.Tensor) => operations[name](x, y));
  }
  for (const name of ["div", "divNoNan", "mod", "atan2"] as const) {
    add(name, [any(...a), positive(...b)], (x: tf.Tensor, y: tf.Tensor) => operations[name](x, y));
  }
  for (const name of ["div", "floorDiv", "mod"] as const) {
    add(name, [integers(...a), counts(...b)], (x: tf.Tensor, y: tf.Tensor) => operations[name](x, y));
  }
  add("pow", [positive(...a), any(...b)], (x: tf.Tensor, y: tf.Tensor) => tf.pow(x, y));
  for (const name of ["equal", "notEqual", "greater", "greaterEqual", "less", "lessEqual"] as const) {
    for (const values of [tied, integers, flags]) {
      add(name, [values(...a), values(...b)], (x: tf.Tensor, y: tf.Tensor) => operations[name](x, y));
    }
  }
  for (const name of ["logicalAnd", "logicalOr", "logicalXor"] as const) {
    add(name, [flags(...a), flags(...b)], (x: tf.Tensor, y: tf.Tensor) => operations[name](x, y));
  }
  add("where", [flags(...b), any(...a), any(...b)], (c: tf.Tensor, x: tf.Tensor, y: tf.Tensor) =>
    tf.where(c, x, y),
  );
}

const reductions: [number[], number | number[] | undefined][] = [
  [[5], 0],
  [[3, 4], 0],
  [[3, 4], -1],
  [[3, 4], undefined],
  [
    [2, 3, 4],
    [0, 2],
  ],
  [
    [2, 3, 4],
    [-1, 0],
  ],
  [
    [2, 3, 4, 2],
    [1, 3],
  ],
  [
    [2, 1, 3, 2, 2, 2],
    [0, 2, 4],
  ],
  [[], undefined],
];
for (const [shape, axis] of reductions) {
  for (const keep of [false, true]) {
    const named = (name: string) => `${name} over ${axis}, kept ${keep},`;
    for (const name of ["sum", "mean", "max", "min", "prod"] as const) {
      for (const values of [any, tied, integers]) {
        add(named(name), [values(...shape)], (x: tf.Tensor) => operations[name](x, axis, keep));
      }
    }
    add(named("logSumExp"), [any(...shape)], (x: tf.Tensor) => tf.logSumExp(x, axis, keep));
    add(named("variance"), [any(...shape)], (x: tf.Tensor) => tf.moments(x, axis, keep).variance);
    for (const name of ["any", "all"] as const) {
      add(named(name), [flags(...shape)], (x: tf.Tensor) => operations[name](x, axis, keep));
    }
  }
}

for (const [shape, axis] of [
  [[5], 0],
  [[3, 4], 0],
  [[3, 4], -1],
  [[2, 3, 4], 1],
  [[2, 3, 2, 2, 3], -4],
] as [number[], number][]) {
  const along = (name: string) => `${name} along ${axis}`;
  for (const name of ["argMax", "argMin"] as const) {
    for (const values of [any, tied, integers])
      add(along(name), [values(...shape)], (x: tf.Tensor) => operations[name](x, axis));
  }
  // the cpu backend, too, takes no axis from the end
  for (const exclusive of axis < 0 ? [] : [false, true]) {
    for (const reversed of [false, true]) {
      const named = along(`cumsum ${exclusive} ${reversed}`);
      for (const values of [any, integers]) {
        add(named, [values(...shape)], (x: tf.Tensor) => tf.cumsum(x, axis, exclusive, reversed));
      }
    }
  }
  for (const values of [any, integers, flags]) {
    const x = () => values(...shape);
    add(along("reverse"), [x()], (x: tf.Tensor) => tf.reverse(x, axis));
    add(along("concat"), [x(), x()], (x: tf.Tensor, y: tf.Tensor) => tf.concat([x, y, x], axis));
    add(along("stack"), [x(), x()], (x: tf.Tensor, y: tf.Tensor) => tf.stack([x, y], axis));
    add(along("unstack"), [x()], (x: tf.Tensor) => tf.stack(tf.unstack(x, axis).reverse()));
    add(along("gather"), [x()], (x: tf.Tensor) =>
      tf.gather(x, tf.tensor2d([1, 0, 1, 0], [2, 2], "int32"), axis),
    );
  }
  add(along("split"), [any(...shape)], (x: tf.Tensor) => {
    const length = x.shape[(axis + x.rank) % x.rank];
    const [first, rest] = tf.split(x, [1, length - 1], axis);
    return tf.concat([rest, first, rest], axis);
  });
}
for (const shape of [[5], [3, 4], [2, 3, 4, 2]]) {
  add("softmax", [any(...shape)], (x: tf.Tensor) => tf.softmax(x));
  add("logSoftmax", [any(...shape)], (x: tf.Tensor) => tf.logSoftmax(x));
  add("topk", [tied(...shape)], (x: tf.Tensor) => tf.topk(x, 2).values);
  add("topk, indices", [tied(...shape)], (x: tf.Tensor) => tf.topk(x, 2).indices);
}
for (const shape of [[5], [3, 4], [2, 3, 4], [2, 3, 1, 4], [2, 3, 1, 4, 2], [2, 1, 3, 2, 2, 2]]) {
  const rank = shape.length;
  for (const values of [any, integers, flags]) {
    const x = values(...shape);
    for (const shift of [1, rank - 1]) {
      const perm = shape.map((_, i) => (i + shift) % rank);
      add(`transpose ${perm}`, [x], (x: tf.Tensor) => tf.transpose(x, perm));
    }
    add("tile", [x], (x: tf.Tensor) =>
      tf.tile(
        x,
        shape.map((_, i) => 1 + (i % 3)),
      ),
    );
    if (rank < 6)
      add("pad", [x], (x: tf.Tensor) =>
        tf.pad(
          x,
          shape.map((_, i) => [i % 2, (i + 1) % 3] as [number, number]),
        ),
      );
    add("slice", [x], (x: tf.Tensor) =>
      tf.slice(
        x,
        shape.map((length) => Math.min(1, length - 1)),
        shape.map((length) => Math.max(1, length - 1)),
      ),
    );
    add("reshape", [x], (x: tf.Tensor) => tf.reshape(x, [-1]));
    add("broadcastTo", [x], (x: tf.Tensor) => tf.broadcastTo(x, [2, ...shape]));
  }
}
// one image: the cpu backend writes the gradients of all images into the first
for (const [o, aligned] of [
  [[8, 10], false],
  [[3, 2], true],
] as [[number, number], boolean][]) {
  add(`resizeNearestNeighbor to ${o}`, [any(1, 4, 5, 3)], (x: tf.Tensor4D) =>
    tf.image.resizeNearestNeighbor(x, o, aligned),
  );
}
for (const [size, bias, alpha, beta] of [
  [1, 1, 0.5, 0.75],
  [2, 2, 0.3, 0.5],
]) {
  add(`localResponseNormalization ${size}`, [any(1, 3, 2, 7)], (x: tf.Tensor4D) =>
    tf.localResponseNormalization(x, size, bias, alpha, beta),
  );
}
add("spaceToBatchND", [any(2, 4, 6, 3)], (x: tf.Tensor) =>
  tf.spaceToBatchND(
    x,
    [2, 3],
    [
      [0, 0],
      [3, 0],
    ],
  ),
);
add("batchToSpaceND", [any(12, 4, 5, 3)], (x: tf.Tensor) =>
  tf.batchToSpaceND(
    x,
    [2, 3],
    [
      [0, 1],
      [1, 0],
    ],
  ),
);
add("depthToSpace", [any(2, 2, 3, 8)], (x: tf.Tensor4D) => tf.depthToSpace(x, 2));
for (const pad of ["valid", "same"] as const) {
  for (const strides of [1, 2]) {
    add(
      `conv2dTranspose ${pad} ${strides}`,
      [any(1, 3, 4, 2), any(2, 2, 3, 2)],
      (x: tf.Tensor4D, w: tf.Tensor4D) => {
        const size = (length: number) => (pad === "same" ? length * strides : (length - 1) * strides + 2);
        return tf.conv2dTranspose(x, w, [1, size(3), size(4), 3], strides, pad);
      },
    );
  }
  for (const dilations of [2, [1, 3]] as (number | [number, number])[]) {
    for (const type of ["max", "avg"] as const) {
      add(`pool ${type} ${pad} dilated ${dilations}`, [any(2, 7, 6, 3)], (x: tf.Tensor4D) =>
        tf.pool(x, 2, type, pad, dilations, 1),
      );
    }
  }
}

interface Result {
  shape: number[];
  dtype: string;
  values: ArrayLike<number>;
}

function results({ inputs, run }: Case, backend: string): Record<string, Result> {
  tf.setBackend(backend);
  const all: Record<string, Result> = {};
  tf.tidy(() => {
    const tensors = inputs.map(({ shape, dtype, values }) => tf.tensor(values, shape, dtype));
    const y = run(...tensors);
    const result = (x: tf.Tensor): Result => ({ shape: x.shape, dtype: x.dtype, values: x.dataSync() });
    all.y = result(y);
    if (y.dtype !== "float32") return;
    // dy is no constant: the sum of y alone would hide errors
    const dy = tf.cos(tf.reshape(tf.range(0, y.size), y.shape));
    inputs.forEach(({ dtype }, i) => {
      if (dtype !== "float32") return;
      const loss = (x: tf.Tensor) =>
        tf.sum(tf.mul(run(...tensors.map((other, j) => (j === i ? x : other))), dy));
      try {
        all[`gradient ${i}`] = result(tf.grad(loss)(tensors[i]));
      } catch (error) {
        // no gradient is none on both
        all[`gradient ${i}`] = { shape: [], dtype: String(error), values: [] };
      }
    });
  });
  return all;
}

it.each(cases)("$name", (one) => {
  const [cpu, wasm] = ["cpu", "wasm"].map((backend) => results(one, backend));
  for (const [what, expected] of Object.entries(cpu)) {
    const actual = wasm[what];
    expect([what, actual.dtype, actual.shape]).toEqual([what, expected.dtype, expected.shape]);
    const at = Array.from(expected.values).findIndex((value, i) => {
      const isSame = value === actual.values[i] || (Number.isNaN(value) && Number.isNaN(actual.values[i]));
      return !isSame && !(Math.abs(value - actual.values[i]) <= 1e-5 * (1 + Math.abs(value)));
    });
    expect([what, at, at < 0 ? 0 : actual.values[at]]).toEqual([what, at, at < 0 ? 0 : expected.values[at]]);
    expect(at).toBe(-1);
  }
});
