/** One replica of data-parallel training: it trains as the model itself does. Several of them are in test/replicas, in threads. */
import * as tf from "@tensorflow/tfjs-core";
import * as tfl from "@tensorflow/tfjs-layers";
import { beforeAll, describe, expect, it } from "vitest";
import { type Exchange, exchangeIn, shardOf, sharedMemory } from "../../../src/replicas/index.js";
import { epochStatistics, install, layers, replicaOf } from "../../../src/tfjs/index.js";
import { normal } from "../../support/numerics.js";
import { leakless, use } from "../../support/tfjs-backends.js";

beforeAll(async () => {
  await use("cpu");
  await install();
});

const alone = (): Exchange => exchangeIn(sharedMemory({ replicas: 1 }), 0);

function modelOf(compile = true, norm: object = layers.batchNormalization()): tfl.Sequential {
  const kernelInitializer = (seed: number) => tfl.initializers.glorotUniform({ seed });
  const model = tfl.sequential();
  // a bias before a batch norm has a gradient of rounding alone, which Adam makes steps of full size of
  const first = { inputShape: [3], units: 4, useBias: false, kernelInitializer: kernelInitializer(1) };
  model.add(tfl.layers.dense(first));
  model.add(norm as tfl.layers.Layer);
  model.add(
    tfl.layers.dense({
      units: 2,
      activation: "softmax",
      kernelInitializer: kernelInitializer(2),
      kernelRegularizer: tfl.regularizers.l2({ l2: 0.1 }),
    }),
  );
  if (compile)
    model.compile({ optimizer: tf.train.adam(0.05), loss: "categoricalCrossentropy", metrics: ["accuracy"] });
  return model;
}

const x = () => tf.tensor2d(normal(60, 1, 2), [20, 3]);
const y = () =>
  tf.tidy(() =>
    tf.cast(
      tf.oneHot(
        tf.tensor1d(
          Array.from({ length: 20 }, (_, i) => i % 2),
          "int32",
        ),
        2,
      ),
      "float32",
    ),
  );
const weights = (model: tfl.LayersModel) => model.getWeights().map((one) => Array.from(one.dataSync()));

it("a single replica takes the model's own steps, its regularizer and metrics among them", async () => {
  const [ours, theirs] = [modelOf(), modelOf()];
  const replica = replicaOf(ours, { exchange: alone(), rank: 0, replicas: 1 });
  expect(replica.merged).toEqual([ours.layers[1].name]);
  for (let step = 0; step < 4; step++) {
    const result = await replica.trainStep(x(), y());
    const [loss, accuracy] = (await theirs.trainOnBatch(x(), y())) as number[];
    expect(result.loss).toBeCloseTo(loss, 5);
    expect(result.acc).toBeCloseTo(accuracy, 6);
  }
  const expected = weights(theirs);
  weights(ours).forEach((values, i) => {
    values.forEach((value, j) => {
      expect(Math.abs(value - expected[i][j])).toBeLessThan(1e-5);
    });
  });
});

it("leaves no tensor, and the optimizer as it was", async () => {
  const model = modelOf();
  const replica = replicaOf(model, { exchange: alone(), rank: 0, replicas: 1, compareEvery: 1 });
  const [given, targets] = [x(), y()];
  // the optimizer's variables are made in the first step
  await replica.trainStep(given, targets);
  const before = tf.memory().numTensors;
  await replica.trainStep(given, targets);
  await replica.fit(given, targets, { batchSize: 8 });
  expect(tf.memory().numTensors - before).toBe(0);
  expect(Object.hasOwn(model.optimizer, "computeGradients")).toBe(false);
  leakless("compare", () => replica.compare());
});

