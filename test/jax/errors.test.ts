/** What evenkeel/jax says of arguments that are not what it takes. */
import { defaultDevice, numpy as np, init as startJax } from "@jax-js/jax";
import { beforeAll, describe, expect, it } from "vitest";
import { batchNorm, layerNorm } from "../../src/index.js";
import { apply, init } from "../../src/jax/index.js";

beforeAll(async () => {
  await startJax("cpu");
  defaultDevice("cpu");
});

const x = () => np.ones([2, 4]);
const call = (...args: unknown[]) => (apply as (...args: unknown[]) => unknown)(...args);
const start = (...args: unknown[]) => (init as (...args: unknown[]) => unknown)(...args);
const array = "must be an array of jax-js, such as numpy.ones([2, 3]), got";

const rejected: [name: string, run: () => unknown, message: string][] = [
  [
    "a misspelled option",
    () => call(batchNorm(), x(), {}, { trainig: false }),
    'apply: no option is called "trainig"; did you mean "training"? There are training, mask, residual',
  ],
  [
    "statistics of several places",
    () => call(batchNorm(), x(), {}, { reduce: (list: unknown) => list }),
    "apply: reduce must be left out in jax-js, whose functions are traced and cannot call out for moments of other places; measure " +
      "them by apply without a framework (evenkeel), or train in TensorFlow.js (synchronizeStatistics)",
  ],
  ...[1, "x", null].map((options): [string, () => unknown, string] => [
    `options ${options}`,
    () => call(layerNorm(), x(), {}, options),
    `apply: options must be an object, got ${options}`,
  ]),
  ["options []", () => call(layerNorm(), x(), {}, []), "apply: options must be an object, got an array"],
  ...[null, "x", 0].map((training): [string, () => unknown, string] => [
    `training ${training}`,
    () => call(batchNorm(), x(), {}, { training }),
    `apply: training must be true or false, got ${JSON.stringify(training)}; leave it out for true`,
  ]),
  ...([1, "x", null] as const).map((weights): [string, () => unknown, string] => [
    `weights ${weights}`,
    () => call(layerNorm(), x(), weights),
    `apply: weights must be an object, arrays by name, got ${JSON.stringify(weights)}; leave it out for initial values`,
  ]),
  [
    "weights that are an array",
    () => call(layerNorm(), x(), np.ones([4])),
    "apply: weights must be an object, arrays by name, got one array; leave it out for initial values",
  ],
  [
    "weights that are a list",
    () => call(layerNorm(), x(), []),
    "apply: weights must be an object, arrays by name, got []; leave it out for initial values",
  ],
  ["gamma null", () => call(layerNorm(), x(), { gamma: null }), `layerNorm: gamma ${array} null`],
  ["gamma {}", () => call(layerNorm(), x(), { gamma: {} }), `layerNorm: gamma ${array} an object`],
  ["residual 1", () => call(layerNorm(), x(), {}, { residual: 1 }), `layerNorm: residual ${array} 1`],
  [
    "residual null",
    () => call(layerNorm(), x(), {}, { residual: null }),
    `layerNorm: residual ${array} null`,
  ],
  ["mask null", () => call(layerNorm(), x(), {}, { mask: null }), `layerNorm: mask ${array} null`],
  ["x of a shape alone", () => call(layerNorm(), { shape: [2, 4] }), `layerNorm: x ${array} an object`],
  ["x undefined", () => call(layerNorm(), undefined), `layerNorm: x ${array} undefined`],
  ["a second input null", () => call(layerNorm(), [x(), null]), `layerNorm: input 1 ${array} null`],
  ["no inputs", () => call(layerNorm(), []), "layerNorm: expected at least one input, x, got none"],
  [
    "a factory",
    () => call(layerNorm, x()),
    "apply: norm must be a normalization, such as layerNorm(), got the function factory; call the function that makes it",
  ],
  [
    "init: a number",
    () => start(1, [2, 4]),
    "init: norm must be a normalization, such as layerNorm(), got 1",
  ],
  [
    "init: no shape",
    () => start(layerNorm()),
    "init: shape must be that of x, a list of lengths such as [2, 3], got none; further inputs follow",
  ],
  ...([undefined, null, 4, "x"] as const).map((shape): [string, () => unknown, string] => [
    `init: shape ${shape}`,
    () => start(layerNorm(), shape),
    `init: shape must be a list of lengths such as [2, 3], got ${typeof shape === "string" ? '"x"' : shape}`,
  ]),
];

describe("TypeErrors", () => {
  it.each(rejected)("%s", (_, run, message) => {
    expect(run).toThrow(TypeError);
    expect(run).toThrow(new TypeError(message));
  });
});

it("init: lengths out of bounds are RangeErrors", () => {
  const run = () => init(layerNorm(), [2, -4]);
  expect(run).toThrow(new RangeError("init: shape must have non-negative integer lengths, got [2, -4]"));
});

it("what is undefined is left out", () => {
  const options = { training: undefined, mask: undefined, residual: undefined };
  const { y } = apply(layerNorm(), np.array([[1, 3]]), { gamma: undefined } as never, options);
  expect(Array.from(y.dataSync())).toEqual([expect.closeTo(-1, 4), expect.closeTo(1, 4)]);
});
