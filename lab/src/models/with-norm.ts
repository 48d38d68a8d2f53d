/**
 * Somebody's network with a normalization between each layer with a kernel and its activation, all other weights the same:
 * rebuilt from its configuration. Between the gates of recurrent layers nothing can be put: it comes after these.
 */
import { LayersModel, Sequential } from "@tensorflow/tfjs-layers";
import * as tfjs from "evenkeel/tfjs";
import { UsageError } from "../errors.js";
import { aboutOf, layerOf, type NormName, nameOf as normTitle, optionsOf } from "../norms.js";
import {
  hasKernel,
  isNormalization,
  isNormalizedWithin,
  isRecurrent,
  partsOf,
  rankOf,
  widthOf,
  withActivation,
} from "./layer-kinds.js";
import type { Layer } from "./model.js";

/** The name of a layer, of one of its calls, of one of its outputs, and arguments. */
type Reference = [layer: string, call: number, output: number, args?: object];

/** A layer as a model's configuration has it; within a sequential one without calls. */
interface Saved {
  name?: string;
  className: string;
  config: Record<string, unknown> & { name: string };
  inboundNodes?: Reference[][];
}

interface SavedModel {
  name: string;
  layers: Saved[];
  inputLayers?: Reference[];
  outputLayers?: Reference[];
}

/** A new network, and the layers that a normalization follows. */
export interface WithNorm {
  model: LayersModel;
  /** Paths of layers: names of the models around it, and its own. */
  placed: string[];
}

const makers = tfjs.layers as unknown as Record<string, (args: object) => Layer>;

/** Whether a normalization can stand between any two layers. */
export const standsBetween = (norm: NormName): boolean =>
  ["features", "positions"].includes(aboutOf(norm)?.takes ?? "");

/**
 * The network with this normalization after every kernel that none follows, but not before its outputs. The model itself is
 * left as it is.
 * @throws UsageError for one that cannot stand between layers, and for a network that has no place for it
 */
export function withNorm(model: LayersModel, norm: NormName): WithNorm {
  if (!standsBetween(norm)) {
    throw new UsageError(
      `--try: expected normalizations that stand between two layers, such as layer or batch, got ${norm}; name others (evenkeel norms lists them)`,
    );
  }
  const { config, placed } = planned(model, norm);
  if (placed.length === 0 && placesOf(model).length > 0) {
    throw new UsageError(
      `--try: expected a network with a layer that gives values at several positions, such as a convolution, for ${normTitle(norm)}, got one without; name layer, batch or another that needs none`,
    );
  }
  if (placed.length === 0) {
    throw new UsageError(
      "--try: expected a network with a layer that no normalization follows, besides the last; every one has its normalization, or there is only one layer: leave --try out",
    );
  }
  const made = fromConfig(model instanceof Sequential ? Sequential : LayersModel, config);
  copyWeights(model.layers, made.layers);
  return { model: made, placed };
}

/** Paths of the layers that a normalization would follow. */
export const placesOf = (model: LayersModel): string[] => planned(model, "layer").placed;

function planned(model: LayersModel, norm: NormName): { config: object; placed: string[] } {
  const placed: string[] = [];
  const saved: Saved = {
    className: model.getClassName(),
    config: structuredClone(model.getConfig()) as unknown as Saved["config"],
  };
  rebuilt(saved, model as unknown as Layer, { norm, placed, path: "", isLast: true });
  return { config: saved.config, placed };
}

function fromConfig(Model: typeof LayersModel | typeof Sequential, config: object): LayersModel {
  return (Model as unknown as { fromConfig(cls: unknown, config: object): LayersModel }).fromConfig(
    Model,
    config,
  );
}

interface Placing {
  norm: NormName;
  placed: string[];
  /** Before names of layers. */
  path: string;
  /** Whether what it gives are the outputs of the whole network. */
  isLast: boolean;
}

/** Puts normalizations into the configuration of a model, or of one in a wrapper. */
function rebuilt({ config }: Saved, live: Layer, placing: Placing): void {
  const inner = (config as { layer?: Saved }).layer;
  const wrapped = (live as { layer?: Layer }).layer;
  if (inner !== undefined && wrapped !== undefined) {
    if (partsOf(live).length > 0) rebuilt(inner, wrapped, within(placing, wrapped));
    return;
  }
  const saved = config as unknown as SavedModel;
  if (!Array.isArray(saved.layers)) return;
  const layers = new Map(partsOf(live).map((layer) => [layer.name, layer]));
  const graph = saved.outputLayers === undefined ? chainOf(saved.layers) : graphOf(saved);
  const last = placing.isLast ? lastOf(graph, layers) : new Set<string>();
  for (const one of [...saved.layers]) {
    const layer = layers.get(nameOf(one));
    if (layer === undefined) continue;
    if (partsOf(layer).length > 0) {
      const isLast = last.has(layer.name);
      rebuilt(one, layer, { ...within(placing, layer), isLast });
    } else if (
      hasKernel(layer) &&
      !isNormalizedWithin(layer) &&
      hasPlace(placing.norm, layer) &&
      !last.has(layer.name) &&
      !isFollowed(layer.name, graph, layers)
    ) {
      place(one, layer, saved, placing);
    }
  }
}

