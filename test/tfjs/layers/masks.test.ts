/** Which positions a layer leaves out: none, as in Keras, unless it is told to use the mask; then those of its own input. */
import * as tf from "@tensorflow/tfjs-core";
import * as tfl from "@tensorflow/tfjs-layers";
import { beforeAll, describe, expect, it } from "vitest";
import { install, layers, type NormalizationLayer, residual } from "../../../src/tfjs/index.js";
import { expectClose, normal } from "../../support/numerics.js";
import { artifacts } from "../../support/tfjs-artifacts.js";
import { backends, use } from "../../support/tfjs-backends.js";

const FEATURES = 5;
/** Steps 3 and 4 of the first series, and 2 to 4 of the second, are padding. */
const counts = [
  [1, 1, 1, 0, 0],
  [1, 1, 0, 0, 0],
  [1, 1, 1, 1, 1],
];
const series = () =>
  tf.tidy(() => {
    const x = tf.tensor(normal(3 * 5 * FEATURES, 3, 0.5, 2), [3, 5, FEATURES]);
    return tf.mul(x, tf.tensor(counts.flat(), [3, 5, 1]));
  });
const masking = () => tfl.layers.masking({ inputShape: [5, FEATURES] });
const values = (tensor: unknown) => (tensor as tf.Tensor).dataSync() as Float32Array;
const predicted = (...made: tfl.layers.Layer[]) => {
  const model = tfl.sequential({ layers: [masking(), ...made] });
  return model.predict(series()) as tf.Tensor3D;
};
/** Which steps are 0 in all of their features. */
const zeros = (y: tf.Tensor3D) =>
  y.arraySync().map((example) => example.map((step) => (step.every((value) => value === 0) ? 0 : 1)));
const everywhere = counts.map((example) => example.map(() => 1));

describe.each(backends)("%s", (backend) => {
  beforeAll(async () => {
    await use(backend);
    await install();
  });

  const ofKeras: [string, (args: object) => NormalizationLayer][] = [
    ["layerNormalization", (args) => layers.layerNormalization({ ...args, betaInitializer: "ones" })],
    ["rmsNormalization", (args) => layers.rmsNormalization({ ...args })],
    ["batchNormalization", (args) => layers.batchNormalization({ ...args, betaInitializer: "ones" })],
    [
      "groupNormalization",
      (args) => layers.groupNormalization({ groups: 5, ...args, betaInitializer: "ones" }),
    ],
    ["instanceNormalization", (args) => layers.instanceNormalization({ ...args, betaInitializer: "ones" })],
    ["unitNormalization", (args) => layers.unitNormalization({ ...args })],
  ];

  it.each(ofKeras)("%s passes masked positions on, or leaves them out if told", async (name, make) => {
    // x of padding is 0, and stays so without a beta
    const plain = ["rmsNormalization", "unitNormalization"].includes(name) ? counts : everywhere;
    expect(zeros(predicted(make({})))).toEqual(plain);
    expect(make({}).getConfig()).not.toHaveProperty("useMask");
    const model = tfl.sequential({ layers: [masking(), make({ useMask: true, name: "norm" })] });
    const before = model.predict(series()) as tf.Tensor3D;
    expect(zeros(before)).toEqual(counts);
    const loaded = await tfl.loadLayersModel(tf.io.fromMemory(await artifacts(model)));
    expect(loaded.getLayer("norm").getConfig().useMask).toBe(true);
    expect([...values(loaded.predict(series()))]).toEqual([...values(before)]);
  });

  it("normalizations that Keras does not have leave masked positions out, unless they are told not to", () => {
    const make = (args: object) => layers.dynamicTanh({ ...args, betaInitializer: "ones" });
    expect(zeros(predicted(make({})))).toEqual(counts);
    expect(zeros(predicted(make({ useMask: false })))).toEqual(everywhere);
    expect(make({}).getConfig()).not.toHaveProperty("useMask");
    expect(make({ useMask: false }).getConfig().useMask).toBe(false);
  });

  it("the mask goes on to the next layer either way", () => {
    for (const useMask of [true, false]) {
      const y = predicted(
        layers.layerNormalization({ useMask, betaInitializer: "ones" }),
        layers.dynamicTanh({ betaInitializer: "ones" }),
      );
      expect(zeros(y)).toEqual(counts);
    }
  });

  describe("in timeDistributed", () => {
    const each = (layer: tfl.layers.Layer) => tfl.layers.timeDistributed({ layer });

    it("each step has its own mask, of as many steps as features too", () => {
      const y = predicted(each(layers.layerNormalization({ useMask: true, betaInitializer: "ones" })));
      expect(zeros(y)).toEqual(counts);
      const whole = predicted(layers.layerNormalization({ useMask: true, betaInitializer: "ones" }));
      expectClose("y", values(y), values(whole), () => 1e-6);
      const longer = tfl.sequential({
        layers: [
          tfl.layers.masking({ inputShape: [3, FEATURES] }),
          each(layers.dynamicTanh({ betaInitializer: "ones" })),
        ],
      });
      const x = tf.slice(series(), [0, 0, 0], [3, 3, FEATURES]);
      expect(zeros(longer.predict(x) as tf.Tensor3D)).toEqual(counts.map((example) => example.slice(0, 3)));
    });

    it("a step's statistics are those of the examples that have it", () => {
      const layer = layers.batchNormalization({ useMask: true, momentum: 0 });
      const model = tfl.sequential({ layers: [masking(), each(layer)] });
      model.call(series(), { training: true });
      // the last step is of the third example alone, whose variance says nothing: statistics are those of step 2
      const x = series().arraySync() as number[][][];
      const mean = x[0][2].map((value, f) => (value + x[2][2][f]) / 2);
      expectClose("mean", values(layer.variables.runningMean.read()), mean, () => 1e-5);
    });

    it("a residual block too, and layers that use no mask get what they got", () => {
      const block = residual(tfl.layers.dense({ units: FEATURES }), {
        placement: "post",
        normalization: layers.layerNormalization({ useMask: true, betaInitializer: "ones" }),
      });
      expect(zeros(predicted(each(block)))).toEqual(counts);
      expect(zeros(predicted(each(layers.layerNormalization({ betaInitializer: "ones" }))))).toEqual(
        everywhere,
      );
    });

    it("an error leaves the layer as it was", () => {
      const layer = layers.layerNormalization({ useMask: true });
      const model = tfl.sequential({ layers: [masking(), each(layer)] });
      const { build } = layer;
      model.predict(series());
      layer.normalization = {
        ...layer.normalization,
        apply: () => {
          throw new Error("inner");
        },
      };
      expect(() => model.predict(series())).toThrow("inner");
      expect(Object.hasOwn(layer, "call")).toBe(false);
      expect(layer.build).toBe(build);
    });
  });

  it("useMask is true or false", () => {
    expect(() => layers.layerNormalization({ useMask: 1 as unknown as boolean })).toThrow(
      new TypeError("LayerNormalization: useMask must be true or false, got 1"),
    );
  });
});
