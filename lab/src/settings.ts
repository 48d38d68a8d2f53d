/** The settings of a network and its training that no model or task decides. Light: the command line reads it first. */
export const activations = ["relu", "tanh", "sigmoid", "elu", "selu"] as const;
export type Activation = (typeof activations)[number];

export const optimizers = ["sgd", "momentum", "adam"] as const;
export type OptimizerName = (typeof optimizers)[number];

/** Examples per step, where the user does not say. */
export const usualBatchSize = (examples: number): number => Math.min(32, examples);

/** Steps of an epoch: a single example that would be left over, which alone has no variance, joins the last batch. */
export const stepsOf = (examples: number, batchSize: number): number =>
  Math.max(1, Math.ceil(examples / batchSize) - Number(batchSize > 1 && examples % batchSize === 1));

/** What `--sweep` can vary. */
export const sweepSettings = ["learning-rate", "batch-size", "depth", "warm-up"] as const;
export type SweepSetting = (typeof sweepSettings)[number];

/** In a sentence: "learning rate", "warm-up". */
export const settingName = (setting: SweepSetting): string => setting.replace(/-(rate|size)$/, " $1");

/** What is tried by default: the usual learning rate, a third of it and three times it. */
export const learningRatesAround = (rate: number): number[] =>
  [rate / 3, rate, 3 * rate].map((each) => Number(each.toPrecision(2)));

/** The epochs for which each of several learning rates is tried: a quarter, and at least one. */
export const trialEpochs = (epochs: number): number => Math.max(1, Math.round(epochs / 4));

/** What is taken for a diagnosis where the user does not say. */
export const usualDiagnosis = { steps: 20, batchSize: 32, optimizer: "sgd", seed: 1 } as const;