it("fit: an order that the seed gives, batches cut to the end, means over the examples", async () => {
  const history = async (options: object) => {
    const replica = replicaOf(modelOf(), { exchange: alone(), rank: 0, replicas: 1 });
    return (await replica.fit(x(), y(), { epochs: 2, batchSize: 8, ...options })).history;
  };
  const first = await history({ seed: 5 });
  expect(first.loss).toHaveLength(2);
  expect(await history({ seed: 5 })).toEqual(first);
  expect(await history({ seed: 6 })).not.toEqual(first);
  // without an order, an epoch is model.fit's
  const model = modelOf();
  const { history: theirs } = await model.fit(x(), y(), {
    epochs: 2,
    batchSize: 8,
    shuffle: false,
    verbose: 0,
  });
  const ours = await history({ shuffle: false });
  expect(ours.loss[1]).toBeCloseTo(theirs.loss[1] as number, 4);
});

it("fit calls callbacks: an epoch's statistics begin anew, and a callback may stop", async () => {
  const model = modelOf(true, layers.batchNormalization({ name: "norm", average: "epoch" }));
  const replica = replicaOf(model, { exchange: alone(), rank: 0, replicas: 1 });
  const seen: number[] = [];
  const stops = {
    onEpochEnd(epoch: number) {
      seen.push(epoch);
      if (epoch === 1) model.stopTraining = true;
    },
  };
  await replica.fit(x(), y(), { epochs: 5, batchSize: 8, callbacks: [epochStatistics(), stops] });
  expect(seen).toEqual([0, 1]);
  const count = model.getLayer("norm").weights.find(({ originalName }) => /count/i.test(originalName));
  expect(Array.from(count?.read().dataSync() ?? [])).toEqual([20, 20, 20, 20]);
});

it("compile: for a model that is not yet; end(): its statistics are its own again", async () => {
  const model = modelOf(false);
  let calls = 0;
  const exchange: Exchange = (values) => {
    calls++;
    return [values];
  };
  const compile = { optimizer: "sgd", loss: "meanSquaredError" };
  const replica = replicaOf(model, { exchange, rank: 0, replicas: 1, compile });
  await replica.trainStep(x(), y());
  // who they are, what must be the same, weights; then examples, statistics forward and backward, gradients
  expect(calls).toBe(3 + 4);
  await replica.trainStep(x(), y());
  expect(calls).toBe(3 + 2 * 4);
  replica.end();
  await model.trainOnBatch(x(), y());
  expect(calls).toBe(3 + 2 * 4);
});

