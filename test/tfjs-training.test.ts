/**
 * The training kernels on TensorFlow.js's wasm backend against TensorFlow.js's cpu backend; matrix products, and what the
 * cpu backend does not compute, against float64 loops.
 */
import { createRequire } from "node:module";
import { dirname } from "node:path";
import "@tensorflow/tfjs-backend-cpu";
import { setWasmPaths } from "@tensorflow/tfjs-backend-wasm";
import * as tf from "@tensorflow/tfjs-core";
// registers the gradients of tf operations
import "@tensorflow/tfjs-layers";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { compileTraining, registerTrainingKernels } from "../src/tfjs/training.js";

const shippedMatMul = tf.getKernel(tf.BatchMatMul, "wasm");
let module: WebAssembly.Module;

beforeAll(async () => {
  const require = createRequire(import.meta.url);
  setWasmPaths(`${dirname(require.resolve("@tensorflow/tfjs-backend-wasm/package.json"))}/wasm-out/`);
  module = await compileTraining();
  // before the backend exists: what the shipped kernels set up must not get lost
  expect(registerTrainingKernels(module, false)).toEqual([
    "BatchMatMul",
    "Conv2DBackpropFilter",
    "Conv2DBackpropInput",
    "DepthwiseConv2dNativeBackpropFilter",
    "DepthwiseConv2dNativeBackpropInput",
    "Sum",
    "UnsortedSegmentSum",
  ]);
  await tf.setBackend("wasm");
});
beforeEach(() => tf.setBackend("wasm"));
afterAll(() => tf.removeBackend("wasm"));

/** Standard normal values; the same at every run. */
let seed = 0;
function random(...shape: number[]): tf.Tensor {
  return tf.randomNormal(shape, 0, 1, "float32", ++seed);
}

/**
 * float32 sums of n products of standard normal values: each rounding is at most 2^-24 of the partial sum, whose size
 * is about √n, and there are n of them, of random sign: about n·2^-24. The factor 4 is for the worst of many elements; a
 * result that is itself unusually large adds two roundings of its size.
 */
function expectClose(actual: Float32Array, expected: ArrayLike<number>, terms: number): void {
  expect(actual.length).toBe(expected.length);
  const allowed = (i: number) => 4 * (terms + 1) * 2 ** -24 + Math.abs(expected[i]) * 2 ** -23;
  const excess = (i: number) => Math.abs(actual[i] - expected[i]) / allowed(i);
  let worst = 0;
  for (let i = 1; i < actual.length; i++) if (!(excess(i) <= excess(worst))) worst = i;
  if (actual.length === 0 || excess(worst) <= 1) return;
  expect.fail(
    `element ${worst}: ${actual[worst]} against ${expected[worst]}, more than ${allowed(worst)} apart`,
  );
}

/** Runs a function of tensors on both backends and compares shape and values; nothing may be left behind. */
function expectAsOnCpu(inputs: tf.Tensor[], terms: number, run: (...inputs: tf.Tensor[]) => tf.Tensor): void {
  const results = ["cpu", "wasm"].map((name) => {
    tf.setBackend(name);
    const copies = inputs.map((input) => tf.tensor(input.dataSync(), input.shape, input.dtype));
    poison();
    const before = [tf.memory().numTensors, tf.engine().backend.numDataIds()];
    const y = run(...copies);
    const result = { shape: y.shape, dtype: y.dtype, values: y.dataSync() as Float32Array };
    y.dispose();
    expect([tf.memory().numTensors, tf.engine().backend.numDataIds()]).toEqual(before);
    tf.dispose(copies);
    return result;
  });
  const [cpu, wasm] = results;
  expect(wasm.shape).toEqual(cpu.shape);
  expect(wasm.dtype).toBe(cpu.dtype);
  expectClose(wasm.values, cpu.values, terms);
  tf.dispose(inputs);
}

/** Fills freed memory with NaN, so that what a kernel does not write shows. */
function poison(): void {
  for (const size of [16, 256, 4096, 65536]) tf.dispose([0, 1, 2].map(() => tf.fill([size], Number.NaN)));
}

