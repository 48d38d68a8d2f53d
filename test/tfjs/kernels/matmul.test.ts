/** Matrix products against float64 loops. */
import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, it } from "vitest";
import { expectAsOnCpu, expectClose, onWasm, poison, random, trainingModule } from "./wasm-and-cpu.js";

onWasm();

const transposes = [
  [false, false],
  [false, true],
  [true, false],
  [true, true],
];

describe("BatchMatMul", () => {
  function check(batchA: number[], batchB: number[], m: number, n: number, k: number): void {
    for (const [transposeA, transposeB] of transposes) {
      const a = random(...batchA, ...(transposeA ? [k, m] : [m, k]));
      const b = random(...batchB, ...(transposeB ? [n, k] : [k, n]));
      poison();
      const before = [tf.memory().numTensors, tf.engine().backend.numDataIds()];
      const y = tf.matMul(a, b, transposeA, transposeB);
      const batch = tf.broadcast_util.assertAndGetBroadcastShape(batchA, batchB);
      expect(y.shape).toEqual([...batch, m, n]);
      expectClose(y.dataSync() as Float32Array, product(a, b, batch, m, n, k, transposeA, transposeB), k);
      y.dispose();
      expect([tf.memory().numTensors, tf.engine().backend.numDataIds()]).toEqual(before);
      tf.dispose([a, b]);
    }
  }

  /** float64 loops. */
  function product(
    a: tf.Tensor,
    b: tf.Tensor,
    batch: number[],
    m: number,
    n: number,
    k: number,
    transposeA: boolean,
    transposeB: boolean,
  ): Float64Array {
    const [x, y] = [a.dataSync(), b.dataSync()];
    const count = tf.util.sizeFromShape(batch);
    const z = new Float64Array(count * m * n);
    for (let matrix = 0; matrix < count; matrix++) {
      const position = tf.util.indexToLoc(matrix, batch.length, tf.util.computeStrides(batch));
      const matrixOf = (shape: number[]) => {
        let index = 0;
        shape.slice(0, -2).forEach((size, axis) => {
          index = index * size + (size === 1 ? 0 : position[axis + batch.length - shape.length + 2]);
        });
        return index;
      };
      const [atX, atY] = [matrixOf(a.shape) * m * k, matrixOf(b.shape) * k * n];
      for (let i = 0; i < m; i++) {
        for (let j = 0; j < n; j++) {
          let sum = 0;
          for (let p = 0; p < k; p++) {
            sum +=
              x[atX + (transposeA ? p * m + i : i * k + p)] * y[atY + (transposeB ? j * k + p : p * n + j)];
          }
          z[(matrix * m + i) * n + j] = sum;
        }
      }
    }
    return z;
  }

  it("multiplies small matrices of every size, all transposes", () => {
    for (const m of [1, 2, 3, 4, 5, 7, 8]) {
      for (const n of [1, 2, 3, 4, 5, 7, 8, 9, 13, 17]) {
        for (const k of [1, 2, 3, 4, 5, 7, 9]) check([], [], m, n, k);
      }
    }
  });

  it("multiplies across the edges of its blocks", () => {
    for (const [m, n, k] of [
      [131, 67, 83],
      [128, 9, 257],
      [259, 57, 41],
      [25, 521, 33],
      [3, 1031, 29],
      [29, 49, 521],
      [1, 300, 300],
      [300, 1, 300],
      [300, 300, 1],
    ]) {
      check([], [], m, n, k);
    }
  });

  it("multiplies batches, and one matrix with all of a batch", () => {
    for (const [batchA, batchB] of [
      [[5], [5]],
      [[1], [5]],
      [[5], [1]],
      [[], [5]],
      [[5], []],
      [
        [2, 3],
        [2, 3],
      ],
      [[2, 3], [3]],
      [
        [2, 3],
        [2, 1],
      ],
      [
        [2, 1],
        [1, 3],
      ],
      [
        [1, 2, 1, 2],
        [3, 1, 2, 1],
      ],
      [[1, 1], [1]],
    ]) {
      check(batchA, batchB, 5, 7, 3);
      check(batchA, batchB, 9, 12, 16);
    }
  });

  it("multiplies empty matrices", () => {
    for (const [m, n, k] of [
      [0, 3, 2],
      [3, 0, 2],
      [3, 2, 0],
      [0, 0, 0],
    ]) {
      check([], [], m, n, k);
      check([2], [1], m, n, k);
    }
    check([0], [0], 2, 3, 4);
  });

  it("reads nothing beyond its arrays", () => {
    const memory = new WebAssembly.Memory({ initial: 16, maximum: 65536 });
    const matMul = new WebAssembly.Instance(trainingModule, { env: { memory } }).exports.matMul as (
      ...values: number[]
    ) => void;
    const values = new Float32Array(memory.buffer);
    for (const size of [1, 2, 3, 4, 5, 6, 7, 8, 9, 11]) {
      for (const transposes of [0, 1, 2, 3]) {
        const [m, n, k] = [size, 12 - size, 1 + ((size * 5) % 11)];
        // each array in turn ends where the memory does: an access beyond it traps
        for (const last of [0, 1, 2]) {
          const at = [m * k, k * n, m * n].map((length, i) =>
            i === last ? values.length - length : 1000 * (i + 1),
          );
          values.fill(1);
          matMul(...at.map((index) => index * 4), 65536, 1, 0, 0, m, n, k, transposes >> 1, transposes & 1);
          expect(values.slice(at[2], at[2] + m * n)).toEqual(new Float32Array(m * n).fill(k));
        }
      }
    }
  });

  it("keeps infinity and NaN to the rows and columns they are in", () => {
    const a = tf.tensor2d([
      [Number.NaN, 1],
      [2, 3],
      [4, Number.POSITIVE_INFINITY],
    ]);
    const b = tf.tensor2d([
      [1, 2, 3],
      [4, 5, 6],
    ]);
    expect(Array.from(tf.matMul(a, b).dataSync())).toEqual([
      ...[Number.NaN, Number.NaN, Number.NaN],
      ...[14, 19, 24],
      ...[Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY],
    ]);
  });

  it("gives the same bits from run to run, and for the same row among other rows", () => {
    const [a, b] = [random(37, 300), random(300, 41)];
    const y = tf.matMul(a, b).dataSync();
    expect(tf.matMul(a, b).dataSync()).toEqual(y);
    const row = tf.matMul(tf.slice(a, [17, 0], [1, 300]), b).dataSync();
    expect(row).toEqual(y.slice(17 * 41, 18 * 41));
  });

  it("does not mind that the memory grows between calls", () => {
    const [a, b] = [random(6, 6), random(6, 6)];
    const y = tf.matMul(a, b).dataSync();
    const large = tf.fill([4_000_000], 1);
    expect(tf.matMul(a, b).dataSync()).toEqual(y);
    large.dispose();
  });

  it("says which sizes do not fit", () => {
    const vector: tf.Tensor = tf.ones([3]);
    expect(() => tf.matMul(tf.ones([2, 3]), tf.ones([3, 4]), true)).toThrow(
      new RangeError(
        "matMul: a must be [..., m, k] and b [..., k, n], after their transposes, " +
          "got a [2,3], transposeA true, and b [3,4], transposeB false",
      ),
    );
    expect(() => tf.matMul(tf.ones([2, 3]), vector)).toThrow(RangeError);
  });

  it.each(transposes)("multiplies int32, transposes %s %s", (transposeA, transposeB) => {
    const integers = (...shape: number[]) => tf.cast(tf.mul(random(...shape), 1000), "int32");
    for (const [m, n, k] of [
      [1, 1, 1],
      [5, 9, 7],
      [3, 4, 0],
    ]) {
      const inputs = [
        integers(2, ...(transposeA ? [k, m] : [m, k])),
        integers(...(transposeB ? [n, k] : [k, n])),
      ];
      const expected = product(inputs[0], inputs[1], [2], m, n, k, transposeA, transposeB);
      const y = tf.matMul(inputs[0], inputs[1], transposeA, transposeB);
      expect(y.dtype).toBe("int32");
      expect(Array.from(y.dataSync())).toEqual(Array.from(expected));
    }
  });

  it("takes float32 or int32 alone", () => {
    expect(() => tf.matMul(tf.ones([2, 2], "bool"), tf.ones([2, 2], "bool"))).toThrow(
      new TypeError(
        "BatchMatMul: inputs must both be float32 or both int32, got bool [2,2] and bool [2,2]; " +
          'convert them with tf.cast(x, "float32")',
      ),
    );
  });
});

