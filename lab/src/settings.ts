/** What can be set, and what is usual where it is not. Light: the command line reads it before anything heavy is loaded. */
export const modelKinds = ["mlp", "cnn"] as const;
export type ModelKind = (typeof modelKinds)[number];

export const activations = ["relu", "tanh", "sigmoid", "elu", "selu"] as const;
export type Activation = (typeof activations)[number];

export const optimizers = ["sgd", "momentum", "adam"] as const;
export type OptimizerName = (typeof optimizers)[number];

/** The options of the command line, as it has checked them. */
export interface CompareOptions {
  data: string;
  target?: string;
  ignore?: string[];
  categorical?: string[];
  task?: "classification" | "regression";
  image?: [number, number];
  limit?: number;
  /** A cnn for images, an mlp for anything else, where left out. */
  model?: ModelKind;
  /** Where left out, these are as `usual` and `usualBatchSize` have them. */
  depth?: number;
  width?: number;
  epochs?: number;
  learningRate?: number;
  batchSize?: number;
  activation: Activation;
  norms?: string[];
  seeds: number;
  optimizer: OptimizerName;
  reach?: number;
  threads: number;
  out: string;
  json: boolean;
}

/** Networks that are deep enough for normalization to matter, and trained for long enough to see it. */
export const usual = {
  mlp: { depth: 20, width: 64, epochs: 15, learningRate: 0.02 },
  cnn: { depth: 16, width: 16, epochs: 8, learningRate: 0.05 },
} as const;

/** `least`, or what comes next so that no last batch of a single example is left, which has no spread to normalize by. */
export function usualBatchSize(examples: number, least = 32): number {
  let size = Math.min(least, examples);
  while (examples % size === 1) size++;
  return size;
}