describe("BatchMatMul", () => {
  const transposes = [
    [false, false],
    [false, true],
    [true, false],
    [true, true],
  ];

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
    const matMul = new WebAssembly.Instance(module, { env: { memory } }).exports.matMul as (
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
        "matMul: a must be [..., m, k] and b [..., k, n], each transposed where so asked, " +
          "got a [2,3], transposeA true, and b [3,4], transposeB false",
      ),
    );
    expect(() => tf.matMul(tf.ones([2, 3]), vector)).toThrow(RangeError);
  });

  it("takes float32 alone", () => {
    expect(() => tf.matMul(tf.ones([2, 2], "int32"), tf.ones([2, 2], "int32"))).toThrow(
      new TypeError(
        "BatchMatMul: inputs must be float32, got int32 [2,2] and int32 [2,2]; " +
          'convert them with tf.cast(x, "float32")',
      ),
    );
  });
});

type Pad = "valid" | "same" | number | [[0, 0], [number, number], [number, number], [0, 0]];
interface Geometry {
  input: [number, number, number, number];
  /** Height, width, and output channels or multiplier. */
  filter: [number, number, number];
  strides?: [number, number];
  dilations?: [number, number];
  pad?: Pad;
  rounding?: "floor" | "round" | "ceil";
  format?: "NHWC" | "NCHW";
}

const geometries: Geometry[] = [
  { input: [1, 1, 1, 1], filter: [1, 1, 1] },
  { input: [2, 5, 7, 3], filter: [3, 3, 5] },
  { input: [2, 5, 7, 3], filter: [3, 3, 5], pad: "same" },
  { input: [3, 7, 5, 4], filter: [2, 3, 8], pad: "same", strides: [2, 2] },
  { input: [1, 11, 13, 2], filter: [5, 4, 7], pad: "same", strides: [3, 2] },
  { input: [2, 6, 9, 5], filter: [3, 2, 3], pad: "valid", strides: [2, 3] },
  { input: [2, 4, 4, 8], filter: [1, 1, 16] },
  { input: [2, 5, 5, 8], filter: [1, 1, 3], strides: [2, 2] },
  { input: [2, 4, 4, 3], filter: [1, 1, 2], pad: 1 },
  // as many outputs as pixels, but not the same ones; as many columns, but not rows
  { input: [2, 5, 5, 3], filter: [1, 1, 2], pad: 2, strides: [2, 2] },
  {
    input: [2, 4, 3, 3],
    filter: [1, 1, 2],
    pad: [
      [0, 0],
      [1, 1],
      [0, 0],
      [0, 0],
    ],
  },
  { input: [2, 4, 3, 1], filter: [3, 3, 1], pad: 2 },
  { input: [2, 4, 5, 17], filter: [3, 3, 2], pad: 1, strides: [2, 2], rounding: "floor" },
  { input: [2, 4, 5, 3], filter: [3, 3, 2], pad: 1, strides: [2, 2], rounding: "ceil" },
  {
    input: [2, 6, 5, 3],
    filter: [3, 2, 4],
    pad: [
      [0, 0],
      [2, 1],
      [0, 3],
      [0, 0],
    ],
  },
  // wider than its input: most of each patch hangs over the edge
  { input: [2, 2, 3, 2], filter: [7, 7, 3], pad: "same" },
  { input: [2, 2, 3, 2], filter: [7, 7, 3], pad: "same", strides: [2, 2] },
  { input: [2, 2, 2, 3], filter: [2, 2, 2], pad: 4, strides: [3, 3] },
  // more outputs than patches are made at once
  { input: [3, 13, 19, 2], filter: [3, 3, 3], pad: "same" },
  { input: [1, 3, 150, 33], filter: [1, 129, 2], pad: "same" },
  { input: [0, 4, 4, 2], filter: [3, 3, 2], pad: "same" },
];
const depthwise: Geometry[] = [
  { input: [2, 5, 5, 23], filter: [3, 3, 1], pad: "same" },
  { input: [2, 5, 5, 16], filter: [3, 3, 1], pad: "same", strides: [2, 2] },
  { input: [2, 5, 5, 9], filter: [3, 3, 4], pad: "same", strides: [2, 1] },
];
const dilated: Geometry[] = [
  { input: [2, 9, 8, 3], filter: [3, 3, 2], dilations: [2, 2] },
  { input: [2, 9, 8, 20], filter: [3, 2, 1], dilations: [3, 2], pad: "same" },
  { input: [1, 4, 11, 5], filter: [2, 3, 3], dilations: [3, 4], pad: 3, strides: [2, 3] },
];
const channelsFirst: Geometry[] = [
  { input: [2, 3, 5, 7], filter: [3, 3, 5], pad: "same", format: "NCHW" },
  {
    input: [2, 4, 6, 5],
    filter: [2, 3, 3],
    pad: [
      [0, 0],
      [0, 0],
      [1, 2],
      [1, 0],
    ] as unknown as Pad,
    format: "NCHW",
  },
];

