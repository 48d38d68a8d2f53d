/** What a diagnosis says: where, how much, and nothing where nothing was found. */
import { expect, test } from "vitest";
import { ailmentsOf, changesOf, proposedFor } from "../src/ailments.js";
import type { Gap, LayerState } from "../src/diagnosis.js";
import { syntheticCourse } from "./support/synthetic-diagnosis.js";

const textsOf = (...args: Parameters<typeof syntheticCourse>) =>
  ailmentsOf(syntheticCourse(...args)).map(({ text }) => text);

test("nothing is said of a network whose numbers are even", () => {
  expect(textsOf({ layers: 5 })).toEqual([]);
  expect(proposedFor([], 32)).toEqual([]);
});

test("a gradient that vanishes or explodes is told with both ends, and the factor of each layer", () => {
  const gradient =
    (factor: number) =>
    (index: number): Partial<LayerState> => ({ gradientNorm: factor ** index });
  expect(textsOf({ layers: 6, state: gradient(10), later: () => ({ gradientNorm: 1 }) })).toEqual([
    'The gradient vanishes towards the inputs before training: 1.00 at "layer1", 100,000 at "layer6" (falls by 10.0 per layer); after 2 steps the largest is 1.0 times the smallest',
  ]);
  const [explodes] = ailmentsOf(syntheticCourse({ layers: 6, state: gradient(0.1) }));
  expect(explodes.text).toMatch(
    /^The gradient explodes towards the inputs before training: 1\.00 at "layer1", 1\.00×10⁻⁵ at "layer6" \(grows by 10\.0 per layer\)/,
  );
  expect(explodes.layers).toEqual(["layer1"]);
});

test("what comes only with training is told with its step", () => {
  expect(textsOf({ layers: 2, later: (index) => ({ gradientNorm: 1e4 ** index }) })).toEqual([
    'The gradient vanishes towards the inputs after 2 steps: 1.00 at "layer1", 10,000 at "layer2" (falls by 10,000 per layer)',
  ]);
});

test("activations that vanish or explode are told, but not for what an output's activation gives", () => {
  const state = (index: number): Partial<LayerState> => ({ spread: 0.1 ** index });
  expect(textsOf({ layers: 4, state, later: state })[0]).toBe(
    'The spread of activations vanishes with depth before training: 1.00 at "layer1", 0.00100 at "layer4" (falls by 10 per layer); after 2 steps the largest is 1,000 times the smallest',
  );
  expect(textsOf({ layers: 3, state, later: state, end: "softmax" })).toEqual([]);
});

test("dead units, gradients that are 0 or small, and losses are told", () => {
  const dead = (index: number): Partial<LayerState> => ({ dead: index === 1 ? 0.5 : 0 });
  expect(textsOf({ layers: 3, state: dead, later: dead })).toEqual([
    'Units are dead before training: 50\u00a0% of 8 at "layer2"; after 2 steps at most 50\u00a0% of a layer’s',
  ]);
  expect(textsOf({ layers: 3, state: (index) => (index === 0 ? { gradientNorm: 0 } : {}) })).toEqual([
    'No gradient reaches "layer1" before training: it is exactly 0',
  ]);
  expect(textsOf({ layers: 3, later: () => ({ gradientNorm: 0 }) })).toEqual([
    "No gradient reaches any layer after 2 steps: it is exactly 0",
  ]);
  expect(textsOf({ layers: 2, state: () => ({ gradientNorm: 1e-9 }) })).toEqual([
    'The gradient is small beside the weights in every layer before training: at most 1.00×10⁻⁹ of them, at "layer1"',
  ]);
  expect(textsOf({ layers: 2, losses: [1, 0.999] })).toEqual([
    "The loss did not fall: 1.00 before training, 0.999 after 2 steps",
  ]);
});

test("of random targets no loss needs to fall", () => {
  expect(ailmentsOf(syntheticCourse({ layers: 2, losses: [1, 1] }), false)).toEqual([]);
});

test("a network that diverges is told with the step, and the layer that it begins at", () => {
  expect(
    textsOf({ layers: 2, losses: [1, null], later: (index) => (index === 1 ? { spread: null } : {}) }),
  ).toEqual([
    'The loss is not finite after 1 step; the first layer whose outputs are not finite is "layer2"',
  ]);
});

test("running statistics that are not a batch's are told, and no normalization is proposed for it", () => {
  const gap: Gap = {
    layer: "bn",
    over: "batch",
    mean: { median: 3, max: 4 },
    variance: { median: 1.5, max: 2 },
  };
  const near: Gap = { ...gap, layer: "near", mean: { median: 0.1, max: 4 } };
  const ailments = ailmentsOf(syntheticCourse({ layers: 2, gaps: [near, gap] }));
  expect(ailments.map(({ text }) => text)).toEqual([
    'Running statistics are not those of the batches after 2 steps in 1 of 2 normalizations, most at "bn": means by 3.00 standard deviations, variances 1.50 times; the loss is 0.500 with a batch’s, 0.600 with the running ones',
  ]);
  expect(proposedFor(ailments, 32)).toEqual([]);
});

test("what is proposed goes by the batch", () => {
  const ailments = ailmentsOf(syntheticCourse({ layers: 2, state: () => ({ dead: 1 }) }));
  expect(proposedFor(ailments, 32)).toEqual(["layer", "batch"]);
  expect(proposedFor(ailments, 4)).toEqual(["layer", "group"]);
});

test("what a normalization changed is both numbers, over as many steps", () => {
  const before = syntheticCourse({
    layers: 3,
    state: (index) => ({ gradientNorm: 100 ** index, dead: index === 1 ? 0.5 : 0 }),
  });
  const after = syntheticCourse({ layers: 3, losses: [2, 0.25] });
  expect(changesOf(before, after)).toEqual([
    "gradient before training: the largest is 1.0 times the smallest (as it is: 10,000 times)",
    "dead units before training: at most 0\u00a0% of a layer’s (as it is: 50\u00a0%)",
    "loss over 2 steps: from 2.00 to 0.250 (as it is: from 1.00 to 0.500)",
  ]);
});
