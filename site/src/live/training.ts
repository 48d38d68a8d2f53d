/** What a page's controls say of a comparison, as an address and as the lab has it. */
import type { Choices } from "@evenkeel/lab/comparison";
import { type Activation, activations, type OptimizerName, optimizers } from "@evenkeel/lab/settings";
import { type Backend, backends } from "../desk/protocol.ts";
import { type Fields, list, number, oneOf, text } from "../ui/address.ts";

/** Undefined, "" and no norms stand for what is usual for the data and the network. */
export interface Training {
  norms: readonly string[];
  seeds: number;
  model: string;
  depth: number | undefined;
  width: number | undefined;
  activation: Activation;
  optimizer: OptimizerName | "";
  /** Undefined: each trial chooses its own. */
  rate: number | undefined;
  batch: number | undefined;
  epochs: number | undefined;
  backend: Backend;
}

export const wholeNumber = (most: number) => (value: number) =>
  Number.isInteger(value) && value >= 1 && value <= most;
/** A learning rate, or its factor: both together are a number that the command line takes too. */
export const isRate = (value: number) => value >= 1e-12 && value <= 1e12;
/** A number, or undefined for the usual one. */
export const count = (most: number) => number<number | undefined>(undefined, wholeNumber(most));

export const trainingFields = (norms: readonly string[], seeds: number): Fields<Training> => ({
  norms: list(norms),
  seeds: number(seeds, wholeNumber(20)),
  model: text(),
  depth: count(200),
  width: count(4096),
  activation: oneOf(activations, "relu"),
  optimizer: oneOf([...optimizers, ""], ""),
  rate: number<number | undefined>(undefined, isRate),
  batch: count(1_000_000),
  epochs: count(100_000),
  backend: oneOf(backends, "wasm"),
});

export function choicesOf(training: Training): Choices {
  const { norms, seeds, model, depth, width, activation, optimizer, rate, batch, epochs } = training;
  return {
    ...(norms.length > 0 && { norms: [...norms] }),
    seeds,
    ...(model !== "" && { model: model as Choices["model"] }),
    ...(depth !== undefined && { depth }),
    ...(width !== undefined && { width }),
    ...(activation !== "relu" && { activation }),
    ...(optimizer !== "" && { optimizer }),
    ...(rate !== undefined && { learningRate: rate }),
    ...(batch !== undefined && { batchSize: batch }),
    ...(epochs !== undefined && { epochs }),
  };
}