/** One over positions needs such in what the layer gives: [batch, positions, ..., channels]. */
const hasPlace = (norm: NormName, layer: Layer): boolean =>
  aboutOf(norm)?.takes !== "positions" || rankOf(layer) > 2;

const within = (placing: Placing, layer: Layer): Placing => ({
  ...placing,
  path: `${placing.path}${layer.name}/`,
});

const nameOf = ({ name, config }: Saved): string => name ?? config.name;

/** What each layer's inputs come from, and what the outputs do. */
interface Graph {
  inputs: Map<string, string[]>;
  outputs: string[];
}

function chainOf(layers: Saved[]): Graph {
  const names = layers.map(nameOf);
  return {
    inputs: new Map(names.map((name, i) => [name, i > 0 ? [names[i - 1]] : []])),
    outputs: names.slice(-1),
  };
}

function graphOf({ layers, outputLayers = [] }: SavedModel): Graph {
  return {
    inputs: new Map(
      layers.map((one) => [nameOf(one), (one.inboundNodes ?? []).flat().map(([from]) => from)]),
    ),
    outputs: outputLayers.map(([from]) => from),
  };
}

const isBusy = (layer: Layer | undefined): boolean =>
  layer !== undefined && (partsOf(layer).length > 0 || hasKernel(layer));

/** The layers with kernels, and the models, that nothing but layers without kernels parts from the outputs. */
function lastOf({ inputs, outputs }: Graph, layers: ReadonlyMap<string, Layer>): Set<string> {
  const found = new Set<string>();
  const seen = new Set<string>();
  const back = (name: string) => {
    if (seen.has(name)) return;
    seen.add(name);
    if (isBusy(layers.get(name))) found.add(name);
    else for (const before of inputs.get(name) ?? []) back(before);
  };
  for (const name of outputs) back(name);
  return found;
}

/** Whether a normalization takes what the layer gives, as it is or after its activation. */
function isFollowed(name: string, { inputs }: Graph, layers: ReadonlyMap<string, Layer>): boolean {
  const next = [...inputs].filter(([, from]) => from.includes(name)).map(([to]) => to);
  return next.some((to) => {
    const layer = layers.get(to);
    if (layer === undefined || isBusy(layer)) return false;
    if (isNormalization(layer)) return true;
    return (inputs.get(to) ?? []).length === 1 && isFollowed(to, { inputs, outputs: [] }, layers);
  });
}

/** A normalization after a layer, and after that the activation that was in the layer. */
function place(one: Saved, layer: Layer, saved: SavedModel, { norm, placed, path }: Placing): void {
  const taken = new Set(saved.layers.map(nameOf));
  const free = (ending: string) => {
    let name = `${layer.name}_${ending}`;
    while (taken.has(name)) name += "_";
    taken.add(name);
    return name;
  };
  const chosen = optionsOf(norm, widthOf(layer));
  if (chosen === undefined) return;
  const made = makers[layerOf(chosen.name)]({
    ...chosen.options,
    useMask: true,
    name: free(norm.replaceAll("-", "_")),
  });
  const added: Saved[] = [
    { className: made.getClassName(), config: made.getConfig() as unknown as Saved["config"] },
  ];
  const holder = withActivation(one.config) as Record<string, unknown>;
  if (!isRecurrent(one.config) && !["linear", null, undefined].includes(holder.activation as string)) {
    const config = { name: free("activation"), activation: holder.activation };
    added.push({ className: "Activation", config });
    holder.activation = "linear";
  }
  placed.push(`${path}${layer.name}`);
  if (saved.outputLayers !== undefined) connect(one, added, saved);
  saved.layers.splice(saved.layers.indexOf(one) + 1, 0, ...added);
}

/** Whatever took what the layer gave takes what the last of the added gives, call by call. */
function connect(one: Saved, added: Saved[], saved: SavedModel): void {
  const from = nameOf(one);
  const to = nameOf(added[added.length - 1]);
  const references = [
    ...saved.layers.flatMap(({ inboundNodes = [] }) => inboundNodes.flat()),
    ...(saved.outputLayers ?? []),
  ];
  for (const reference of references) {
    if (reference[0] === from && reference[2] === 0) reference[0] = to;
  }
  const calls = (one.inboundNodes ?? []).length;
  let before = from;
  for (const each of added) {
    each.name = each.config.name;
    const source = before;
    each.inboundNodes = Array.from({ length: calls }, (_, call) => [[source, call, 0, {}]]);
    before = each.name;
  }
}

/** From each layer to the one of its name, in models within models too. */
function copyWeights(from: readonly Layer[], to: readonly Layer[]): void {
  const byName = new Map(to.map((layer) => [layer.name, layer]));
  for (const layer of from) {
    const other = byName.get(layer.name);
    if (other === undefined) continue;
    const parts = partsOf(layer);
    if (parts.length > 0) copyWeights(parts, partsOf(other));
    else if (layer.weights.length > 0) other.setWeights(layer.getWeights());
  }
}
