/** Layers whose batch lies in several places: a model of K places trains like one place with the whole batch. */
import * as tf from "@tensorflow/tfjs-core";
import * as tfl from "@tensorflow/tfjs-layers";
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { batchNorm, type MomentsList, mergeLists, type Reduce } from "../../../src/index.js";
import {
  apply,
  install,
  layers,
  normalize,
  recalibrate,
  synchronizeStatistics,
} from "../../../src/tfjs/index.js";
import { expectClose, largest, normal, tolerance } from "../../support/numerics.js";
import { inPlaces } from "../../support/places.js";
import { backends, leakless, use } from "../../support/tfjs-backends.js";

const layer = (made: object) => made as tfl.layers.Layer;
const values = (tensor: tf.Tensor) => [...(tensor.dataSync() as Float32Array)];

function close(name: string, actual: number[], expected: number[], relative = tolerance.backward): void {
  expectClose(name, Float64Array.from(actual), expected, () => relative * Math.max(0.1, largest(expected)));
}

/** A network with a normalization of each kind: ours, TensorFlow.js's own in a nested model, and two that measure no batch. */
function network(): tfl.LayersModel {
  const nested = tfl.sequential({ name: "nested" });
  nested.add(tfl.layers.batchNormalization({ name: "built-in", inputShape: [3, 4], momentum: 0.5 }));
  nested.add(layer(layers.layerNormalization({ name: "rows" })));
  const model = tfl.sequential();
  model.add(
    tfl.layers.dense({
      units: 4,
      inputShape: [3, 2],
      kernelInitializer: tfl.initializers.glorotUniform({ seed: 1 }),
    }),
  );
  model.add(
    layer(layers.batchNormalization({ name: "ours", momentum: 0.5, runningVariance: "unbiased" } as never)),
  );
  // joined to the layer before it
  model.add(tfl.layers.activation({ activation: "relu" }));
  model.add(nested);
  model.add(layer(layers.batchRenormalization({ name: "renorm", momentum: 0.9 } as never)));
  model.add(layer(layers.groupNormalization({ name: "groups", groups: 2 } as never)));
  model.add(tfl.layers.dense({ units: 1, kernelInitializer: tfl.initializers.glorotUniform({ seed: 2 }) }));
  return model;
}

/** What another place measured of so many statistics. */
function momentsOfOthers(statistics: number): MomentsList {
  const [count, mean, m2] = [2, 0.5, 3].map((value) => new Float64Array(statistics).fill(value));
  return { count, mean, m2 };
}

const MERGING = ["ours", "built-in", "renorm"];

/** One training step's gradients and state, of a loss that is a sum over examples. */
function step(x: tf.Tensor, dy: tf.Tensor, reduce?: Reduce) {
  const model = network();
  if (reduce) synchronizeStatistics(model, reduce);
  const variables = model.trainableWeights.map((weight) => weight.read() as tf.Variable);
  const { grads } = tf.variableGrads(() => {
    const y = model.apply(x, { training: true }) as tf.Tensor;
    return tf.sum(tf.mul(y, dy)) as tf.Scalar;
  }, variables);
  const result = {
    gradients: variables.map(({ name }) => values(grads[name])),
    state: model.nonTrainableWeights.map((weight) => values(weight.read())),
  };
  tf.dispose(grads);
  model.dispose();
  return result;
}

beforeAll(() => use("wasm").then(() => install()));