describe("_FusedMatMul", () => {
  it.each(transposes)("as the cpu backend, transposes %s %s", (transposeA, transposeB) => {
    const shape = (rows: number, columns: number, swapped: boolean) =>
      swapped ? [columns, rows] : [rows, columns];
    for (const batch of [1, 3]) {
      for (const activation of ["linear", "relu", "relu6", "elu", "sigmoid", "leakyrelu", "prelu"] as const) {
        const inputs = [
          random(batch, ...shape(4, 6, transposeA)),
          random(batch, ...shape(6, 5, transposeB)),
          random(5),
          random(5),
        ];
        expectAsOnCpu(inputs, 12, (a, b, bias, preluActivationWeights) =>
          tf.fused.matMul({
            a,
            b,
            transposeA,
            transposeB,
            bias,
            activation,
            preluActivationWeights,
            leakyreluAlpha: 0.3,
          }),
        );
      }
    }
  });

  it("of int32, of inner size 0, and with a bias for each element", () => {
    const integers = () => tf.cast(tf.mul(random(4, 4), 100), "int32");
    expectAsOnCpu([integers(), integers(), integers()], 4, (a, b, bias) =>
      tf.tidy(() => tf.fused.matMul({ a, b, bias: tf.slice(bias, [0, 0], [1, 4]), activation: "relu" })),
    );
    expectAsOnCpu([tf.zeros([3, 0]), tf.zeros([0, 5]), random(5)], 1, (a, b, bias) =>
      tf.fused.matMul({ a, b, bias }),
    );
    expectAsOnCpu([random(4, 6), random(6, 5), random(4, 5)], 8, (a, b, bias) =>
      tf.fused.matMul({ a, b, bias }),
    );
  });

  it("says which activations there are", () => {
    const [a, b] = [tf.ones([2, 2, 2]), tf.ones([2, 2, 2])];
    expect(() => tf.fused.matMul({ a, b, activation: "tanh" as "relu" })).toThrow(
      new RangeError(
        "_FusedMatMul: activation must be linear, relu, relu6, elu, sigmoid, prelu, leakyrelu, got tanh",
      ),
    );
  });
});

describe("gradients through tf.grads", () => {
  // dy is random: the sum of y alone would hide errors
  const weighted = (y: tf.Tensor, weights: tf.Tensor) => tf.sum(tf.mul(y, weights));
  const gradient = (
    inputs: tf.Tensor[],
    index: number,
    terms: number,
    f: (...inputs: tf.Tensor[]) => tf.Tensor,
  ) => {
    expectAsOnCpu(
      inputs.map((input) => tf.clone(input)),
      terms,
      (...inputs) => tf.tidy(() => tf.grads(f)(inputs)[index]),
    );
  };

  it.each([0, 1, 2, 3])("matMul, transposes %i", (transposes) => {
    const [transposeA, transposeB] = [transposes >= 2, transposes % 2 === 1];
    for (const index of [0, 1]) {
      const a = transposeA ? random(3, 6, 5) : random(3, 5, 6);
      const b = transposeB ? random(3, 7, 6) : random(3, 6, 7);
      gradient([a, b, random(3, 5, 7)], index, 7, (a, b, weights) =>
        weighted(tf.matMul(a, b, transposeA, transposeB), weights),
      );
    }
  });
});
