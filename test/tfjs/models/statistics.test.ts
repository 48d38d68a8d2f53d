/** Choosing, recalibrating, freezing and comparing the statistics of real models, against evaluation by hand in float64. */
import * as tf from "@tensorflow/tfjs-core";
import * as tfl from "@tensorflow/tfjs-layers";
import { beforeAll, describe, expect, it } from "vitest";
import {
  apply,
  batchLayerNorm,
  momentsOf,
  open,
  type PlainArray,
  type StatisticsSources,
} from "../../../src/index.js";
import {
  epochStatistics,
  freezeStatistics,
  install,
  layers,
  type NormalizationLayer,
  recalibrate,
  selectStatistics,
  statisticsGap,
} from "../../../src/tfjs/index.js";
import { expectClose, normal } from "../../support/numerics.js";
import { backends, use } from "../../support/tfjs-backends.js";

const truth = await open({ backend: "reference" });

type Maker = () => tfl.layers.Layer;
const asLayer = (layer: unknown) => layer as tfl.layers.Layer;
const values = (tensor: tf.Tensor) => Array.from(tensor.dataSync());
const close = (name: string, actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance = 1e-4) =>
  expectClose(name, Float64Array.from(actual), expected, (i) => tolerance * (1 + Math.abs(expected[i])));
const named = (model: tfl.LayersModel, name: string) => model.getLayer(name) as unknown as NormalizationLayer;
const weights = (model: tfl.LayersModel) => model.getWeights().flatMap((weight) => values(weight));

/** dense 3 → 4, batch normalization, (dropout,) dense 4 → 2; statistics that are not those of any batch. */
function denseModel(batch: Maker, { dropout = false, metrics = [] as string[] } = {}) {
  const kernel = (seed: number) => tfl.initializers.randomNormal({ mean: 0.2, stddev: 0.8, seed });
  const model = tfl.sequential({
    layers: [
      tfl.layers.dense({ inputShape: [3], units: 4, kernelInitializer: kernel(1), name: "first" }),
      batch(),
      ...(dropout ? [tfl.layers.dropout({ rate: 0.5 })] : []),
      tfl.layers.dense({ units: 2, kernelInitializer: kernel(2), name: "second" }),
    ],
  });
  model.compile({ optimizer: tf.train.sgd(0.1), loss: "meanSquaredError", metrics });
  return model;
}

function randomize(layer: NormalizationLayer, names: readonly string[], seed: number) {
  names.forEach((name, i) => {
    const variable = layer.variables[name];
    tf.tidy(() => {
      const shape = variable.shape as number[];
      const drawn = tf.tensor(normal(tf.util.sizeFromShape(shape), seed + i), shape);
      variable.write(name.endsWith("Variance") ? tf.add(tf.square(drawn), 0.3) : drawn);
    });
  });
}

/** rows × inner by inner × columns. */
function product(a: readonly number[][], b: readonly number[], columns: number, bias: readonly number[]) {
  return a.map((row) =>
    Array.from({ length: columns }, (_, c) =>
      row.reduce((sum, v, k) => sum + v * b[k * columns + c], bias[c]),
    ),
  );
}

const rows = (tensor: tf.Tensor) => tensor.arraySync() as number[][];
const columns = (matrix: readonly number[][]) => matrix[0].map((_, c) => matrix.map((row) => row[c]));

/** Mean squared error of a dense model, batch by batch, in float64. */
function denseLoss(model: tfl.LayersModel, batches: [number[][], number[][]][], sources: StatisticsSources) {
  const [kernel, bias, gamma, beta, second, secondBias, mean, variance] = model.getWeights().map(values);
  let total = 0;
  let examples = 0;
  for (const [x, y] of batches) {
    const hidden = product(x, kernel, 4, bias);
    const measured = columns(hidden).map((column) => momentsOf(column));
    const normalized = hidden.map((row) =>
      row.map((value, c) => {
        const m = sources.batchMean === "batch" ? measured[c].mean : mean[c];
        const v = sources.batchVariance === "batch" ? measured[c].m2 / measured[c].count : variance[c];
        return ((value - m) / Math.sqrt(v + 1e-3)) * gamma[c] + beta[c];
      }),
    );
    const output = product(normalized, second, 2, secondBias);
    const errors = output.flatMap((row, i) => row.map((value, c) => (value - y[i][c]) ** 2));
    total += (errors.reduce((a, b) => a + b, 0) / errors.length) * x.length;
    examples += x.length;
  }
  return total / examples;
}

