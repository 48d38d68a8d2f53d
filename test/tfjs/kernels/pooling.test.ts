/** Pools and their gradients against the cpu backend, and against float64 loops where that is wrong. */
import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, it } from "vitest";
import { expectAsOnCpu, expectClose, expectGradientAsOnCpu, onWasm, random, run } from "./wasm-and-cpu.js";

onWasm();

type Pair = [number, number];
const windows: [Pair, Pair][] = [
  [
    [2, 2],
    [2, 2],
  ],
  [
    [3, 3],
    [1, 1],
  ],
  [
    [2, 3],
    [1, 2],
  ],
  [
    [1, 1],
    [2, 2],
  ],
  [
    [2, 2],
    [3, 3],
  ],
];
/** Values as they come, all below 0, and small integers with many of a size. */
const kinds = {
  any: (...shape: number[]) => random(...shape),
  negative: (...shape: number[]) => tf.tidy(() => tf.sub(tf.neg(tf.abs(random(...shape))), 0.1)),
  tied: (...shape: number[]) => tf.tidy(() => tf.round(random(...shape))),
};

describe.each(windows)("windows %s, strides %s", (size, strides) => {
  it.each(Object.entries(kinds))("of %s values", (_, values) => {
    for (const pad of ["valid", "same"] as const) {
      for (const channels of [1, 3, 6]) {
        const x = () => values(2, 7, 6, channels);
        const max = (x: tf.Tensor) => tf.maxPool(x as tf.Tensor4D, size, strides, pad);
        const mean = (x: tf.Tensor) => tf.avgPool(x as tf.Tensor4D, size, strides, pad);
        expectAsOnCpu([x()], 1, max);
        expectAsOnCpu([x()], 9, mean);
        expectGradientAsOnCpu([x()], 0, 9, max);
        for (const inBatch of [false, true]) {
          const withArgmax = (x: tf.Tensor) =>
            tf.maxPoolWithArgmax(x as tf.Tensor4D, size, strides, pad, inBatch);
          expectAsOnCpu([x()], 1, (x) => tf.tidy(() => withArgmax(x).result));
          expectAsOnCpu([x()], 1, (x) => tf.tidy(() => withArgmax(x).indexes));
        }
      }
    }
  });
});

describe("gradients of means", () => {
  /** A pool of means is linear, so that dx at i is ⟨dy, the pool of 1 at i and 0 elsewhere⟩. */
  function check(x: tf.Tensor, pool: (x: tf.Tensor) => tf.Tensor): void {
    const dy = random(...pool(x).shape);
    const expected = Array.from({ length: x.size }, (_, i) => {
      const one = new Float32Array(x.size);
      one[i] = 1;
      return tf.tidy(() => tf.sum(tf.mul(pool(tf.tensor(one, x.shape)), dy)).dataSync()[0]);
    });
    expectClose(tf.grad(pool)(x, dy).dataSync() as Float32Array, expected, 9);
  }

  it.each(windows)("windows %s, strides %s", (size, strides) => {
    for (const pad of ["valid", "same"] as const) {
      for (const channels of [1, 5]) {
        check(random(1, 5, 4, channels), (x) => tf.avgPool(x as tf.Tensor4D, size, strides, pad));
        check(random(2, 3, 4, 3, channels), (x) =>
          tf.avgPool3d(x as tf.Tensor5D, [2, ...size], [1, ...strides], pad),
        );
      }
    }
  });
});