describe.each(backends)("%s", (backend) => {
  beforeEach(() => use(backend));

  it("trains like one place with the whole batch, in uneven parts", () => {
    const sizes = [2, 1, 5];
    const from = (place: number) => sizes.slice(0, place).reduce((a, b) => a + b, 0);
    const x = tf.tensor(normal(8 * 6, 1, 20, 1), [8, 3, 2]);
    const dy = tf.tensor(normal(8 * 3, 2), [8, 3, 1]);
    const whole = tf.tidy(() => step(x, dy));
    const { results, calls } = inPlaces(sizes.length, (place, reduce) =>
      tf.tidy(() =>
        step(tf.slice(x, from(place), sizes[place]), tf.slice(dy, from(place), sizes[place]), reduce),
      ),
    );
    expect(calls).toBe(2 * MERGING.length);
    expect(whole.state.length).toBeGreaterThan(5);
    whole.gradients.forEach((one, i) => {
      const sum = one.map((_, at) => results.reduce((all, { gradients }) => all + gradients[i][at], 0));
      close(`gradient ${i}`, sum, one, 4 * tolerance.backward);
    });
    for (const { state } of results) {
      state.forEach((one, i) => {
        close(`state ${i}`, one, whole.state[i]);
        expect(one).toEqual(results[0].state[i]);
      });
    }
  });

  it("gives the gradients of the whole batch, to be added up", () => {
    const sizes = [3, 1, 0, 4];
    const norm = batchNorm();
    const x = tf.tensor(normal(8 * 6, 1, 1e5, 1), [8, 2, 3]);
    const dy = tf.tensor(normal(8 * 6, 2), [8, 2, 3]);
    const mask = tf.tensor([1, 1, 0, 1, 1, 0, 1, 1], [8]);
    const residual = tf.tensor(normal(8 * 6, 4), [8, 2, 3]);
    const [gamma, beta] = [tf.tensor1d([1, -2, 0.5]), tf.tensor1d([0, 1, 2])];
    const run = (take: (array: tf.Tensor) => tf.Tensor, reduce?: Reduce) => {
      let outputs: number[][] = [];
      const forward = (...[input, added, scale, shift]: tf.Tensor[]) => {
        const all = { mask: take(mask), residual: added, reduce };
        const { y, sum, state } = apply(norm, input, { gamma: scale, beta: shift }, all);
        outputs = [values(y), values(sum as tf.Tensor), ...Object.values(state ?? {}).map(values)];
        return tf.add(tf.sum(tf.mul(y, take(dy))), tf.sum(sum as tf.Tensor)) as tf.Scalar;
      };
      const gradients = tf.grads(forward)([take(x), take(residual), gamma, beta]);
      return { outputs, gradients: gradients.map(values) };
    };
    const whole = tf.tidy(() => run((array) => array));
    const { results, calls } = leakless("all places", () =>
      inPlaces(sizes.length, (place, reduce) => {
        const begin = sizes.slice(0, place).reduce((a, b) => a + b, 0);
        return tf.tidy(() => run((array) => tf.slice(array, begin, sizes[place]), reduce));
      }),
    );
    expect(calls).toBe(2);
    for (const i of [0, 1]) {
      close(
        `output ${i}`,
        results.flatMap(({ outputs }) => outputs[i]),
        whole.outputs[i],
        4e-6,
      );
      close(
        `gradient ${i}`,
        results.flatMap(({ gradients }) => gradients[i]),
        whole.gradients[i],
      );
    }
    for (const i of [2, 3]) {
      for (const { outputs } of results) close(`state ${i}`, outputs[i], whole.outputs[i]);
      const sums = whole.gradients[i].map((_, at) =>
        results.reduce((sum, { gradients }) => sum + gradients[i][at], 0),
      );
      close(`gradient ${i}`, sums, whole.gradients[i], 4 * tolerance.backward);
    }
  });

  it("normalizes by itself too", () => {
    const x = tf.tensor(normal(24, 1, 1e6, 1), [8, 3]);
    const gamma = tf.tensor1d([1, 2, 3]);
    const whole = normalize(batchNorm(), x, { gamma });
    const { results } = inPlaces(2, (place, reduce) => {
      const { y, mean, variance } = normalize(batchNorm(), tf.slice(x, place * 3, place ? 5 : 3), {
        gamma,
        reduce,
      });
      return [y, mean as tf.Tensor, variance as tf.Tensor].map(values);
    });
    close(
      "y",
      results.flatMap(([y]) => y),
      values(whole.y),
      4e-6,
    );
    for (const [, mean, variance] of results) {
      close("mean", mean, values(whole.mean as tf.Tensor), 2 * tolerance.addition);
      close("variance", variance, values(whole.variance as tf.Tensor));
    }
  });

  it("merges on the way back too where the backend is another one by then", () => {
    const x = tf.tensor(normal(12, 1), [4, 3]);
    const dy = tf.tensor(normal(12, 2), [4, 3]);
    const elsewhere = momentsOfOthers(3);
    const reduce: Reduce = (list) => (list.count.length === 3 ? mergeLists([list, elsewhere]) : list);
    const gradient = (then: string) =>
      tf.grad((input) => {
        const { y } = apply(batchNorm(), input, {}, { reduce });
        tf.setBackend(then);
        return y;
      })(x, dy);
    const expected = values(gradient(backend));
    close("dx", values(gradient("cpu")), expected);
  });

  it("has no second derivatives, and says so", () => {
    const x = tf.tensor(normal(6, 1), [3, 2]);
    const loss = (input: tf.Tensor) =>
      tf.sum(tf.pow(apply(batchNorm(), input, {}, { reduce: (list) => list }).y, 3));
    const first = tf.grad((input) => loss(input as tf.Tensor));
    first(x);
    expect(() => tf.grad((input) => tf.sum(first(input)))(x)).toThrow(
      new Error(
        "evenkeel: statistics that are merged with those of other places have no second derivatives; take them without reduce",
      ),
    );
  });
});

