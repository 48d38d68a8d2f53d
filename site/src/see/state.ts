/** What the first page compares: its controls, as an address and as the lab has it. */
import type { Choices } from "@evenkeel/lab/comparison";
import type { DatasetOptions } from "@evenkeel/lab/datasets/dataset";
import { argumentsOf } from "@evenkeel/lab/recipes/command";
import {
  type Activation,
  activations,
  learningRatesAround,
  type OptimizerName,
  optimizers,
} from "@evenkeel/lab/settings";
import { typed } from "@evenkeel/report/format";
import { type Backend, backends, type ModelChoice } from "../desk/protocol.ts";
import { type Fields, list, number, oneOf, text } from "../ui/address.ts";

/** Undefined, and "", stand for what is usual for the data and the network. */
export interface State {
  /** A recipe instead of what follows. */
  recipe: string;
  data: string;
  norms: readonly string[];
  seeds: number;
  model: string;
  depth: number | undefined;
  width: number | undefined;
  activation: Activation;
  optimizer: OptimizerName | "";
  /** Undefined: each trial chooses its own. */
  rate: number | undefined;
  /** Factor of the learning rate, or of those that are tried. */
  times: number;
  batch: number | undefined;
  epochs: number | undefined;
  /** Added to every standardized input. */
  offset: number;
  backend: Backend;
}

const count = (most: number) => (value: number) => Number.isInteger(value) && value >= 1 && value <= most;
const isPositive = (value: number) => value > 0;

/** As the page opens: the deep network of `npm start`, each normalization from one seed. */
export const fields: Fields<State> = {
  recipe: text(),
  data: text("digits"),
  norms: list(["none", "layer", "batch", "group"]),
  seeds: number(1, count(20)),
  model: text(),
  depth: number<number | undefined>(undefined, count(200)),
  width: number<number | undefined>(undefined, count(4096)),
  activation: oneOf(activations, "relu"),
  optimizer: oneOf([...optimizers, ""], ""),
  rate: number<number | undefined>(undefined, isPositive),
  times: number(1, isPositive),
  batch: number<number | undefined>(undefined, count(1_000_000)),
  epochs: number<number | undefined>(undefined, count(100_000)),
  offset: number(0),
  backend: oneOf(backends, "wasm"),
};

/** What the lab takes: how data are read, and what is compared. */
export interface Asked {
  data: string;
  reading: DatasetOptions;
  choices: Choices;
}

export const readingOf = ({ offset }: State): DatasetOptions => (offset === 0 ? {} : { offset });

/** @param model the network that it will be, of the data that were loaded */
export function askedOf(state: State, model: ModelChoice): Asked {
  const { data, norms, seeds, depth, width, activation, rate, times, batch, epochs } = state;
  const optimizer = state.optimizer || model.usual.optimizer;
  const usual = model.rates[optimizer];
  const scaled = (value: number) => Number((value * times).toPrecision(6));
  const rates =
    rate !== undefined
      ? { learningRate: scaled(rate) }
      : times === 1
        ? {}
        : { tune: learningRatesAround(usual).map(scaled) };
  return {
    data,
    reading: readingOf(state),
    choices: {
      norms: [...norms],
      seeds,
      ...(state.model !== "" && { model: state.model as Choices["model"] }),
      ...(depth !== undefined && { depth }),
      ...(width !== undefined && { width }),
      ...(activation !== fields.activation.usual && { activation }),
      ...(state.optimizer !== "" && { optimizer: state.optimizer }),
      ...rates,
      ...(batch !== undefined && { batchSize: batch }),
      ...(epochs !== undefined && { epochs }),
    },
  };
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