describe("what cannot be trained is told, here and to the others", () => {
  const options = (more: object = {}) => ({ exchange: alone(), rank: 0, replicas: 1, ...more });

  it.each([
    ["replicaOf: rank must be an integer from 0 to 0, got 1", { rank: 1 }],
    ["replicaOf: replicas must be a positive integer, got 0", { replicas: 0 }],
    ["replicaOf: compareEvery must be a number of steps, 0 for never, got -1", { compareEvery: -1 }],
    ["reduceOver: groups must hold every rank from 0 once, got [[1]]", { groups: [[1]] }],
    [
      'replicaOf: no option is called "device"; there are exchange, rank, replicas, compile, groups, compareEvery, layers',
      { device: 1 },
    ],
    [
      "replicaOf: exchange must be a function of this replica's values that gives those of all, got undefined; exchangeIn(memory, rank) makes one",
      { exchange: undefined },
    ],
  ])("%s", (message, more) => {
    expect(() => replicaOf(modelOf(), options(more) as never)).toThrow(message);
  });

  it("a model that is not compiled, and online normalization", () => {
    expect(() => replicaOf(modelOf(false), options())).toThrow(
      "replicaOf: the model is not compiled; call model.compile() first, or give compile: { loss, optimizer }",
    );
    const online = layers.onlineNormalization({ name: "online" });
    expect(() => replicaOf(modelOf(true, online), options())).toThrow(/online \(onlineNorm\)/);
    const layersOf = { layers: (layer: { name: string }) => layer.name !== "online" };
    expect(
      replicaOf(modelOf(true, layers.onlineNormalization({ name: "online" })), options(layersOf)).merged,
    ).toEqual([]);
  });

  it("an empty part, another number of replicas, two steps at once", async () => {
    const told: string[] = [];
    const exchange = Object.assign((values: Float64Array) => [values], {
      fail: (reason: string) => void told.push(reason),
    });
    const replica = replicaOf(modelOf(), options({ exchange }));
    const empty = [tf.zeros([0, 3]), tf.zeros([0, 2])];
    const message = "trainStep: each replica needs at least one example of every batch, got none";
    await expect(replica.trainStep(empty[0], empty[1])).rejects.toThrow(message);
    expect(told).toEqual([message]);
    await expect(
      replicaOf(modelOf(), options({ exchange, replicas: 3 })).trainStep(x(), y()),
    ).rejects.toThrow(
      "replicaOf: replicas must be how many there are on all machines, got 3, but 1 exchange",
    );
    const step = replica.trainStep(x(), y());
    await expect(replica.trainStep(x(), y())).rejects.toThrow(
      "trainStep: a step is under way; await it before the next one",
    );
    await step;
    await expect(replica.fit(x(), y(), { batchSize: 0 })).rejects.toThrow(
      "fit: batchSize must be an integer of at least the number of replicas, 1, got 0",
    );
    await expect(replica.fit(x(), y(), { epochs: 0 })).rejects.toThrow(
      "fit: epochs must be an integer of at least 1, got 0",
    );
  });

  it("an exchange that answers later", async () => {
    const later = async (values: Float64Array) => [values];
    const replica = replicaOf(modelOf(), options({ exchange: later }));
    await expect(replica.trainStep(x(), y())).rejects.toThrow(
      "replicaOf: expected an exchange that answers at once, got a promise; a thread waits by exchangeIn(memory, rank), and relay() serves it over what takes time",
    );
  });

  /** As though there was another replica, which answers the same but for what is asked one by one and `tampered`. */
  const twice =
    (tampered: (theirs: Float64Array, call: number) => void): Exchange =>
    (values, merge) => {
      if (merge !== undefined) return [values, values].map((list) => list.map((value) => value / 2));
      const theirs = values.slice();
      tampered(theirs, calls++);
      return [values, theirs];
    };
  let calls = 0;
  const other = (tampered: (theirs: Float64Array, call: number) => void, more: object = {}) => {
    calls = 0;
    const model = modelOf(true, layers.layerNormalization({ name: "norm" }));
    const exchange = twice((theirs, call) => {
      if (call === 0) theirs[0] = 1;
      tampered(theirs, call);
    });
    return replicaOf(model, options({ exchange, replicas: 2, ...more }));
  };

  it("a weight that differs, by its name", async () => {
    const replica = other((theirs, call) => call === 2 && theirs[1]++, { compareEvery: 1 });
    await expect(replica.trainStep(x(), y())).rejects.toThrow(
      "replicaOf: norm/gamma differs between replica 0 and replica 1 after step 1; all must run the same model and optimizer on engines that round alike (install({ relaxed: false }))",
    );
  });

  it.each([
    ["ranks must be those of the exchange, 0 to 1 in this order, got 0, 0", 0, 0, -1],
    [
      "compareEvery must be the same in all replicas, but differs between replica 0 and replica 1: 100 and 101",
      1,
      0,
      1,
    ],
    ["the model (shapes of its weights) must be the same in all replicas, but differs", 1, 1, 1],
    ["the optimizer must be the same in all replicas, but differs between replica 0 and replica 1", 1, 2, 1],
    ["the loss must be the same in all replicas, but differs between replica 0 and replica 1", 1, 3, 1],
    ["groups must be the same in all replicas, but differs between replica 0 and replica 1", 1, 4, 1],
  ])("before the first step: %s", async (message, at, place, more) => {
    const replica = other((theirs, call) => {
      if (call === at) theirs[place] += more;
    });
    await expect(replica.trainStep(x(), y())).rejects.toThrow(`replicaOf: ${message}`);
  });

  it("fit: other data, and another seed", async () => {
    for (const [place, name] of [
      [0, "examples"],
      [3, "seed"],
    ] as const) {
      calls = 0;
      const exchange = twice((theirs) => theirs[place]++);
      const replica = replicaOf(modelOf(), options({ exchange, replicas: 2 }));
      await expect(replica.fit(x(), y())).rejects.toThrow(`fit: ${name} must be the same in all replicas`);
    }
  });

  it("an optimizer that takes gradients where nobody hears of them", async () => {
    class Apart extends tf.SGDOptimizer {
      override minimize(f: () => tf.Scalar, _: boolean, variables: tf.Variable[]) {
        const { value, grads } = tf.variableGrads(f, variables);
        this.applyGradients(grads);
        tf.dispose(grads);
        return value;
      }
    }
    const model = modelOf(false);
    const compile = { optimizer: new Apart(0.1), loss: "meanSquaredError" };
    const replica = replicaOf(model, options({ compile }));
    await expect(replica.trainStep(x(), y())).rejects.toThrow(
      "replicaOf: the optimizer must take its gradients from its computeGradients(), where replicas add theirs up",
    );
  });

  it("a callback that throws, and options that are none", async () => {
    const told: string[] = [];
    const exchange = Object.assign((values: Float64Array) => [values], {
      fail: (reason: string) => void told.push(reason),
    });
    const replica = replicaOf(modelOf(), options({ exchange }));
    const callbacks = {
      onEpochEnd() {
        throw new Error("disk full");
      },
    };
    await expect(replica.fit(x(), y(), { callbacks })).rejects.toThrow("disk full");
    await expect(replica.fit(x(), undefined as never)).rejects.toThrow("fit: targets must be");
    expect(told).toEqual(["disk full", expect.stringMatching(/^fit: targets must be/)]);
  });
});

