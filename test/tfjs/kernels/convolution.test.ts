/** Convolutions and their gradients against the cpu backend. */
import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, it } from "vitest";
import { type Geometry, geometries, type Pad, strided, tensorsOf, title } from "./geometries.js";
import { expectAsOnCpu, expectGradientAsOnCpu, onWasm, random, run } from "./wasm-and-cpu.js";

onWasm();

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
});

describe.each([...geometries, ...channelsFirst, ...strided])("forward $input $filter", (geometry) => {
  it(`Conv2D and FusedConv2D ${title(geometry)}`, () => {
    const { x, dy, filter, attributes, info } = tensorsOf(geometry, false);
    dy.dispose();
    const terms = info.filterHeight * info.filterWidth * info.inChannels;
    const all = { ...attributes, dilations: geometry.dilations ?? 1 };
    expectAsOnCpu([tf.clone(x), tf.clone(filter)], terms, (x, filter) => run("Conv2D", { x, filter }, all));
    expectAsOnCpu([x, filter, random(info.outChannels)], terms + 1, (x, filter, bias) =>
      run("FusedConv2D", { x, filter, bias }, { ...all, activation: "relu" }),
    );
  });
});

describe("padding by a number", () => {
  // TensorFlow.js finds the output's width by the filter's height and the stride along it
  const cases: [[number, number], [number, number]][] = [
    [
      [3, 2],
      [1, 1],
    ],
    [
      [1, 3],
      [1, 1],
    ],
    [
      [2, 2],
      [1, 3],
    ],
  ];
  it.each(cases)("is that of each side, filter %s, strides %s", (size, strides) => {
    const sides = [
      [0, 0],
      [1, 1],
      [1, 1],
      [0, 0],
    ] as [[0, 0], [number, number], [number, number], [0, 0]];
    const x = random(2, 9, 8, 3) as tf.Tensor4D;
    const filter = random(...size, 3, 2) as tf.Tensor4D;
    const w = random(...tf.conv2d(x, filter, strides, sides, "NHWC", 1, "floor").shape);
    const both = (f: (pad: 1 | typeof sides) => tf.Tensor) => {
      const [number, explicit] = [f(1), f(sides)];
      expect(number.shape).toEqual(explicit.shape);
      expect(number.dataSync()).toEqual(explicit.dataSync());
    };
    both((pad) => tf.conv2d(x, filter, strides, pad, "NHWC", 1, "floor"));
    both((pad) => tf.depthwiseConv2d(x, filter, strides, pad, "NHWC", 1, "floor"));
    both((pad) => tf.maxPool(x, size, strides, pad, "floor"));
    both((pad) => tf.avgPool(x, size, strides, pad, "floor"));
    const loss = (pad: 1 | typeof sides) => (x: tf.Tensor, filter: tf.Tensor) =>
      tf.sum(tf.mul(tf.conv2d(x as tf.Tensor4D, filter as tf.Tensor4D, strides, pad, "NHWC", 1, "floor"), w));
    for (const input of [0, 1]) both((pad) => tf.grads(loss(pad))([x, filter])[input]);
    for (const pool of [tf.maxPool, tf.avgPool]) {
      both((pad) => tf.grad((x) => tf.sum(pool(x as tf.Tensor4D, size, strides, pad, "floor")))(x));
    }
  });
});

describe("convolutions of volumes", () => {
  const filters: [number, number, number][] = [
    [1, 1, 1],
    [2, 2, 2],
    [3, 1, 2],
  ];
  const strides: [number, number, number][] = [
    [1, 1, 1],
    [2, 2, 2],
    [1, 2, 3],
  ];
  it.each(filters.flatMap((filter) => strides.map((stride) => [filter, stride])))(
    "y, dx and dFilter as the cpu backend, filter %s, strides %s",
    (size, stride) => {
      for (const pad of ["valid", "same"] as const) {
        const inputs = [random(2, 4, 5, 6, 2), random(...size, 2, 3)];
        const f = (x: tf.Tensor, filter: tf.Tensor) =>
          tf.conv3d(x as tf.Tensor5D, filter as tf.Tensor5D, stride, pad);
        expectAsOnCpu(
          inputs.map((input) => tf.clone(input)),
          24,
          f,
        );
        for (const index of [0, 1]) expectGradientAsOnCpu(inputs, index, 240, f);
      }
    },
  );

  it("dilated", () => {
    expectAsOnCpu([random(2, 4, 5, 6, 2), random(2, 2, 3, 2, 3)], 24, (x, filter) =>
      tf.conv3d(x as tf.Tensor5D, filter as tf.Tensor5D, 1, "valid", "NDHWC", [1, 2, 2]),
    );
  });
});

it("windows that fit nowhere give empty outputs, and leave the memory alone", () => {
  const image = random(2, 8, 2, 2);
  const filter = random(1, 2, 2, 1);
  for (let i = 0; i < 4; i++) {
    expect(tf.conv2d(image as tf.Tensor4D, filter as tf.Tensor4D, 1, "valid", "NHWC", [1, 2]).shape).toEqual([
      2, 8, 0, 1,
    ]);
    expect(
      tf.depthwiseConv2d(image as tf.Tensor4D, random(9, 1, 2, 1) as tf.Tensor4D, 1, "valid").shape,
    ).toEqual([2, 0, 2, 2]);
    expect(tf.maxPool(random(1, 1, 6, 2) as tf.Tensor4D, [4, 3], [4, 2], "valid").shape).toEqual([
      1, 0, 2, 2,
    ]);
    expect(tf.avgPool(random(1, 1, 6, 2) as tf.Tensor4D, [4, 3], [4, 2], 0, "floor").shape).toEqual([
      1, 0, 2, 2,
    ]);
    expect(
      tf.conv2d(tf.zeros<tf.Rank.R4>([0, 8, 8, 2]), random(3, 3, 2, 4) as tf.Tensor4D, 1, "same").shape,
    ).toEqual([0, 8, 8, 4]);
  }
  const wide = random(1, 3, 2, 1) as tf.Tensor4D;
  const dx = tf.grad((x: tf.Tensor) => tf.conv2d(x as tf.Tensor4D, wide, 1, "valid"))(image);
  expect([...dx.dataSync()]).toEqual(new Array(64).fill(0));
});
