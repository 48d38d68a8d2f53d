/** What evenkeel/tfjs says of arguments that are not what it takes. */
import * as tf from "@tensorflow/tfjs-core";
import * as tfl from "@tensorflow/tfjs-layers";
import { beforeAll, describe, expect, it } from "vitest";
import { batchNorm, layerNorm } from "../../src/index.js";
import {
  apply,
  epochStatistics,
  freezeStatistics,
  initializeWeightNormalization,
  install,
  layers,
  normalize,
  recalibrate,
  selectStatistics,
  statisticsGap,
  weightNormalization,
  withoutWeightNormalization,
} from "../../src/tfjs/index.js";
import { use } from "../support/tfjs-backends.js";

beforeAll(() => use("cpu"));

type Anything = (...args: unknown[]) => unknown;
type Row = [name: string, run: () => unknown, message: string];
const x = () => tf.ones([2, 4]);
const call = apply as Anything;
const run = normalize as Anything;
const tensor = "must be a tensor, such as tf.ones([2, 3]), got";
const norms = "must be the operation alone, such as layerNorm(), got";
const others = "; call the function that makes it, and apply other normalizations by apply()";

const functions: Row[] = [
  [
    "normalize: another framework's name",
    () => run(layerNorm(), x(), { weight: tf.ones([4]) }),
    'normalize: no option is called "weight"; it is called "gamma" here',
  ],
  [
    "normalize: a misspelled name",
    () => run(layerNorm(), x(), { gama: tf.ones([4]) }),
    'normalize: no option is called "gama"; did you mean "gamma"? There are gamma, beta, mean, variance, mask, residual, reduce',
  ],
  ...[1, "x", null].map(
    (options): Row => [
      `normalize: parameters ${options}`,
      () => run(layerNorm(), x(), options),
      `normalize: options must be an object, got ${options}`,
    ],
  ),
  ...["gamma", "beta", "mean", "variance", "mask", "residual"].flatMap((name): Row[] => [
    [
      `normalize: ${name} null`,
      () => run(layerNorm(), x(), { [name]: null }),
      `layerNorm: ${name} ${tensor} null`,
    ],
    [
      `normalize: ${name} {}`,
      () => run(layerNorm(), x(), { [name]: {} }),
      `layerNorm: ${name} ${tensor} an object`,
    ],
  ]),
  ...[undefined, 1].map(
    (norm): Row => [
      `normalize: norm ${norm}`,
      () => run(norm, x()),
      `normalize: norm ${norms} ${norm}${others}`,
    ],
  ),
  [
    "normalize: a factory",
    () => run(layerNorm, x()),
    `normalize: norm ${norms} the function factory${others}`,
  ],
  ["normalize: x undefined", () => run(layerNorm(), undefined), `layerNorm: x ${tensor} undefined`],
  ["normalize: x a list", () => run(layerNorm(), [[1, 2]]), `layerNorm: x ${tensor} [a list]`],
  [
    "apply: a misspelled option",
    () => call(batchNorm(), x(), {}, { trainig: false }),
    'apply: no option is called "trainig"; did you mean "training"? There are training, mask, residual, moveState, reduce',
  ],
  ...[1, "x", null].map(
    (options): Row => [
      `apply: options ${options}`,
      () => call(layerNorm(), x(), {}, options),
      `apply: options must be an object, got ${options}`,
    ],
  ),
  [
    "apply: options []",
    () => call(layerNorm(), x(), {}, []),
    "apply: options must be an object, got an array",
  ],
  ...[null, "x", 0].map(
    (training): Row => [
      `apply: training ${training}`,
      () => call(batchNorm(), x(), {}, { training }),
      `apply: training must be true or false, got ${JSON.stringify(training)}; leave it out for true`,
    ],
  ),
  [
    "apply: moveState 1",
    () => call(batchNorm(), x(), {}, { moveState: 1 }),
    "apply: moveState must be a function, got 1; leave it out for none",
  ],
  ...[null, 1, "x"].map(
    (weights): Row => [
      `apply: weights ${weights}`,
      () => call(layerNorm(), x(), weights),
      `apply: weights must be an object, tensors by name, got ${JSON.stringify(weights)}; leave it out for initial values`,
    ],
  ),
  [
    "apply: weights that are a tensor",
    () => call(layerNorm(), x(), tf.ones([4])),
    "apply: weights must be an object, tensors by name, got a Tensor; leave it out for initial values",
  ],
  ["apply: gamma {}", () => call(layerNorm(), x(), { gamma: {} }), `layerNorm: gamma ${tensor} an object`],
  ["apply: gamma null", () => call(layerNorm(), x(), { gamma: null }), `layerNorm: gamma ${tensor} null`],
  ["apply: mask null", () => call(layerNorm(), x(), {}, { mask: null }), `layerNorm: mask ${tensor} null`],
  ["apply: residual 1", () => call(layerNorm(), x(), {}, { residual: 1 }), `layerNorm: residual ${tensor} 1`],
  ["apply: x undefined", () => call(layerNorm(), undefined), `layerNorm: x ${tensor} undefined`],
  ["apply: input 1 null", () => call(layerNorm(), [x(), null]), `layerNorm: input 1 ${tensor} null`],
];

