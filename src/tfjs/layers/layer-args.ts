/** Options common to all layers, of TensorFlow.js and of saved Keras models, and the check of a layer's own. */
import { checkOptions, optionNames } from "../../options.js";
import type { LayerArgs } from "../types.js";

const LAYER_ARGS = [
  "inputShape",
  "batchInputShape",
  "batchSize",
  "dtype",
  "inputDType",
  "name",
  "trainable",
  "weights",
  // added by TensorFlow.js to a config that it reads
  "customObjects",
];
/** Saved by Keras and not needed here. */
const KERAS_ARGS = ["activityRegularizer", "autocast", "ragged", "sparse", "quantizationConfig"];

/**
 * A layer's options without those common to all layers.
 * @param own what the layer has by one of those names: the `batchSize` of ghost batch normalization
 */
export function ownArgs(args: object, own: readonly string[] = []): Record<string, unknown> {
  const others = [...LAYER_ARGS, ...KERAS_ARGS].filter((name) => !own.includes(name));
  return Object.fromEntries(
    Object.entries(args).filter(([name, value]) => !others.includes(name) && value !== undefined),
  );
}

/**
 * @throws TypeError for an unknown option, with the nearest known one; RangeError for an option of Keras that
 * is not supported and would change the layer's behavior
 */
export function checkArgs(layer: string, args: object, known: readonly string[]): void {
  checkOptions(layer, args, [...known, ...LAYER_ARGS, ...KERAS_ARGS], optionNames);
  const { activityRegularizer = null } = args as { activityRegularizer?: unknown };
  if (activityRegularizer === null) return;
  throw new RangeError(
    `${layer}: activityRegularizer must be left out, TensorFlow.js has none; add its loss to the model's`,
  );
}

/**
 * A layer's options with the name of its dtype, for which Keras 3 saves a policy. Variables are float32 in any case.
 * @param own options that are not for TensorFlow.js's layer, which would take a `batchSize` as its input's
 */
export function withTypeName<A extends object>(
  layer: string,
  args: A,
  own: readonly string[] = [],
): A & LayerArgs {
  // anything but an object is reported before TensorFlow.js reads it
  checkOptions(layer, args, Object.keys(Object(args)));
  const { dtype, ...all } = args as A & { dtype?: unknown };
  const others = Object.fromEntries(Object.entries(all).filter(([name]) => !own.includes(name)));
  const policy = dtype as { config?: { name?: unknown } } | string | null | undefined;
  const type = typeof policy === "object" ? policy?.config?.name : policy;
  if (policy === undefined || policy === null) return others as A & LayerArgs;
  if (typeof type !== "string") {
    throw new TypeError(`${layer}: dtype must be the name of a type, such as "float32", got ${typeof dtype}`);
  }
  return { ...others, dtype: TYPES.includes(type) ? type : "float32" } as A & LayerArgs;
}

/** TensorFlow.js's dtypes. */
const TYPES = ["float32", "int32", "bool", "string", "complex64"];
