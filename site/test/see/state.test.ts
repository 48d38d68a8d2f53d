/** What the controls of the first page ask of the lab, and the command that asks the same. */
import { expect, test } from "vitest";
import type { ModelChoice } from "../../src/desk/protocol.ts";
import { askedOf, commandOf, comparedOf, fields, type State, stateOfRecipe } from "../../src/see/state.ts";
import { read, written } from "../../src/ui/address.ts";

const usual: State = read("", fields);
const model: ModelChoice = {
  name: "mlp",
  title: "multilayer perceptron",
  unit: "units",
  usual: { depth: 20, width: 64, epochs: 30, optimizer: "sgd", learningRate: { sgd: 0.1, adam: 0.01 } },
  rates: { sgd: 0.1, momentum: 0.01, adam: 0.003 },
  norms: ["none", "layer", "rms", "batch", "group"],
  usualNorms: ["none", "layer"],
};
const commandFor = (part: Partial<State>, network = model) =>
  commandOf(askedOf({ ...usual, ...part }, network));

test.each<[Partial<State>, string]>([
  [{}, "--data digits --norms none,layer,batch,group --seeds 1"],
  [{ data: "credit-g", norms: ["rms"], seeds: 3 }, "--data credit-g --norms rms --seeds 3"],
  [{ offset: 1e4 }, "--data digits --offset 10000 --norms none,layer,batch,group --seeds 1"],
  [
    { model: "mlp", depth: 60, width: 8, activation: "tanh", optimizer: "adam", batch: 1, epochs: 2 },
    "--data digits --norms none,layer,batch,group --seeds 1 --model mlp --depth 60 --width 8 --activation tanh --optimizer adam --batch-size 1 --epochs 2",
  ],
  [{ rate: 0.05 }, "--data digits --norms none,layer,batch,group --seeds 1 --learning-rate 0.05"],
  [{ rate: 0.05, times: 10 }, "--data digits --norms none,layer,batch,group --seeds 1 --learning-rate 0.5"],
  // those around the usual rate, each ten times as high
  [{ times: 10 }, "--data digits --norms none,layer,batch,group --seeds 1 --tune 0.33,1,3"],
  [
    { times: 10, optimizer: "momentum" },
    "--data digits --norms none,layer,batch,group --seeds 1 --optimizer momentum --tune 0.033,0.1,0.3",
  ],
])("%o is a command", (part, args) => {
  expect(commandFor(part)).toBe(`evenkeel compare ${args}`);
});

test("an address asks for no learning rate that is none", () => {
  for (const address of ["rate=1e308&times=10", "rate=1e-300&times=1e-300", "rate=-1", "times=0"]) {
    const { choices } = askedOf(read(address, fields), model);
    const rates = [choices.learningRate ?? choices.tune ?? 1].flat();
    expect([address, rates.every((rate) => Number(rate) > 0 && Number.isFinite(rate))]).toEqual([
      address,
      true,
    ]);
  }
});

test("what the page opens with is what is usual, where it has no place in the network; what was chosen stays", () => {
  const linear = {
    ...model,
    norms: ["none", "reversible-instance"],
    usualNorms: ["none", "reversible-instance"],
  };
  expect(commandFor({ data: "etth1" }, linear)).toBe(
    "evenkeel compare --data etth1 --norms none,reversible-instance --seeds 1",
  );
  expect(commandFor({ data: "etth1", norms: ["layer"] }, linear)).toBe(
    "evenkeel compare --data etth1 --norms layer --seeds 1",
  );
  expect(comparedOf(usual, undefined)).toEqual(usual.norms);
});

test("a recipe's settings become the controls', as far as these have them", () => {
  const recipe = {
    data: "digits",
    reading: {},
    choices: {
      model: "residual-mlp" as const,
      depth: 60,
      width: 32,
      norms: ["none", "layer"],
      seeds: 5,
      epochs: 2,
    },
  };
  const state = stateOfRecipe({ ...usual, backend: "webgl", batch: 3 }, recipe);
  expect(state).toEqual({
    ...usual,
    backend: "webgl",
    model: "residual-mlp",
    depth: 60,
    width: 32,
    norms: ["none", "layer"],
    seeds: 5,
    epochs: 2,
  });
  expect(written(state, fields)).toBe(
    "norms=none,layer&seeds=5&model=residual-mlp&depth=60&width=32&epochs=2&backend=webgl",
  );
});