function title({ input, filter, strides, dilations, pad, rounding, format }: Geometry): string {
  return JSON.stringify({ input, filter, strides, dilations, pad, rounding, format });
}

/** x, dy and filter of a geometry, and the number of terms in a sum over outputs and over a patch. */
function tensorsOf(geometry: Geometry, isDepthwise: boolean) {
  const { input, filter, strides = [1, 1], dilations = 1, pad = "valid", rounding, format } = geometry;
  const channels = format === "NCHW" ? input[1] : input[3];
  const filterShape: [number, number, number, number] = [filter[0], filter[1], channels, filter[2]];
  const info = tf.backend_util.computeConv2DInfo(
    ...([input, filterShape, strides, dilations, pad, rounding, isDepthwise] as const),
    tf.backend_util.convertConv2DDataFormat(format ?? "NHWC"),
  );
  return {
    x: random(...input),
    dy: random(...info.outShape),
    filter: random(...filterShape),
    attributes: { strides, pad, dimRoundingMode: rounding, dataFormat: format ?? "NHWC" },
    info,
    terms: info.batchSize * info.outHeight * info.outWidth,
    patchTerms: filter[0] * filter[1] * filter[2],
  };
}

function run(name: string, inputs: tf.NamedTensorMap, attributes: object): tf.Tensor {
  return tf.engine().runKernel(name, inputs, attributes as tf.NamedAttrMap) as tf.Tensor;
}

describe.each([...geometries, ...channelsFirst])("convolution $input $filter", (geometry) => {
  it(`Conv2DBackpropFilter ${title(geometry)}`, () => {
    const { x, dy, filter, attributes, terms } = tensorsOf(geometry, false);
    expectAsOnCpu([x, dy], terms, (x, dy) =>
      run("Conv2DBackpropFilter", { x, dy }, { ...attributes, filterShape: filter.shape }),
    );
    filter.dispose();
  });

  it(`Conv2DBackpropInput ${title(geometry)}`, () => {
    const { x, dy, filter, attributes, patchTerms } = tensorsOf(geometry, false);
    expectAsOnCpu([dy, filter], patchTerms, (dy, filter) =>
      run("Conv2DBackpropInput", { dy, filter }, { ...attributes, inputShape: x.shape }),
    );
    x.dispose();
  });
});

describe.each([...geometries, ...depthwise])("depthwise convolution $input $filter", (geometry) => {
  const dilations = geometry.dilations ?? [1, 1];

  it(`DepthwiseConv2dNativeBackpropFilter ${title(geometry)}`, () => {
    const { x, dy, filter, attributes, terms } = tensorsOf(geometry, true);
    expectAsOnCpu([x, dy], terms, (x, dy) =>
      run(
        "DepthwiseConv2dNativeBackpropFilter",
        { x, dy },
        { ...attributes, dilations, filterShape: filter.shape },
      ),
    );
    filter.dispose();
  });

  it(`DepthwiseConv2dNativeBackpropInput ${title(geometry)}`, () => {
    const { x, dy, filter, attributes, patchTerms } = tensorsOf(geometry, true);
    expectAsOnCpu([dy, filter], patchTerms, (dy, filter) =>
      run(
        "DepthwiseConv2dNativeBackpropInput",
        { dy, filter },
        { ...attributes, dilations, inputShape: x.shape },
      ),
    );
    x.dispose();
  });
});

// the cpu backend leaves dilations out of these two
describe.each(dilated)("dilated depthwise convolution $input $filter", (geometry) => {
  it(`DepthwiseConv2dNativeBackprop{Filter,Input} ${title(geometry)}`, () => {
    const { x, dy, filter, attributes, info, terms, patchTerms } = tensorsOf(geometry, true);
    const dilations = geometry.dilations;
    const dFilter = run(
      "DepthwiseConv2dNativeBackpropFilter",
      { x, dy },
      { ...attributes, dilations, filterShape: filter.shape },
    );
    const dx = run(
      "DepthwiseConv2dNativeBackpropInput",
      { dy, filter },
      { ...attributes, dilations, inputShape: x.shape },
    );
    const expectedFilter = new Float64Array(filter.size);
    const expectedX = new Float64Array(x.size);
    const [xs, dys, filters] = [x, dy, filter].map((tensor) => tensor.dataSync());
    const multiplier = filter.shape[3] ?? 0;
    dys.forEach((value, i) => {
      const [image, oy, ox, d] = tf.util.indexToLoc(i, 4, tf.util.computeStrides(dy.shape));
      for (let fy = 0; fy < info.filterHeight; fy++) {
        for (let fx = 0; fx < info.filterWidth; fx++) {
          const y = oy * info.strideHeight + fy * info.dilationHeight - info.padInfo.top;
          const z = ox * info.strideWidth + fx * info.dilationWidth - info.padInfo.left;
          if (y < 0 || y >= info.inHeight || z < 0 || z >= info.inWidth) continue;
          const atX =
            ((image * info.inHeight + y) * info.inWidth + z) * info.inChannels + Math.floor(d / multiplier);
          const atFilter = (fy * info.filterWidth + fx) * info.outChannels + d;
          expectedFilter[atFilter] += value * xs[atX];
          expectedX[atX] += value * filters[atFilter];
        }
      }
    });
    expectClose(dFilter.dataSync() as Float32Array, expectedFilter, terms);
    expectClose(dx.dataSync() as Float32Array, expectedX, patchTerms);
    tf.dispose([x, dy, filter, dFilter, dx]);
  });
});

