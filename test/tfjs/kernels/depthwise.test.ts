/** Depthwise convolutions and their gradients against the cpu backend, and, dilated, against float64 loops. */
import * as tf from "@tensorflow/tfjs-core";
import { describe, it } from "vitest";
import { type Geometry, geometries, strided, tensorsOf, title } from "./geometries.js";
import { expectAsOnCpu, expectClose, onWasm, random, run } from "./wasm-and-cpu.js";

onWasm();

const depthwise: Geometry[] = [
  { input: [2, 5, 5, 23], filter: [3, 3, 1], pad: "same" },
  { input: [2, 5, 5, 16], filter: [3, 3, 1], pad: "same", strides: [2, 2] },
  { input: [2, 5, 5, 9], filter: [3, 3, 4], pad: "same", strides: [2, 1] },
];
const dilated: Geometry[] = [
  { input: [2, 9, 8, 3], filter: [3, 3, 2], dilations: [2, 2] },
  { input: [2, 9, 8, 20], filter: [3, 2, 1], dilations: [3, 2], pad: "same" },
  {
    input: [1, 4, 11, 5],
    filter: [2, 3, 3],
    dilations: [3, 4],
    pad: [
      [0, 0],
      [3, 3],
      [3, 3],
      [0, 0],
    ],
    strides: [2, 3],
  },
];
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

  it.each([0, 1])("depthwiseConv2d, input %i", (index) => {
    const inputs = [random(2, 7, 6, 3), random(3, 3, 3, 2), random(2, 7, 6, 6)];
    gradient(inputs, index, 84, (x, filter, weights) =>
      weighted(tf.depthwiseConv2d(x as tf.Tensor4D, filter as tf.Tensor4D, 1, "same"), weights),
    );
    tf.dispose(inputs);
  });
});

describe.each([...geometries, ...depthwise, ...strided])("forward $input $filter", (geometry) => {
  it(`DepthwiseConv2dNative ${title(geometry)}`, () => {
    const { x, dy, filter, attributes } = tensorsOf(geometry, true);
    dy.dispose();
    expectAsOnCpu([x, filter], geometry.filter[0] * geometry.filter[1], (x, filter) =>
      run("DepthwiseConv2dNative", { x, filter }, { ...attributes, dilations: geometry.dilations ?? 1 }),
    );
  });
});

it("FusedDepthwiseConv2D with strides beyond the filter", () => {
  expectAsOnCpu([random(2, 9, 8, 3), random(2, 2, 3, 2), random(6)], 4, (x, filter, bias) =>
    tf.fused.depthwiseConv2d({
      x: x as tf.Tensor4D,
      filter: filter as tf.Tensor4D,
      bias,
      strides: 3,
      pad: "same",
      activation: "relu",
    }),
  );
});