function cut(x: tf.Tensor, y: tf.Tensor, sizes: number[]): [number[][], number[][]][] {
  const [xs, ys] = [rows(x), rows(y)];
  let at = 0;
  return sizes.map((size) => {
    at += size;
    return [xs.slice(at - size, at), ys.slice(at - size, at)];
  });
}

/** What comes of it, failing where tensors are left. */
async function withoutLeaks<T>(run: () => Promise<T> | T): Promise<T> {
  const before = tf.memory().numTensors;
  const result = await run();
  expect(tf.memory().numTensors - before, "tensors left behind").toBe(0);
  return result;
}

describe.each(backends)("%s", (backend) => {
  beforeAll(async () => {
    await use(backend);
    await install();
  });

  const data = (count: number) => ({
    xs: tf.tensor2d(normal(count * 3, 5, 1, 2), [count, 3]),
    ys: tf.tensor2d(normal(count * 2, 6), [count, 2]),
  });

  describe("selectStatistics", () => {
    it("tries 4 ways for batch normalization, with the losses of evaluation by hand, and applies the best", async () => {
      const model = denseModel(() => asLayer(layers.batchNormalization({ name: "batch" })));
      randomize(named(model, "batch"), ["gamma", "beta", "runningMean", "runningVariance"], 40);
      const { xs, ys } = data(11);
      const { ranking, gaps } = await withoutLeaks(() => selectStatistics(model, { xs, ys, batchSize: 4 }));
      expect(ranking.length).toBe(4);
      expect(new Set(ranking.map(({ configuration }) => JSON.stringify(configuration))).size).toBe(4);
      for (const { configuration, loss, metrics } of ranking) {
        expect(Object.keys(configuration)).toEqual(["batchMean", "batchVariance"]);
        close(
          JSON.stringify(configuration),
          [loss],
          [denseLoss(model, cut(xs, ys, [4, 4, 3]), configuration)],
        );
        expect(metrics).toEqual({});
      }
      const losses = ranking.map(({ loss }) => loss);
      expect(losses).toEqual([...losses].sort((a, b) => a - b));
      expect(new Set(losses).size).toBe(4);
      expect(named(model, "batch").getConfig().sources).toEqual(ranking[0].configuration);
      const again = model.evaluate(xs, ys, { batchSize: 4 }) as tf.Scalar;
      expect(again.dataSync()[0]).toBe(losses[0]);
      expect(gaps.map(({ layer, over }) => [layer, over])).toEqual([["batch", "batch"]]);
    });

    it("tries 16 ways for Batch Layer Normalization in a convolutional network, as by hand", async () => {
      const build = () => {
        const input = tfl.input({ shape: [4, 4, 2] });
        const convolved = tfl.layers
          .conv2d({
            filters: 3,
            kernelSize: 3,
            padding: "same",
            kernelInitializer: tfl.initializers.randomNormal({ stddev: 0.5, seed: 3 }),
          })
          .apply(input) as tfl.SymbolicTensor;
        const normalized = asLayer(layers.batchLayerNormalization({ name: "bln" })).apply(convolved);
        const pooled = tfl.layers.globalAveragePooling2d({}).apply(normalized as tfl.SymbolicTensor);
        const output = tfl.layers
          .dense({
            units: 2,
            activation: "softmax",
            kernelInitializer: tfl.initializers.randomNormal({ stddev: 3, seed: 4 }),
          })
          .apply(pooled) as tfl.SymbolicTensor;
        return {
          model: tfl.model({ inputs: input, outputs: output }),
          features: tfl.model({ inputs: input, outputs: convolved }),
        };
      };
      const { model, features } = build();
      model.compile({ optimizer: "sgd", loss: "categoricalCrossentropy", metrics: ["accuracy"] });
      const layer = named(model, "bln");
      const kept = ["batchMean", "batchVariance", "featureMean", "featureVariance"];
      randomize(layer, ["gamma", "beta", ...kept], 50);
      layer.variables.batchSize.write(tf.fill([4, 4], 9));
      const labels = [0, 1, 1, 0, 1, 0, 0];
      const sizes = [3, 1, 3];
      const batches = sizes.map((size, i) => {
        const first = sizes.slice(0, i).reduce((a, b) => a + b, 0);
        return {
          xs: tf.tensor(normal(size * 32, 60 + i, 0.5), [size, 4, 4, 2]),
          ys: tf.tensor2d(labels.slice(first, first + size).map((label) => [1 - label, label])),
        };
      });
      const held = Object.fromEntries(
        Object.entries(layer.variables).map(([name, variable]) => [
          name,
          Float64Array.from(values(variable.read())),
        ]),
      );
      const [kernel, bias] = model.getWeights().slice(4, 6).map(values);
      const convolved = batches.map(({ xs }) => {
        const output = features.predict(xs) as tf.Tensor;
        return { shape: output.shape, data: Float64Array.from(output.dataSync()) };
      });
      /** Loss and accuracy by hand, from what the convolution gives. */
      const byHand = (sources: StatisticsSources) => {
        let [loss, right] = [0, 0];
        batches.forEach(({ ys }, i) => {
          const x = convolved[i];
          const { y } = apply(truth, batchLayerNorm({ sources }), x as PlainArray, held, { training: false });
          const pooled = Array.from({ length: sizes[i] }, (_, b) =>
            Array.from({ length: 3 }, (_, c) => {
              let sum = 0;
              for (let p = 0; p < 16; p++) sum += y.data[(b * 16 + p) * 3 + c];
              return sum / 16;
            }),
          );
          product(pooled, kernel, 2, bias).forEach((logits, b) => {
            const powers = logits.map(Math.exp);
            const label = rows(ys)[b].indexOf(1);
            loss -= Math.log(powers[label] / (powers[0] + powers[1]));
            right += Number(logits[label] > logits[1 - label]);
          });
        });
        return { loss: loss / labels.length, acc: right / labels.length };
      };
      const { ranking, gaps } = await withoutLeaks(() => selectStatistics(model, batches));
      expect(ranking.length).toBe(16);
      expect(new Set(ranking.map(({ configuration }) => JSON.stringify(configuration))).size).toBe(16);
      for (const { configuration, loss, metrics } of ranking) {
        expect(Object.keys(configuration)).toEqual(kept);
        const expected = byHand(configuration);
        close(JSON.stringify(configuration), [loss, metrics.acc], [expected.loss, expected.acc], 2e-4);
      }
      expect(layer.getConfig().sources).toEqual(ranking[0].configuration);
      expect(gaps.map(({ over }) => over)).toEqual(["batch", "features"]);

      const byAccuracy = await selectStatistics(model, batches, { metric: "acc", direction: "max" });
      const accuracies = byAccuracy.ranking.map(({ metrics }) => metrics.acc);
      expect(accuracies).toEqual([...accuracies].sort((a, b) => b - a));
      const worst = await selectStatistics(model, batches, { direction: "max" });
      expect(worst.ranking.map(({ loss }) => loss)).toEqual(ranking.map(({ loss }) => loss).reverse());
    });

    it("takes datasets, whose tensors it disposes of, and chosen layers alone", async () => {
      const model = tfl.sequential({
        layers: [
          asLayer(layers.batchNormalization({ name: "one", inputShape: [3] })),
          asLayer(layers.batchNormalization({ name: "two" })),
        ],
      });
      model.compile({ optimizer: "sgd", loss: "meanSquaredError" });
      let passes = 0;
      const dataset = {
        async iterator() {
          passes++;
          let left = 2;
          return {
            async next() {
              if (left-- === 0) return { value: null, done: true };
              const made = { xs: tf.tensor2d(normal(12, left), [4, 3]), ys: tf.zeros([4, 3]) };
              return { value: made, done: false };
            },
          };
        },
      };
      const { gaps } = await withoutLeaks(() =>
        selectStatistics(model, dataset, { layers: ({ name }) => name === "two" }),
      );
      expect(passes).toBe(5);
      expect(gaps.map(({ layer }) => layer)).toEqual(["two"]);
      expect(named(model, "one").getConfig().sources).toBeUndefined();
      expect(named(model, "two").getConfig().sources).toBeDefined();
    });

    it("adds up the losses of several outputs", async () => {
      const input = tfl.input({ shape: [3] });
      const normalized = asLayer(layers.batchNormalization()).apply(input) as tfl.SymbolicTensor;
      const outputs = ["a", "b"].map(
        (name) => tfl.layers.dense({ units: 2, name }).apply(normalized) as tfl.SymbolicTensor,
      );
      const model = tfl.model({ inputs: input, outputs });
      model.compile({ optimizer: "sgd", loss: "meanSquaredError", metrics: ["mse"] });
      const { xs, ys } = data(6);
      const { ranking } = await withoutLeaks(() =>
        selectStatistics(model, { xs, ys: [ys, ys], batchSize: 6 }, { metric: "b_loss", direction: "min" }),
      );
      const predicted = model.predict(xs) as tf.Tensor[];
      const errors = predicted.map((one) => tf.losses.meanSquaredError(ys, one).dataSync()[0]);
      close("losses", [ranking[0].metrics.a_loss, ranking[0].metrics.b_loss], errors);
      close("loss", [ranking[0].loss], [errors[0] + errors[1]]);
      close("metrics", [ranking[0].metrics.a_mse, ranking[0].metrics.b_mse], errors);
    });

    it("leaves the model as it was where evaluation throws, and says what does not fit", async () => {
      const model = denseModel(() =>
        asLayer(layers.batchNormalization({ name: "batch", sources: { batchMean: "batch" } })),
      );
      const { xs, ys } = data(4);
      const before = weights(model);
      await withoutLeaks(async () => {
        const wrong = tf.zeros([4, 7]);
        await expect(
          selectStatistics(model, [
            { xs, ys },
            { xs, ys: wrong },
          ]),
        ).rejects.toThrow("shape");
        wrong.dispose();
      });
      expect(named(model, "batch").getConfig().sources).toEqual({ batchMean: "batch" });
      expect(weights(model)).toEqual(before);
      await expect(selectStatistics(model, { xs, ys }, { metric: "acc", direction: "max" })).rejects.toThrow(
        new RangeError('selectStatistics: metric must be one of the model\'s, got "acc"; it has loss'),
      );
      const measured = denseModel(() => asLayer(layers.batchNormalization({})), { metrics: ["accuracy"] });
      await expect(selectStatistics(measured, { xs, ys }, { metric: "acc" })).rejects.toThrow(
        new RangeError(
          'selectStatistics: direction must be "min" or "max" for the metric "acc", got undefined',
        ),
      );
      await expect(selectStatistics(model, [])).rejects.toThrow(
        new RangeError("selectStatistics: there is no held-out data"),
      );
      const generator = (function* () {
        yield { xs, ys };
      })();
      await expect(selectStatistics(model, generator)).rejects.toThrow(
        new TypeError(
          "selectStatistics: batches must be iterable several times, got a generator; pass an array of them",
        ),
      );
      const other = denseModel(() => tfl.layers.batchNormalization({}));
      await expect(selectStatistics(other, { xs, ys })).rejects.toThrow(
        "the model has no layer whose statistics",
      );
    });

    it("the choice is saved with the model", async () => {
      const sources: StatisticsSources = { batchMean: "batch", featureVariance: "population" };
      const model = denseModel(() => asLayer(layers.batchLayerNormalization({ name: "bln" })));
      named(model, "bln").configure({ sources });
      const { xs } = data(5);
      const y = values(model.predict(xs) as tf.Tensor);
      let saved: tf.io.ModelArtifacts | undefined;
      await model.save(
        tf.io.withSaveHandler(async (made) => {
          saved = made;
          return { modelArtifactsInfo: { dateSaved: new Date(), modelTopologyType: "JSON" } };
        }),
      );
      const text = JSON.parse(JSON.stringify(saved?.modelTopology));
      const loaded = await tfl.loadLayersModel(
        tf.io.fromMemory({ ...saved, modelTopology: text } as tf.io.ModelArtifacts),
      );
      expect(named(loaded, "bln").getConfig().sources).toEqual(sources);
      expect(values(loaded.predict(xs) as tf.Tensor)).toEqual(y);
    });
  });

  describe("recalibrate", () => {
    const sizes = [5, 2, 8];
    const batches = () => sizes.map((size, i) => tf.tensor2d(normal(size * 3, 70 + i, i, 2), [size, 3]));

    /** Statistics of two batch normalizations, each on what the one before gives batch by batch, in float64. */
    function byHand(list: tf.Tensor[], kernels: number[][], gammas: number[][], betas: number[][]) {
      let inputs = list.map(rows);
      return kernels.map((kernel, i) => {
        const hidden = inputs.map((x) => product(x, kernel, 4, [0, 0, 0, 0]));
        const all = columns(hidden.flat()).map((column) => momentsOf(column));
        inputs = hidden.map((one) => {
          const own = columns(one).map((column) => momentsOf(column));
          return one.map((row) =>
            row.map(
              (v, c) =>
                ((v - own[c].mean) / Math.sqrt(own[c].m2 / own[c].count + 1e-3)) * gammas[i][c] + betas[i][c],
            ),
          );
        });
        return all;
      });
    }

    it.each([
      ["our own", "biased", (name: string) => asLayer(layers.batchNormalization({ name }))],
      [
        "our own, unbiased and cumulative",
        "unbiased",
        (name: string) =>
          asLayer(layers.batchNormalization({ name, runningVariance: "unbiased", average: "cumulative" })),
      ],
      ["TensorFlow.js's", "biased", (name: string) => tfl.layers.batchNormalization({ name })],
    ] as const)("gives %s layers the exact statistics of all batches", async (_, variance, make) => {
      const kernelInitializer = (seed: number) =>
        tfl.initializers.randomNormal({ mean: 0.1, stddev: 0.7, seed });
      const inner = tfl.sequential({
        layers: [
          tfl.layers.dense({
            inputShape: [4],
            units: 4,
            useBias: false,
            kernelInitializer: kernelInitializer(9),
          }),
          make("two"),
        ],
      });
      const model = tfl.sequential({
        layers: [
          tfl.layers.dense({
            inputShape: [3],
            units: 4,
            useBias: false,
            kernelInitializer: kernelInitializer(8),
          }),
          make("one"),
          tfl.layers.dropout({ rate: 0.5 }),
          inner,
        ],
      });
      const list = batches();
      const [kernel1, gamma1, beta1, kernel2, gamma2, beta2] = model.getWeights(true).map(values);
      const trained = model.getWeights(true).map(values);
      const names = await withoutLeaks(() => recalibrate(model, list));
      expect(names).toEqual(["one", "two"]);
      expect(model.getWeights(true).map(values)).toEqual(trained);
      const expected = byHand(list, [kernel1, kernel2], [gamma1, gamma2], [beta1, beta2]);
      const state = [model.layers[1], inner.layers[1]].map((layer) =>
        layer.getWeights().slice(2).map(values),
      );
      expected.forEach((moments, i) => {
        close(
          `mean ${i}`,
          state[i][0],
          moments.map(({ mean }) => mean),
        );
        close(
          `variance ${i}`,
          state[i][1],
          moments.map(({ m2, count }) => m2 / (variance === "biased" ? count : count - 1)),
        );
        if (variance === "unbiased") expect(state[i][2]).toEqual([3, 3, 3, 3]);
      });
    });

    it("gives Batch Layer Normalization the mean over the batches", async () => {
      const model = denseModel(() => asLayer(layers.batchLayerNormalization({ name: "bln" })), {
        dropout: true,
      });
      const layer = named(model, "bln");
      randomize(layer, ["batchMean", "batchVariance", "featureMean", "featureVariance"], 80);
      layer.variables.batches.write(tf.fill([1], 17));
      const list = batches();
      expect(
        await withoutLeaks(() =>
          recalibrate(
            model,
            list.map((xs) => ({ xs })),
          ),
        ),
      ).toEqual(["bln"]);
      const [kernel, bias] = model.getWeights().map(values);
      const each = list.map((x) => {
        const hidden = product(rows(x), kernel, 4, bias);
        const x64 = { shape: [hidden.length, 4], data: Float64Array.from(hidden.flat()) };
        return apply(truth, batchLayerNorm(), x64 as PlainArray).state;
      });
      for (const name of ["batchMean", "batchVariance", "featureMean", "featureVariance"]) {
        const mean = Array.from(
          each[0][name].data,
          (_, c) => each.reduce((s, one) => s + one[name].data[c], 0) / 3,
        );
        close(name, values(layer.variables[name].read()), mean);
      }
      expect(values(layer.variables.batches.read())).toEqual([3]);
      expect(values(layer.variables.batchSize.read())).toEqual([5]);
    });

    it("gives channels on two axes their statistics, and says how far they are", async () => {
      const model = tfl.sequential({
        layers: [asLayer(layers.batchNormalization({ name: "norm", axis: [1, 3], inputShape: [2, 5, 3] }))],
      });
      const x = tf.tensor(normal(4 * 2 * 5 * 3, 97, 2, 3), [4, 2, 5, 3]);
      expect(await recalibrate(model, [x])).toEqual(["norm"]);
      const { mean, variance } = tf.moments(x, [0, 2]);
      const { runningMean, runningVariance } = named(model, "norm").variables;
      expect(runningMean.shape).toEqual([2, 3]);
      close("mean", values(runningMean.read()), values(mean));
      close("variance", values(runningVariance.read()), values(variance));
      const [gap] = statisticsGap(model, x);
      expect(gap.mean.max).toBeLessThan(1e-5);
      close(
        "normalized",
        values(tf.moments(model.predict(x) as tf.Tensor, [0, 2]).mean),
        new Array(6).fill(0),
      );
    });

    it("options are checked by name", async () => {
      const model = denseModel(() => asLayer(layers.batchNormalization({})));
      const wrong = { layer: () => true } as never;
      for (const run of [
        () => recalibrate(model, batches(), wrong),
        async () => statisticsGap(model, batches()[0], wrong),
        async () => freezeStatistics(model, true, wrong),
        () => selectStatistics(model, data(4), wrong),
      ]) {
        await expect(run).rejects.toThrow('no option is called "layer"; did you mean "layers"?');
      }
    });

    it("leaves out what is masked, and frozen layers", async () => {
      const model = tfl.sequential({
        layers: [
          tfl.layers.masking({ maskValue: 0, inputShape: [4, 2] }),
          asLayer(layers.batchNormalization({ name: "one", useMask: true })),
          asLayer(layers.batchNormalization({ name: "two", useMask: true, frozen: true })),
        ],
      });
      const x = normal(2 * 4 * 2, 90, 3);
      const more = normal(3 * 4 * 2, 91, 5);
      const isPadding = (i: number) => i >= 4 && i < 8;
      const padded = x.map((value, i) => (isPadding(i) ? 0 : value));
      const before = named(model, "two").getWeights().map(values);
      expect(await recalibrate(model, [tf.tensor(padded, [2, 4, 2]), tf.tensor(more, [3, 4, 2])])).toEqual([
        "one",
      ]);
      const counted = [0, 1].map((c) =>
        momentsOf([
          ...[...x].filter((_, i) => i % 2 === c && !isPadding(i)),
          ...[...more].filter((_, i) => i % 2 === c),
        ]),
      );
      const [, , mean, variance] = named(model, "one").getWeights().map(values);
      close(
        "mean",
        mean,
        counted.map((one) => one.mean),
      );
      close(
        "variance",
        variance,
        counted.map(({ m2, count }) => m2 / count),
      );
      expect(named(model, "two").getWeights().map(values)).toEqual(before);
    });

    it("leaves the model as it was where a batch is not finite, or there is none", async () => {
      const model = tfl.sequential({
        layers: [
          asLayer(layers.batchLayerNormalization({ name: "bln", inputShape: [3] })),
          asLayer(layers.batchNormalization({ name: "batch" })),
        ],
      });
      randomize(named(model, "bln"), ["batchMean", "featureMean"], 95);
      const before = weights(model);
      await withoutLeaks(async () => {
        const bad = tf.tensor2d([[1, 2, Number.NaN]]);
        const list = [...batches(), bad];
        await expect(recalibrate(model, list)).rejects.toThrow(
          new RangeError(
            "recalibrate: batch 3 is not finite in bln, the model is unchanged; look for a bad example in it",
          ),
        );
        tf.dispose(list);
      });
      expect(weights(model)).toEqual(before);
      await expect(recalibrate(model, [])).rejects.toThrow(
        new RangeError("recalibrate: there are no batches"),
      );
      expect(weights(model)).toEqual(before);
      freezeStatistics(model);
      await expect(recalibrate(model, batches())).rejects.toThrow(
        "with running statistics of batches that is not frozen",
      );
      // calls are the layers' own again
      expect(Object.hasOwn(model.layers[0], "call")).toBe(false);
    });
  });

  it("epochStatistics begins each epoch anew, and keeps the last one's statistics until its first batch", async () => {
    const model = tfl.sequential({
      layers: [
        asLayer(layers.batchNormalization({ name: "epoch", average: "epoch", inputShape: [3] })),
        asLayer(layers.batchNormalization({ name: "usual", momentum: 0.5 })),
        asLayer(layers.batchLayerNormalization({ name: "bln" })),
        tfl.layers.dense({ units: 2 }),
      ],
    });
    model.compile({ optimizer: tf.train.sgd(0.01), loss: "meanSquaredError" });
    const { xs, ys } = data(10);
    const probe = tf.tensor2d(normal(9, 3), [3, 3]);
    const seen: number[][] = [];
    const predicted = () => values(model.predict(probe) as tf.Tensor);
    const counts: number[][] = [];
    await model.fit(xs, ys, {
      batchSize: 4,
      epochs: 3,
      verbose: 0,
      callbacks: [
        new tfl.CustomCallback({ onEpochEnd: async () => void seen.push(predicted()) }),
        epochStatistics(),
        new tfl.CustomCallback({
          onEpochBegin: async (epoch) => {
            counts.push([
              values(named(model, "epoch").variables.runningCount.read())[0],
              values(named(model, "bln").variables.batches.read())[0],
            ]);
            if (epoch > 0) close("as before the epoch", predicted(), seen[epoch - 1], 1e-6);
          },
        }),
      ],
    });
    expect(counts).toEqual([
      [0, 0],
      [0, 0],
      [0, 0],
    ]);
    const all = columns(rows(xs)).map((column) => momentsOf(column));
    const { runningMean, runningVariance, runningCount } = named(model, "epoch").variables;
    close(
      "mean of the last epoch",
      values(runningMean.read()),
      all.map(({ mean }) => mean),
    );
    close(
      "its variance",
      values(runningVariance.read()),
      all.map(({ m2, count }) => m2 / count),
    );
    expect(values(runningCount.read())).toEqual([10, 10, 10]);
    expect(values(named(model, "bln").variables.batches.read())).toEqual([3]);
    // the exponential one goes on through the epochs
    expect(values(named(model, "usual").variables.runningVariance.read())[0]).not.toBe(1);
  });

  it.each([
    ["our own", () => asLayer(layers.batchNormalization({ name: "batch" }))],
    ["TensorFlow.js's", () => tfl.layers.batchNormalization({ name: "batch" })],
  ] as const)("freezeStatistics holds %s running statistics, while gamma learns", async (_, make) => {
    const model = denseModel(make);
    const state = () => model.getLayer("batch").getWeights().map(values);
    const { xs, ys } = data(8);
    const learn = () => model.fit(xs, ys, { epochs: 2, verbose: 0 });
    const [gamma, , mean, variance] = state();
    expect(freezeStatistics(model)).toEqual(["batch"]);
    freezeStatistics(model);
    await learn();
    expect(state().slice(2)).toEqual([mean, variance]);
    expect(state()[0]).not.toEqual(gamma);
    expect(freezeStatistics(model, false, { layers: ({ name }) => name === "none" })).toEqual([]);
    await learn();
    expect(state().slice(2)).toEqual([mean, variance]);
    expect(freezeStatistics(model, false)).toEqual(["batch"]);
    await learn();
    expect(state()[2]).not.toEqual(mean);
  });

  it("statisticsGap says how far a batch is from what each layer keeps", async () => {
    const model = tfl.sequential({
      layers: [
        asLayer(layers.batchNormalization({ name: "batch", inputShape: [3], epsilon: 0.01 })),
        tfl.layers.batchNormalization({ name: "theirs", epsilon: 0.01 }),
        asLayer(layers.batchLayerNormalization({ name: "bln" })),
        tfl.layers.dense({ units: 2 }),
      ],
    });
    const xs = tf.tensor2d([
      [1, 10, 3],
      [3, 14, 3],
    ]);
    named(model, "batch").variables.runningMean.write(tf.tensor1d([2, 0, 4]));
    named(model, "batch").variables.runningVariance.write(tf.tensor1d([1, 4, 0.99]));
    const before = weights(model);
    const gaps = await withoutLeaks(() => statisticsGap(model, xs));
    expect(weights(model)).toEqual(before);
    expect(gaps.map(({ layer, over }) => [layer, over])).toEqual([
      ["batch", "batch"],
      ["theirs", "batch"],
      ["bln", "batch"],
      ["bln", "features"],
    ]);
    // means 2, 12, 3; biased variances 1, 4, 0
    const means = [0, 12 / Math.sqrt(4.01), 1];
    close("mean", [gaps[0].mean.max, gaps[0].mean.median], [means[1], 1]);
    close("variance", [gaps[0].variance.max, gaps[0].variance.median], [1 / 0.01, 1]);
    // what comes out of the first one in evaluation
    const out = [0, 1, 2].map((c) =>
      rows(xs).map((row) => (row[c] - [2, 0, 4][c]) / Math.sqrt([1, 4, 0.99][c] + 0.01)),
    );
    const second = out.map((column) => Math.abs(momentsOf(column).mean) / Math.sqrt(1.01));
    close("second mean", [gaps[1].mean.max], [Math.max(...second)]);
    // nothing was trained: the population is mean 0 and variance 1
    const third = out.map((column) => column.map((value) => value / Math.sqrt(1.01)));
    const factors = third.map((column) => (momentsOf(column).m2 + 1e-3) / 1.001); // m2/2 · 2/1
    close("third variance", [gaps[2].variance.max], [Math.max(...factors.map((f) => Math.max(f, 1 / f)))]);
    const examples = [0, 1].map((i) => momentsOf(third.map((column) => column[i])));
    const featureMean = (examples[0].mean + examples[1].mean) / 2;
    close(
      "features",
      [gaps[3].mean.max, gaps[3].mean.median],
      [1, 1].map(() => Math.abs(featureMean) / Math.sqrt(1.001)),
    );
  });
});