describe("convolution kernels check what they are given", () => {
  const attributes = { strides: 1, pad: "valid", dataFormat: "NHWC", dilations: 1 };

  it.each(["Conv2DBackpropFilter", "DepthwiseConv2dNativeBackpropFilter"])("%s", (name) => {
    const x = tf.ones([1, 4, 4, 2]);
    const from = (dyShape: number[], filterShape: number[]) => () =>
      run(name, { x, dy: tf.ones(dyShape) }, { ...attributes, filterShape });
    expect(from([1, 3, 2, 2], [2, 2, 2, 1])).toThrow(RangeError);
    expect(from([1, 3, 2, 2], [2, 2, 2, 1])).toThrow(`${name}: dy must have the output's shape [1,3,3,`);
    expect(from([1, 3, 3, name.startsWith("Conv") ? 1 : 2], [2, 2, 3, 1])).toThrow(
      new RangeError(`${name}: the filter must have 2 input channels, got [2,2,3,1]`),
    );
  });
});

describe("Sum", () => {
  it.each<[number[], number | number[] | undefined]>([
    [[], undefined],
    [[7], 0],
    [[1000], undefined],
    [[300, 1], 0],
    [[1, 9], 0],
    [[130, 5], 0],
    [[1027, 64], 0],
    [[259, 33], 0],
    [[259, 33], 1],
    [
      [259, 33],
      [0, 1],
    ],
    [[5, 131, 7], 1],
    [
      [5, 131, 7],
      [0, 2],
    ],
    [[5, 131, 7], -1],
    [
      [4, 9, 20, 3],
      [1, 2],
    ],
    [
      [4, 9, 20, 3],
      [0, 2],
    ],
    // axes that alternate too often for a view
    [
      [3, 4, 5, 6, 7],
      [1, 3],
    ],
    [
      [3, 4, 5, 6, 7],
      [0, 2, 4],
    ],
  ])("of %j over axis %j", (shape, axis) => {
    for (const keepDims of [false, true]) {
      expectAsOnCpu(
        [random(...shape)],
        shape.reduce((a, b) => a * b, 1),
        (x) => tf.sum(x, axis, keepDims),
      );
    }
  });

  it("of a million values far from 0 keeps float32's accuracy", () => {
    const x = tf.fill([1_000_000], 1000.1);
    const exact = 1e6 * Math.fround(1000.1);
    expect(tf.sum(x).dataSync()[0] / exact).toBeCloseTo(1, 6);
    expect(tf.sum(tf.reshape(x, [10_000, 100]), 0).dataSync()[99] / (exact / 100)).toBeCloseTo(1, 6);
  });

  it("leaves other types to what was shipped, and gives 0 where there is nothing to sum", () => {
    const integers = tf.sum(tf.tensor2d([1, 2, 3, 4], [2, 2], "int32"), 0);
    expect(integers.dtype).toBe("int32");
    expect(Array.from(integers.dataSync())).toEqual([4, 6]);
    expect(Array.from(tf.sum(tf.tensor2d([1, 0, 1, 1], [2, 2], "bool"), 0).dataSync())).toEqual([2, 1]);
    expect(Array.from(tf.sum(tf.zeros([0, 3]), 0).dataSync())).toEqual([0, 0, 0]);
  });
});

