/** The settings of a network and its training that no model or task decides. Light: the command line reads it first. */
export const activations = ["relu", "tanh", "sigmoid", "elu", "selu"] as const;
export type Activation = (typeof activations)[number];

export const optimizers = ["sgd", "momentum", "adam"] as const;
export type OptimizerName = (typeof optimizers)[number];

/** `least`, or the next size that leaves no last batch of a single example, whose variance would be zero. */
export function usualBatchSize(examples: number, least = 32): number {
  let size = Math.min(least, examples);
  while (examples % size === 1) size++;
  return size;
}

/** What `--sweep` can vary. */
export const sweepSettings = ["learning-rate", "batch-size", "depth"] as const;
export type SweepSetting = (typeof sweepSettings)[number];

/** What is tried by default: the usual learning rate, a third of it and three times it. */
export const learningRatesAround = (rate: number): number[] =>
  [rate / 3, rate, 3 * rate].map((each) => Number(each.toPrecision(2)));

/** The epochs for which each of several learning rates is tried: a quarter, and at least one. */
export const trialEpochs = (epochs: number): number => Math.max(1, Math.round(epochs / 4));
