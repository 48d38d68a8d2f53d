/** Options that any layer has, of TensorFlow.js and of saved Keras layers, and the check of those that one has. */
import { optionNames } from "../../frameworks/names.js";
import { checkOptions } from "../../options.js";
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
  // which TensorFlow.js adds to a config that it reads
  "customObjects",
];
/** Which Keras saves, and no layer here needs. */
const KERAS_ARGS = ["activityRegularizer", "autocast", "ragged", "sparse", "quantizationConfig"];

/** Options of a layer that are not those of every layer. */
export function ownArgs(args: object): Record<string, unknown> {
  const others = [...LAYER_ARGS, ...KERAS_ARGS];
  return Object.fromEntries(
    Object.entries(args).filter(([name, value]) => !others.includes(name) && value !== undefined),
  );
}

/**
 * @throws TypeError for an option that is neither one of every layer nor one of `known`, with the nearest one; RangeError for one of
 * Keras's that would change what the layer does
 */
export function checkArgs(layer: string, args: object, known: readonly string[]): void {
  checkOptions(layer, args, [...known, ...LAYER_ARGS, ...KERAS_ARGS], optionNames);
  const { activityRegularizer = null } = args as { activityRegularizer?: unknown };
  if (activityRegularizer === null) return;
  throw new RangeError(
    `${layer}: activityRegularizer must be left out, TensorFlow.js has none; add its loss to the model's`,
  );
}

/** The options of a layer, with the name of its type: Keras 3 saves a policy. Variables are float32 here, whatever it says. */
export function withTypeName<A extends object>(layer: string, args: A): A & LayerArgs {
  // what is no object is said before TensorFlow.js reads it
  checkOptions(layer, args, Object.keys(Object(args)));
  const { dtype, ...others } = args as A & { dtype?: unknown };
  const policy = dtype as { config?: { name?: unknown } } | string | null | undefined;
  const type = typeof policy === "object" ? policy?.config?.name : policy;
  if (policy === undefined || policy === null) return others as A & LayerArgs;
  if (typeof type !== "string") {
    throw new TypeError(`${layer}: dtype must be the name of a type, such as "float32", got ${typeof dtype}`);
  }
  return { ...others, dtype: TYPES.includes(type) ? type : "float32" } as A & LayerArgs;
}

/** Of TensorFlow.js. */
const TYPES = ["float32", "int32", "bool", "string", "complex64"];