it("measures behind a mask as training does, also where the mask is lost on the way", async () => {
  await use("cpu");
  await install();
  const x = tf.tidy(() => {
    const all = tf.tensor(normal(4 * 5 * 6, 3, 0.5), [4, 5, 6]);
    return tf.mul(all, tf.tensor([1, 1, 1, 0, 0], [1, 5, 1]));
  });
  for (const [between, norm] of [
    [
      tfl.layers.conv1d({ filters: 6, kernelSize: 2 }),
      layers.batchNormalization({ momentum: 0, name: "norm", useMask: true }),
    ],
    [
      tfl.layers.activation({ activation: "tanh" }),
      layers.batchNormalization({ momentum: 0, name: "norm", useMask: true }),
    ],
  ] as const) {
    const model = tfl.sequential({
      layers: [tfl.layers.masking({ inputShape: [5, 6] }), between, asLayer(norm)],
    });
    model.compile({ optimizer: tf.train.sgd(0), loss: "meanSquaredError" });
    const y = model.predict(x) as tf.Tensor;
    await model.trainOnBatch(x, y);
    const { runningMean, runningVariance } = named(model, "norm").variables;
    const trained = [runningMean, runningVariance].map((one) => values(one.read()));
    await recalibrate(model, [x]);
    close("mean", values(runningMean.read()), trained[0]);
    close("variance", values(runningVariance.read()), trained[1]);
    const [gap] = statisticsGap(model, x);
    expect(gap.mean.max).toBeLessThan(1e-3);
    expect(gap.variance.max).toBeLessThan(1.001);
  }
});

it("says that targets are missing", async () => {
  const model = tfl.sequential({ layers: [asLayer(layers.batchNormalization({ inputShape: [3] }))] });
  model.compile({ optimizer: "sgd", loss: "meanSquaredError" });
  await expect(selectStatistics(model, { xs: tf.ones([4, 3]) } as never)).rejects.toThrow(
    new TypeError("selectStatistics: held-out data must be { xs, ys }, got xs alone; the loss needs targets"),
  );
});
