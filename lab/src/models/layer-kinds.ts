/** What a layer of anybody's network is: told by its weights and options, so that classes of the user's own are known too. */
import type { LayersModel } from "@tensorflow/tfjs-layers";
import { NormalizationLayer } from "evenkeel/tfjs";
import { aboutOf, kebab } from "../norms.js";
import type { Layer } from "./model.js";

/** A layer's options, as it is saved with them. */
type Options = Readonly<Record<string, unknown>>;

const BUILT_IN_NORMS = ["BatchNormalization", "LayerNormalization"];
const ACTIVATIONS = [
  "Activation",
  "ReLU",
  "LeakyReLU",
  "PReLU",
  "ELU",
  "ThresholdedReLU",
  "Softmax",
  "Rectifier",
];
const NO_KERNEL = ["Embedding", "EmbeddedCategories", "PReLU"];

export const isNormalization = (layer: Layer): boolean =>
  (layer instanceof NormalizationLayer && !isNormalizedWithin(layer)) ||
  BUILT_IN_NORMS.includes(layer.getClassName());

/** Whether it is a layer with kernels whose normalization is within it: a recurrent one, attention. */
export const isNormalizedWithin = (layer: Layer): boolean =>
  layer instanceof NormalizationLayer && aboutOf(kebab(layer.normalization.name))?.takes === "sequence";

export const isActivation = (layer: Layer): boolean => ACTIVATIONS.includes(layer.getClassName());

/** Whether it multiplies its inputs by weights: they have two axes or more. */
export const hasKernel = (layer: Layer): boolean =>
  !isNormalization(layer) && !NO_KERNEL.includes(layer.getClassName()) && hasMatrix(layer);

/** Whether it holds vectors that are looked up. */
export const isEmbedding = (layer: Layer): boolean =>
  /^Embedd/.test(layer.getClassName()) && hasMatrix(layer);

const hasMatrix = (layer: Layer): boolean => layer.weights.some(({ shape }) => shape.length > 1);

/** The layers directly in a model, or the model or residual branch that a wrapper runs; none of a layer that is one to its user. */
export function partsOf(layer: Layer): Layer[] {
  const { layers, layer: wrapped } = layer as { layers?: Layer[]; layer?: Layer };
  if (layers !== undefined) return layers;
  const runsModel = wrapped !== undefined && "layers" in wrapped;
  return runsModel || (wrapped !== undefined && layer.getClassName() === "ResidualBlock") ? [wrapped] : [];
}

/** Every layer that computes, with its path: names of the models around it, and its own. */
export function leavesOf(model: LayersModel): { layer: Layer; path: string }[] {
  const found = new Map<Layer, string>();
  const visit = (layer: Layer, before: string) => {
    const path = `${before}${layer.name}`;
    const parts = partsOf(layer);
    for (const part of parts) visit(part, `${path}/`);
    if (parts.length === 0 && layer.getClassName() !== "InputLayer" && !found.has(layer))
      found.set(layer, path);
  };
  for (const layer of model.layers) visit(layer, "");
  return [...found].map(([layer, path]) => ({ layer, path }));
}

/** The options that hold a layer's activation: its own, or those of the layer that it wraps. */
export function withActivation(config: Options): Options {
  const { layer } = config as { layer?: { config?: Options } };
  return layer?.config ?? config;
}

/** Whether its activation is within its gates, or its loop over time, where nothing can be put before it. */
export const isRecurrent = (config: Options): boolean =>
  Object.keys(config).some((key) => /^(recurrent|cell)/.test(key)) ||
  Object.keys(withActivation(config)).some((key) => /^(recurrent|cell)/.test(key));

/** The name of the function that a layer's outputs come from; "linear" for none. */
export function activationOf(layer: Layer): string {
  const config = layer.getConfig() as Options;
  const className = layer.getClassName();
  if (className === "ReLU") return (config.maxValue ?? null) === null ? "relu" : "relu6";
  if (isActivation(layer) && className !== "Activation") return className.toLowerCase();
  const named = withActivation(config).activation;
  return typeof named === "string" ? named.toLowerCase() : "linear";
}

/** The shape of what a layer gives, with the batch; of several outputs the first. */
function shapeOf(layer: Layer): readonly (number | null)[] {
  const output = layer.inboundNodes.length > 0 ? [layer.getOutputAt(0)].flat()[0] : undefined;
  return output?.shape ?? (layer.outputShape as (number | null)[]);
}

export const rankOf = (layer: Layer): number => shapeOf(layer).length;

/** The length of the last axis of what a layer gives. */
export const widthOf = (layer: Layer): number => shapeOf(layer).at(-1) ?? 1;
