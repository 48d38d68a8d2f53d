/** A trial on its way: what is told after each step, and inputs that are offset. */
import { beforeAll, expect, test } from "vitest";
import { trialSoFar } from "../src/comparison.js";
import { digestOf } from "../src/datasets/dataset.js";
import { datasetOf } from "../src/datasets/registry.js";
import { examplesOf, inputOf } from "../src/examples.js";
import { mlp } from "../src/models/mlp.js";
import { startTensorFlow } from "../src/node/tensorflow.js";
import { stepsOf } from "../src/settings.js";
import { runTrial, type SoFar, type TrialSpec } from "../src/trial.js";
import { errorOf } from "./support/files.js";
import { rows, scattered, tableOf } from "./support/tables.js";

beforeAll(startTensorFlow);

const table = () =>
  tableOf({
    a: rows(100, (i) => 50 + scattered(i)),
    b: rows(100, (i) => (i % 9 === 0 ? null : scattered(i, Math.PI))),
    city: rows(100, (i) => ["Oslo", "Rome"][i % 2]),
    label: rows(100, (i) => (scattered(i) > 0.5 ? "yes" : "no")),
  });
const made = (offset?: number) => datasetOf(table(), { offset }, "made up");

const spec = (epochs: number, learningRates: number[]): TrialSpec => ({
  norm: "layer",
  seed: 1,
  model: { kind: mlp.name, depth: 2, width: 8, activation: "relu" },
  training: { epochs, batchSize: 16, learningRates, optimizer: "sgd", warmUp: 0 },
  data: made(),
  digest: "",
});

test("each step is told with what was measured so far, and awaited where it is to be", async () => {
  const [epochs, rates] = [4, [0.01, 0.1]];
  const whole = spec(epochs, rates);
  const seen: { done: number; soFar: SoFar; epochs: number }[] = [];
  let waits = 0;
  const trial = await runTrial(whole, mlp, (progress, soFar) => {
    seen.push({ done: progress.done, soFar, epochs: soFar.epochs.length });
    if (seen.length % 5 !== 0) return undefined;
    waits++;
    return new Promise((resolve) => setTimeout(resolve, 1));
  });
  const steps = stepsOf(examplesOf(whole.data, 1).train.length, 16);
  // the second rate is tried for one epoch
  expect(seen.length).toBe(steps * (epochs + 1));
  expect(waits).toBe(Math.floor(seen.length / 5));
  expect(seen.map(({ done }) => done)).toEqual(seen.map((_, i) => (i + 1) / seen.length));
  expect(new Set(seen.map(({ soFar }) => soFar.learningRate))).toEqual(new Set(rates));
  const last = seen[seen.length - 1];
  expect(last.epochs).toBe(epochs - 1);
  const { learningRate, epochs: curve, probes, guess, guesses, guessing } = trial;
  expect(last.soFar).toEqual({ learningRate, epochs: curve, probes, guess, guesses, guessing });

  // as a trial, it has the metric of its last epoch
  const soFar = trialSoFar(whole, last.soFar);
  expect(soFar).toMatchObject({ norm: "layer", seed: 1, outcome: "finished", epochs: curve, guess });
  expect(soFar.scores.heldOut).toEqual({ [whole.data.metric]: curve[epochs - 1].metric });
  expect(trialSoFar(whole, { ...last.soFar, epochs: [] }).scores.heldOut).toEqual({
    [whole.data.metric]: null,
  });

  // nothing of it changes the numbers
  const again = await runTrial(whole, mlp, () => {});
  expect(again.epochs.map(({ trainLoss }) => trainLoss)).toEqual(curve.map(({ trainLoss }) => trainLoss));
});

test("an offset is added to what networks see, after it was standardized, but to no number of a category", async () => {
  const [plain, moved] = [made(), made(1e4)].map((data) => examplesOf(data, 1));
  for (const row of plain.train) {
    expect(inputOf(moved, row)).toEqual(inputOf(plain, row).map((value) => value + 1e4));
  }
  expect(moved.inputs).toEqual(plain.inputs);
  const input = { ...plain.data.form.input, categories: [{ at: 1, levels: 3 }] };
  const embedded = { ...moved, data: { ...moved.data, form: { ...plain.data.form, input } } };
  const row = plain.train[0];
  expect(inputOf(embedded, row)[1]).toBe(inputOf(plain, row)[1]);
  expect(inputOf(embedded, row)[0]).toBe(inputOf(moved, row)[0]);
  expect(await digestOf(moved.data)).not.toBe(await digestOf(plain.data));
  expect(await digestOf(made(0))).toBe(await digestOf(made()));
  expect(made(1e4).decisions.at(-1)).toEqual({
    columns: [],
    what: "10,000 is added to every input, after it was standardized",
    why: "as --offset has it",
  });
});

test("an offset has no place where there are no columns to predict from", async () => {
  const series = tableOf({
    day: rows(60, (i) => new Date(Date.UTC(2024, 0, 1 + i))),
    value: rows(60, (i) => scattered(i)),
  });
  expect(await errorOf(async () => datasetOf(series, { offset: 3 }, "made up"))).toMatch(
    /^UsageError: --offset: has no place in forecasting; leave it out, or use --task /,
  );
});

test("nor where the input is a text", async () => {
  const texts = tableOf({
    review: rows(60, (i) => `word ${i % 7} and another ${i % 5} or so, as long as a text is`),
    label: rows(60, (i) => (scattered(i) > 0.5 ? "yes" : "no")),
  });
  const made = async () => datasetOf(texts, { text: "review", offset: 3 }, "made up");
  expect(await errorOf(made)).toBe(
    "UsageError: --offset: has no place where the input is a text, whose words are no quantities; leave it out",
  );
});