it("one replica that stops ends the training of all, TensorFlow.js's early stopping too", async () => {
  const model = modelOf();
  const early = tfl.callbacks.earlyStopping({ monitor: "loss", minDelta: 100, patience: 2 });
  const replica = replicaOf(model, { exchange: alone(), rank: 0, replicas: 1 });
  const { history } = await replica.fit(x(), y(), { epochs: 9, callbacks: early });
  expect(history.loss).toHaveLength(3);
  // the other one stops, which is all that it says here
  let said = 0;
  const exchange: Exchange = (values) => {
    const isFlag = values.length === 1 && values[0] === 0;
    return isFlag && said++ === 1 ? [Float64Array.of(0), Float64Array.of(1)] : [values];
  };
  const other = replicaOf(modelOf(), { exchange, rank: 0, replicas: 1 });
  const { history: stopped } = await other.fit(x(), y(), { epochs: 9 });
  expect(said).toBeGreaterThan(1);
  expect(stopped.loss.length).toBeLessThan(9);
});

it.each([
  [
    10,
    3,
    [
      [0, 4],
      [4, 7],
      [7, 10],
    ],
  ],
  [
    6,
    3,
    [
      [0, 2],
      [2, 4],
      [4, 6],
    ],
  ],
  [
    2,
    3,
    [
      [0, 1],
      [1, 2],
      [2, 2],
    ],
  ],
  [0, 1, [[0, 0]]],
])("shardOf: %d examples over %d replicas", (examples, replicas, parts) => {
  expect(parts.map((_, rank) => shardOf(examples, rank, replicas))).toEqual(parts);
});

it("shardOf says what it takes", () => {
  expect(() => shardOf(-1, 0, 1)).toThrow(
    new RangeError("shardOf: examples must be an integer of at least 0, got -1"),
  );
  expect(() => shardOf(1, "0" as never, 1)).toThrow(
    new TypeError('shardOf: rank must be an integer from 0 to 0, got "0"'),
  );
});
