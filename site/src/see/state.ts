/** What the first page compares: its controls, as an address and as the lab has it. */
import type { Choices } from "@evenkeel/lab/comparison";
import type { DatasetOptions } from "@evenkeel/lab/datasets/dataset";
import { argumentsOf } from "@evenkeel/lab/recipes/command";
import { learningRatesAround } from "@evenkeel/lab/settings";
import { typed } from "@evenkeel/report/format";
import type { ModelChoice } from "../desk/protocol.ts";
import { choicesOf, isRate, type Training, trainingFields } from "../live/training.ts";
import { type Fields, number, text } from "../ui/address.ts";

export interface State extends Training {
  /** A recipe instead of what follows. */
  recipe: string;
  data: string;
  /** Factor of the learning rate, or of those that are tried. */
  times: number;
  /** Added to every standardized input. */
  offset: number;
}

/** As the page opens: the deep network of `npm start`, each normalization from one seed. */
export const fields: Fields<State> = {
  recipe: text(),
  data: text("digits"),
  ...trainingFields(["none", "layer", "batch", "group"], 1),
  times: number(1, isRate),
  offset: number(0),
};

/** What the lab takes: how data are read, and what is compared. */
export interface Asked {
  data: string;
  reading: DatasetOptions;
  choices: Choices;
}

/** What is compared: instead of what the page opens with, where that has no place in the network, what is usual for it. */
export function comparedOf({ norms }: State, model: ModelChoice | undefined): readonly string[] {
  const isOpening = norms.join() === fields.norms.usual.join();
  return !isOpening || model === undefined || norms.every((norm) => model.norms.includes(norm))
    ? norms
    : model.usualNorms;
}

export const readingOf = ({ offset }: State): DatasetOptions => (offset === 0 ? {} : { offset });

/** @param model the network that it will be, of the data that were loaded */
export function askedOf(state: State, model: ModelChoice): Asked {
  const { data, rate, times } = state;
  const usual = model.rates[state.optimizer || model.usual.optimizer];
  const scaled = (value: number) => Number((value * times).toPrecision(6));
  const rates =
    rate !== undefined
      ? { learningRate: scaled(rate) }
      : times === 1
        ? {}
        : { tune: learningRatesAround(usual).map(scaled) };
  const norms = comparedOf(state, model);
  return { data, reading: readingOf(state), choices: { ...choicesOf({ ...state, norms }), ...rates } };
}

/** What does the same in a terminal; undefined for data that are changed first. */
export function commandOf({ data, reading, choices }: Asked): string | undefined {
  const args = argumentsOf({ data, reading, choices });
  return args && ["evenkeel", "compare", ...args].map(typed).join(" ");
}

/** A recipe's settings as far as the controls have them, for whoever changes one of them. */
export function stateOfRecipe(state: State, { data, reading, choices }: Asked): State {
  const own = Object.fromEntries(
    Object.entries(fields).map(([name, { usual }]) => [name, usual]),
  ) as unknown as State;
  return {
    ...own,
    data,
    norms: choices.norms ?? own.norms,
    seeds: choices.seeds,
    model: choices.model ?? "",
    depth: choices.depth,
    width: choices.width,
    activation: choices.activation ?? own.activation,
    optimizer: choices.optimizer ?? "",
    rate: choices.learningRate,
    batch: choices.batchSize,
    epochs: choices.epochs,
    offset: reading.offset ?? 0,
    backend: state.backend,
  };
}