describe("functions", () => {
  it.each(functions)("%s", (_, run, message) => {
    expect(run).toThrow(new TypeError(message));
  });

  it("what is undefined is left out", () => {
    const options = { training: undefined, mask: undefined, residual: undefined, moveState: undefined };
    const pair = tf.tensor2d([[1, 3]]);
    const expected = [expect.closeTo(-1, 3), expect.closeTo(1, 3)];
    expect([...apply(layerNorm(), pair, { gamma: undefined } as never, options).y.dataSync()]).toEqual(
      expected,
    );
    expect([...normalize(layerNorm(), pair, { gamma: undefined, mask: undefined }).y.dataSync()]).toEqual(
      expected,
    );
  });

  it("a layer takes a mask of null as none", () => {
    const layer = layers.layerNormalization();
    const y = layer.apply(tf.tensor2d([[1, 3]]), { mask: null }) as tf.Tensor;
    expect([...y.dataSync()]).toEqual([expect.closeTo(-1, 2), expect.closeTo(1, 2)]);
  });
});

const model = () =>
  tfl.sequential({
    layers: [
      weightNormalization(tfl.layers.dense({ units: 4 }) as never, { inputShape: [4] } as never) as never,
      layers.batchNormalization() as unknown as tfl.layers.Layer,
    ],
  });
const compiled = () => {
  const made = tfl.sequential({
    layers: [layers.batchNormalization({ inputShape: [4] }) as unknown as tfl.layers.Layer],
  });
  made.compile({ optimizer: "sgd", loss: "meanSquaredError" });
  return made;
};

const takeModels: Record<string, Anything> = {
  freezeStatistics: freezeStatistics as Anything,
  recalibrate: recalibrate as Anything,
  selectStatistics: selectStatistics as Anything,
  statisticsGap: statisticsGap as Anything,
  withoutWeightNormalization: withoutWeightNormalization as Anything,
  initializeWeightNormalization: initializeWeightNormalization as Anything,
  epochStatistics: () => epochStatistics().onEpochBegin(0, {}),
};
const wrong: [got: string, value: unknown][] = [
  ["undefined", undefined],
  ["null", null],
  ["1", 1],
  ['"x"', "x"],
  ["an object", {}],
];

/** The error of a function that may be asynchronous. */
async function errorOf(run: () => unknown): Promise<unknown> {
  try {
    await run();
  } catch (error) {
    return error;
  }
  return undefined;
}

describe.each(Object.entries(takeModels))("%s", (name, take) => {
  // a callback without `setModel` has null
  it.each(name === "epochStatistics" ? [wrong[1]] : wrong)("model %s", async (got, value) => {
    const error = await errorOf(() => take(value, x()));
    expect(error).toEqual(
      new TypeError(
        `${name}: model must be a LayersModel, got ${got}; make one with tf.sequential(), tf.model() or tf.loadLayersModel()`,
      ),
    );
    expect(error).toBeInstanceOf(TypeError);
  });
});

describe("install", () => {
  it.each<Row>([
    [
      "an unknown option",
      () => (install as Anything)({ relax: false }),
      'install: no option is called "relax"; did you mean "relaxed"? There are relaxed',
    ],
    [
      "relaxed 0",
      () => (install as Anything)({ relaxed: 0 }),
      "install: relaxed must be true or false, got 0",
    ],
  ])("%s", async (_, run, message) => {
    expect(await errorOf(run)).toEqual(new TypeError(message));
  });
});

