/**
 * What other frameworks call the weights of a normalization. A weight has our name (gamma, runningMean) wherever it is used;
 * theirs stand in saved models and state dicts.
 *
 *     theirs("pytorch", "runningVariance")        // running_var
 *     theirs("keras3", "gamma", "rmsNorm")        // scale
 *     ours("flax", "var")                         // runningVariance
 */
import { described } from "../shape.js";

/** Names by ours; `norms` for those that one normalization has otherwise, by its name in the catalog. */
interface Names {
  readonly weights: Readonly<Record<string, string>>;
  readonly norms?: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** Counts training batches, one number for all channels: beside running statistics. */
  readonly batchCount?: string;
}

const keras: Names = {
  weights: {
    gamma: "gamma",
    beta: "beta",
    runningMean: "moving_mean",
    runningVariance: "moving_variance",
    // of renorm=True, Batch Renormalization
    runningDeviation: "moving_stddev",
    renormMean: "renorm_mean",
    renormDeviation: "renorm_stddev",
  },
  norms: { rmsNorm: { gamma: "scale" }, spectralNorm: { u: "vector_u", v: "vector_v" } },
};

const pytorch: Names = {
  weights: { gamma: "weight", beta: "bias", runningMean: "running_mean", runningVariance: "running_var" },
  norms: {
    weightNorm: { g: "weight_g" },
    spectralNorm: { u: "weight_u", v: "weight_v" },
    // asteroid's
    cumulativeLayerNorm: { gamma: "gamma", beta: "beta" },
  },
  batchCount: "num_batches_tracked",
};

const names = {
  pytorch,
  fastai: pytorch,
  keras,
  keras2: keras,
  keras3: keras,
  tensorflowjs: keras,
  gluon: {
    weights: {
      gamma: "gamma",
      beta: "beta",
      runningMean: "running_mean",
      runningVariance: "running_var",
    },
  },
  mxnet: {
    weights: { gamma: "gamma", beta: "beta", runningMean: "moving_mean", runningVariance: "moving_var" },
  },
  flax: {
    weights: { gamma: "scale", beta: "bias", runningMean: "mean", runningVariance: "var" },
  },
  onnx: {
    weights: { gamma: "scale", beta: "B", runningMean: "input_mean", runningVariance: "input_var" },
    norms: { layerNorm: { gamma: "Scale" }, groupNorm: { beta: "bias" } },
  },
} as const satisfies Readonly<Record<string, Names>>;

/** As in `conventions`; `keras` where the version makes no difference. */
export type NamedFramework = keyof typeof names;

/** @throws RangeError for a framework whose names are not known here */
export function checkFramework(caller: string, framework: unknown): asserts framework is NamedFramework {
  if (typeof framework === "string" && Object.hasOwn(names, framework)) return;
  throw new RangeError(
    `${caller}: names must be those of ${Object.keys(names).join(", ")}, got ${described(framework)}`,
  );
}

/** What a framework calls the number of training batches that running statistics were measured on; undefined where it has none. */
export function batchCountOf(framework: NamedFramework): string | undefined {
  return (names[framework] as Names).batchCount;
}

/**
 * A framework's name of a weight; in its spelling (snake case) where it has no such weight.
 * @param weight our name
 * @param norm our name of the normalization, for those whose weights a framework names otherwise
 */
export function theirs(framework: NamedFramework, weight: string, norm?: string): string {
  return namesOf(framework, norm).get(weight) ?? snakeCase(weight);
}

/** Our name of a framework's weight, the other way. */
export function ours(framework: NamedFramework, name: string, norm?: string): string {
  for (const [weight, their] of namesOf(framework, norm)) if (their === name) return weight;
  return camelCase(name);
}

/** By our names. */
function namesOf(framework: NamedFramework, norm: string | undefined): Map<string, string> {
  const { weights, norms = {} }: Names = names[framework];
  const own = norm !== undefined && Object.hasOwn(norms, norm) ? norms[norm] : {};
  return new Map(Object.entries({ ...weights, ...own }));
}

export function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

export function camelCase(name: string): string {
  return name.replace(/(?<=[a-z\d])_([a-z\d])/g, (_, letter: string) => letter.toUpperCase());
}