describe("synchronizeStatistics", () => {
  beforeEach(() => use("wasm"));
  const x = () => tf.tensor(normal(12, 1), [2, 3, 2]);

  it("asks in training alone, in the order of the layers, until it is ended; and is not saved", () => {
    const model = network();
    const before = JSON.stringify(model.toJSON(null, false));
    const sizes: number[] = [];
    const reduce: Reduce = (list) => {
      sizes.push(list.count.length);
      return list;
    };
    expect(synchronizeStatistics(model, reduce)).toEqual(MERGING);
    expect(JSON.stringify(model.toJSON(null, false))).toBe(before);
    model.predict(x());
    expect(sizes).toEqual([]);
    model.apply(x(), { training: true });
    expect(sizes).toEqual([4, 4, 4]);
    expect(synchronizeStatistics(model, undefined)).toEqual(MERGING);
    model.apply(x(), { training: true });
    expect(sizes).toHaveLength(3);
    expect(synchronizeStatistics(model, reduce, { layers: ({ name }) => name === "renorm" })).toEqual([
      "renorm",
    ]);
    model.apply(x(), { training: true });
    expect(sizes).toHaveLength(4);
  });

  it("leaves frozen layers alone, and layers in wrappers not", () => {
    const model = tfl.sequential();
    model.add(
      tfl.layers.timeDistributed({
        layer: layer(layers.batchNormalization({ name: "inside", axis: -1 } as never)),
        inputShape: [3, 2],
      }),
    );
    let calls = 0;
    const names = synchronizeStatistics(model, (list) => {
      calls++;
      return list;
    });
    expect(names).toEqual(["inside"]);
    const { layer: inside } = model.layers[0] as unknown as { layer: { frozen: boolean } };
    model.apply(x(), { training: true });
    expect(calls).toBeGreaterThan(0);
    const asked = calls;
    inside.frozen = true;
    model.apply(x(), { training: true });
    expect(calls).toBe(asked);
  });

  it("asks nobody while a model is recalibrated in one place", async () => {
    const model = tfl.sequential();
    model.add(layer(layers.batchLayerNormalization({ name: "bln", inputShape: [3, 2] } as never)));
    model.add(layer(layers.batchNormalization({ name: "bn" } as never)));
    let calls = 0;
    synchronizeStatistics(model, (list) => {
      calls++;
      return list;
    });
    expect(await recalibrate(model, [x()])).toEqual(["bln", "bn"]);
    expect(calls).toBe(0);
    model.apply(x(), { training: true });
    expect(calls).toBe(3);
  });

  it("refuses layers that cannot merge, and what is no reduction", () => {
    const model = tfl.sequential();
    model.add(layer(layers.onlineNormalization({ name: "online", inputShape: [3] } as never)));
    expect(() => synchronizeStatistics(model, (list) => list)).toThrow(
      new Error(
        "synchronizeStatistics: online (onlineNorm) follows the examples of one place in their order, and cannot merge them with " +
          "others; leave it out with layers: (layer) => …, or use batch normalization",
      ),
    );
    expect(synchronizeStatistics(model, (list) => list, { layers: () => false })).toEqual([]);
    expect(synchronizeStatistics(model, undefined)).toEqual([]);
    expect(() => synchronizeStatistics(model, 1 as never)).toThrow(
      "synchronizeStatistics: reduce must be a function from moments to those of all places, got 1",
    );
    const late = async () => undefined;
    expect(() => apply(batchNorm(), tf.ones([2, 2]), {}, { reduce: late as never })).toThrow(
      "got a promise of them",
    );
  });
});