describe("MaxPool3D and its gradient", () => {
  type Triple = [number, number, number];
  const windows: [Triple, Triple][] = [
    [
      [2, 2, 2],
      [2, 2, 2],
    ],
    [
      [1, 2, 3],
      [2, 1, 1],
    ],
    [
      [3, 2, 1],
      [1, 2, 3],
    ],
  ];

  it.each(windows)("windows %s, strides %s", (size, strides) => {
    for (const pad of ["valid", "same"] as const) {
      for (const values of Object.values(kinds)) {
        const x = values(2, 4, 5, 6, 5) as tf.Tensor5D;
        expectAsOnCpu([tf.clone(x)], 1, (x) => tf.maxPool3d(x as tf.Tensor5D, size, strides, pad));
        const info = tf.backend_util.computePool3DInfo(x.shape, size, strides, 1, pad);
        const dy = random(...info.outShape);
        // the cpu backend passes some of dy on to where no maximum is
        const expected = new Float64Array(x.size);
        const [xs, dys] = [x.dataSync(), dy.dataSync()];
        const stridesOf = tf.util.computeStrides(x.shape);
        dys.forEach((value, i) => {
          const [b, oz, oy, ox, c] = tf.util.indexToLoc(i, 5, tf.util.computeStrides(dy.shape));
          let best = -1;
          for (let w = 0; w < size[0] * size[1] * size[2]; w++) {
            const z = oz * strides[0] - info.padInfo.front + Math.floor(w / size[2] / size[1]);
            const y = oy * strides[1] - info.padInfo.top + (Math.floor(w / size[2]) % size[1]);
            const column = ox * strides[2] - info.padInfo.left + (w % size[2]);
            if (z < 0 || z >= 4 || y < 0 || y >= 5 || column < 0 || column >= 6) continue;
            const at = tf.util.locToIndex([b, z, y, column, c], 5, stridesOf);
            if (best < 0 || xs[at] > xs[best]) best = at;
          }
          expected[best] += value;
        });
        const dx = run(
          "MaxPool3DGrad",
          { dy, input: x, output: dy },
          { filterSize: size, strides, pad },
        ).dataSync();
        expectClose(dx as Float32Array, expected, 9);
      }
    }
  });
});

it("a window that lies in the padding alone gives −∞, and passes nothing on", () => {
  const x = tf.ones<tf.Rank.R4>([1, 2, 2, 5]);
  const sides = [
    [0, 0],
    [2, 0],
    [0, 0],
    [0, 0],
  ] as [[0, 0], Pair, Pair, [0, 0]];
  const pool = (x: tf.Tensor) => tf.maxPool(x as tf.Tensor4D, [1, 1], 1, sides, "floor");
  const y = Array.from(pool(x).dataSync());
  expect(y).toEqual([...new Array(20).fill(Number.NEGATIVE_INFINITY), ...new Array(20).fill(1)]);
  const dy = tf.ones<tf.Rank.R4>([1, 4, 2, 5]);
  expect(Array.from(tf.grad(pool)(x, dy).dataSync())).toEqual(new Array(20).fill(1));
});

it("ignores NaN as the forward kernel does, and takes infinities", () => {
  const x = tf.tensor4d([Number.NaN, -1, -2, Number.NEGATIVE_INFINITY], [1, 2, 2, 1]);
  const dx = tf.grad((x) => tf.maxPool(x as tf.Tensor4D, 2, 2, "valid"))(x, tf.ones([1, 1, 1, 1]));
  expect(Array.from(dx.dataSync())).toEqual([0, 1, 0, 0]);
});

it("rounds outputs up where so asked, forward and backward", () => {
  const x = random(1, 5, 4, 3);
  const outputs = (rounding: "floor" | "ceil") => tf.maxPool(x as tf.Tensor4D, 2, 2, 0, rounding).shape;
  expect(outputs("ceil")).toEqual([1, 3, 2, 3]);
  const ceil = (x: tf.Tensor) => tf.maxPool(x as tf.Tensor4D, 2, 2, 0, "ceil");
  const padded = (x: tf.Tensor) =>
    tf.maxPool(
      tf.pad(
        x,
        [
          [0, 0],
          [0, 1],
          [0, 0],
          [0, 0],
        ],
        Number.NEGATIVE_INFINITY,
      ) as tf.Tensor4D,
      2,
      2,
      "valid",
    );
  expect(ceil(x).dataSync()).toEqual(padded(x).dataSync());
  const dy = random(1, 3, 2, 3);
  expect(tf.grad(ceil)(x, dy).dataSync()).toEqual(tf.grad(padded)(x, dy).dataSync());
});

it("says which shape dy must have", () => {
  const input = tf.ones([1, 4, 4, 2]);
  expect(() =>
    run(
      "MaxPoolGrad",
      { dy: tf.ones([1, 3, 2, 2]), input, output: input },
      { filterSize: 2, strides: 2, pad: "valid" },
    ),
  ).toThrow(new RangeError("MaxPoolGrad: dy must have the output's shape [1,2,2,2], got [1,3,2,2]"));
});

it.each([0, 1])("of %i images", (images) => {
  expectGradientAsOnCpu([random(images, 5, 5, 3)], 0, 4, (x) => tf.maxPool(x as tf.Tensor4D, 2, 2, "same"));
});