describe("data", () => {
  it.each<Row>([
    [
      "selectStatistics batchSize 0",
      () => selectStatistics(compiled(), { xs: x(), ys: x(), batchSize: 0 }),
      "selectStatistics: batchSize must be a positive integer, got 0; leave it out for 32",
    ],
    [
      "selectStatistics batches without targets",
      () => selectStatistics(compiled(), [x()] as never),
      "selectStatistics: the model has 1 target, got 0 tensors; pass one for each",
    ],
    [
      "statisticsGap []",
      () => statisticsGap(compiled(), []),
      "statisticsGap: the model has 1 input, got 0 tensors; pass one for each",
    ],
    [
      "recalibrate two inputs",
      () => recalibrate(compiled(), [[x(), x()]]),
      "recalibrate: the model has 1 input, got 2 tensors; pass one for each",
    ],
  ])("%s", async (_, run, message) => {
    const error = await errorOf(run);
    expect(error).toEqual(new RangeError(message));
    expect(error).toBeInstanceOf(RangeError);
  });

  const batches = "expected { xs, ys }, a list of batches or a dataset, got";
  const rows: Row[] = [
    ...wrong.flatMap(([got, data]): Row[] => [
      [`recalibrate ${got}`, () => recalibrate(compiled(), data as never), `recalibrate: ${batches} ${got}`],
      [
        `selectStatistics ${got}`,
        () => selectStatistics(compiled(), data as never),
        `selectStatistics: ${batches} ${got}`,
      ],
      [
        `initializeWeightNormalization ${got}`,
        () => initializeWeightNormalization(model(), data as never),
        `initializeWeightNormalization: x ${tensor} ${got}`,
      ],
    ]),
    ...wrong
      .slice(0, 4)
      .map(
        ([got, data]): Row => [
          `statisticsGap ${got}`,
          () => statisticsGap(compiled(), data as never),
          `statisticsGap: inputs must be a tensor, a list of tensors, or an object of tensors by name, got ${got}`,
        ],
      ),
    [
      "statisticsGap {}",
      () => {
        const made = compiled();
        made.inputNames[0] = "features";
        return statisticsGap(made, {});
      },
      `statisticsGap: input "features" ${tensor} undefined`,
    ],
    [
      "recalibrate [{ xs: 1 }]",
      () => recalibrate(compiled(), [{ xs: 1 }] as never),
      "recalibrate: inputs must be a tensor, a list of tensors, or an object of tensors by name, got 1",
    ],
    [
      "selectStatistics ys 1",
      () => selectStatistics(compiled(), { xs: x(), ys: 1 } as never),
      "selectStatistics: targets must be a tensor, a list of tensors, or an object of tensors by name, got 1",
    ],
    [
      "selectStatistics xs 1",
      () => selectStatistics(compiled(), { xs: 1, ys: x() } as never),
      `selectStatistics: xs ${tensor} 1`,
    ],
    [
      "selectStatistics batchSize null",
      () => selectStatistics(compiled(), { xs: x(), ys: x(), batchSize: null } as never),
      "selectStatistics: batchSize must be a positive integer, got null; leave it out for 32",
    ],
    [
      "recalibrate [1]",
      () => recalibrate(compiled(), [1] as never),
      "recalibrate: a batch must be { xs, ys } of tensors, got 1",
    ],
    [
      "freezeStatistics frozen 1",
      () => freezeStatistics(compiled(), 1 as never),
      "freezeStatistics: frozen must be true or false, got 1; leave it out for true",
    ],
    ...[
      (options: never) => freezeStatistics(compiled(), true, options),
      (options: never) => recalibrate(compiled(), [x()], options),
      (options: never) => statisticsGap(compiled(), x(), options),
      (options: never) => selectStatistics(compiled(), { xs: x(), ys: x() }, options),
    ].map((take, i): Row => {
      const name = ["freezeStatistics", "recalibrate", "statisticsGap", "selectStatistics"][i];
      return [
        `${name} layers "x"`,
        () => take({ layers: "x" } as never),
        `${name}: layers must be a function of a layer, got "x"; leave it out for all`,
      ];
    }),
  ];
  it.each(rows)("%s", async (_, run, message) => {
    const error = await errorOf(run);
    expect(error).toEqual(new TypeError(message));
    expect(error).toBeInstanceOf(TypeError);
  });
});