describe("UnsortedSegmentSum", () => {
  const sum = (x: tf.Tensor, ids: tf.Tensor, segments: number) =>
    tf.unsortedSegmentSum(x, ids as tf.Tensor1D, segments);

  it.each([
    [[1], 1],
    [[7], 3],
    [[64, 5], 7],
    [[31, 3, 7], 5],
    [[10, 4], 2],
    [[10, 17], 13],
    [[3, 0], 2],
  ])("sums rows of %j into %i segments, without those whose id is out of range", (shape, segments) => {
    const ids = Array.from({ length: shape[0] }, (_, i) => ((i * 7) % (segments + 4)) - 2);
    expectAsOnCpu([random(...shape), tf.tensor1d(ids, "int32")], shape[0], (x, ids) => sum(x, ids, segments));
  });

  it("gives 0 where there is nothing to sum", () => {
    const y = sum(tf.zeros([0, 3]), tf.zeros([0], "int32"), 2);
    expect(y.shape).toEqual([2, 3]);
    expect(Array.from(y.dataSync())).toEqual([0, 0, 0, 0, 0, 0]);
  });

  it("sums integers as float32, as the cpu backend does", () => {
    const x = tf.tensor2d([1, 2, 3, 4, 5, 6], [3, 2], "int32");
    expectAsOnCpu([x, tf.tensor1d([1, 0, 1], "int32")], 2, (x, ids) => sum(x, ids, 2));
  });

  it("says which ids it takes", () => {
    expect(() => sum(tf.ones([2, 3]), tf.ones([2, 3], "int32"), 4)).toThrow(
      new RangeError(
        "unsortedSegmentSum: segmentIds must be int32 [2], one for each row of x [2,3], got int32 [2,3]; flatten both " +
          "with tf.reshape where ids have several axes",
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

  it.each([0, 1])("conv2d, input %i", (index) => {
    const inputs = [random(2, 7, 6, 3), random(3, 2, 3, 5), random(2, 4, 3, 5)];
    gradient(inputs, index, 48, (x, filter, weights) =>
      weighted(tf.conv2d(x as tf.Tensor4D, filter as tf.Tensor4D, 2, "same"), weights),
    );
    tf.dispose(inputs);
  });

  it.each([0, 1])("depthwiseConv2d, input %i", (index) => {
    const inputs = [random(2, 7, 6, 3), random(3, 3, 3, 2), random(2, 7, 6, 6)];
    gradient(inputs, index, 84, (x, filter, weights) =>
      weighted(tf.depthwiseConv2d(x as tf.Tensor4D, filter as tf.Tensor4D, 1, "same"), weights),
    );
    tf.dispose(inputs);
  });

  it.each([0, 1])("gather, axis %i", (axis) => {
    const inputs = [random(6, 4), axis === 0 ? random(5, 4) : random(6, 5)];
    gradient(inputs, 0, 5, (x, weights) =>
      weighted(tf.gather(x, tf.tensor1d([3, 0, 3, 1, 3], "int32"), axis), weights),
    );
    tf.dispose(inputs);
  });

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

describe("registerTrainingKernels", () => {
  it("registers once, however often it is called", () => {
    const before = tf.getKernel("BatchMatMul", "wasm").kernelFunc;
    expect(registerTrainingKernels(module, false)).toHaveLength(7);
    expect(tf.getKernel("BatchMatMul", "wasm").kernelFunc).toBe(before);
    expect(before).not.toBe(shippedMatMul.kernelFunc);
  });

  it("leaves a build that it was not installed for to the shipped kernels", () => {
    // the backend, but for its memory
    const real = tf.backend() as tf.KernelBackend & { wasm: object };
    const backend = Object.create(real, { wasm: { value: { ...real.wasm, asm: undefined } } });
    const [x, y] = [
      tf.tensor2d([
        [1, 2],
        [3, 4],
      ]),
      tf.tensor2d([
        [5, 6],
        [7, 8],
      ]),
    ];
    const kernel = (name: string) => tf.getKernel(name, "wasm").kernelFunc;
    expect(() => kernel("UnsortedSegmentSum")({ inputs: { x }, backend, attrs: {} })).toThrow(
      new Error(
        "evenkeel: UnsortedSegmentSum was installed for another build of TensorFlow.js's wasm backend than the one that runs; " +
          'call install() once, after tf.setBackend("wasm")',
      ),
    );
    const attrs = { transposeA: false, transposeB: true };
    const product = kernel("BatchMatMul")({ inputs: { a: x, b: y }, backend, attrs }) as tf.TensorInfo;
    expect(Array.from(real.readSync(product.dataId) as Float32Array)).toEqual([17, 23, 39, 53]);
    real.disposeData(product.dataId);
    tf.dispose([x, y]);
  });
});
