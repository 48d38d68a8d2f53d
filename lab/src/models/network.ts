/**
 * The networks that are compared, each built by its model. A normalization of weights wraps the layer with the kernel, one
 * of forecasts the whole network. For one seed, everything but the normalization is the same.
 */
import {
  initializers,
  input,
  layers as keras,
  type LayersModel,
  model as layersModel,
} from "@tensorflow/tfjs-layers";
import * as tfjs from "evenkeel/tfjs";
import { type Form, isCausal } from "../data/form.js";
import { aboutOf, layerOf, type NormName, optionsOf, placedOf } from "../norms.js";
import { ownLayers } from "./layers/registry.js";
import type { Builder, Layer, Model, ModelSettings, Tensor } from "./model.js";

export interface Network {
  /** [batch, ...form.input.shape] to [batch, ...form.outputs] */
  model: LayersModel;
  /** Names of the variables whose gradients are probed: the kernels of blocks and last layer, first one first. */
  kernels: string[];
  /** The layers that blocks end with, whose outputs are probed, first one first. */
  blocks: Layer[];
}

/** The layers of normalizations, and the wrappers of layers. */
type Makers = Record<string, (...args: object[]) => Layer>;
const layerMakers = tfjs.layers as unknown as Makers;
const wrappers = tfjs as unknown as Makers;

/** What normalizes queries and keys: the normalization itself where it can, or else the first. */
const QK_KINDS = ["layer", "rms", "unit"] as const;

/** Its small batches are of examples, so many each; after training it tells no step from another. */
const BY_EXAMPLES: NormName = "ghost-batch";

/** A network of this model for examples of this form. Throws RangeError for a normalization that has no place in it. */
export function buildNetwork(
  model: Model,
  settings: Omit<ModelSettings, "kind">,
  norm: NormName,
  form: Form,
  seed: number,
): Network {
  const placed = placedOf(norm);
  if (placed === undefined) throw new RangeError(`buildNetwork: norm must be a normalization, got "${norm}"`);
  const { depth, width, activation } = settings;
  const inner = placed.inner;
  const isOfWeights = inner !== undefined && aboutOf(inner)?.takes === "weight";
  const withKernels: Layer[] = [];
  const blocks: Layer[] = [];
  let seeds = 0;
  let norms = 0;
  const on = (x: Tensor, layer: Layer) => layer.apply(x) as Tensor;
  // Keras's default for dense and convolution kernels, but seeded
  const argsOf = (name: string) => ({
    kernelInitializer: initializers.glorotUniform({ seed: builder.seed() }),
    name,
  });
  const kernelName = () => `kernel${withKernels.length}`;
  const chosen = inner === undefined ? undefined : optionsOf(inner, 1);
  const builder: Builder = {
    keras,
    initializers,
    form,
    depth,
    width,
    activation,
    arrangement: placed.arrangement ?? model.arrangements?.[0] ?? "pre",
    sequence: placed.sequence && layerOf(aboutOf(placed.sequence)?.name ?? ""),
    attention:
      placed.arrangement === "qk" ? (QK_KINDS.find((kind) => kind === inner) ?? QK_KINDS[0]) : "none",
    seed: () => seed * 1000 + seeds++,
    evenkeel: (name, args) => layerMakers[name](args),
    own: (name, args) => new (ownLayers[name] as new (args: object) => Layer)(args),
    kernel(x, make) {
      const layer = make(argsOf(kernelName()));
      withKernels.push(layer);
      return on(x, layer);
    },
    weighted: (x, make) => builder.kernel(x, (args) => builder.wrapped(make(args))),
    normalized: (x, make) => builder.norm(builder.weighted(x, make)),
    wrapped(layer) {
      if (chosen === undefined || !isOfWeights) return layer;
      const name = `${layer.name}_normalized`;
      return wrappers[layerOf(chosen.name)](layer, { ...chosen.options, name });
    },
    normLayer() {
      if (inner === undefined || chosen === undefined || isOfWeights) return undefined;
      const name = `norm${norms++}_${inner.replaceAll("-", "_")}`;
      const layer = fitting(
        inner,
        layerMakers[layerOf(chosen.name)]({ ...chosen.options, useMask: true, name }),
      );
      return isCausal(form) && inner !== BY_EXAMPLES
        ? builder.own("EachStep", { layer, name: `${name}_of_each` })
        : layer;
    },
    norm(x) {
      const layer = builder.normLayer();
      return layer === undefined ? x : on(x, layer);
    },
    activate: (x) => on(x, keras.activation({ activation })),
    block(x) {
      blocks.push(x.sourceLayer as Layer);
      return x;
    },
    embedded(x) {
      const { categories = [] } = form.input;
      return categories.length === 0
        ? x
        : on(x, builder.own("EmbeddedCategories", { categories, seed: builder.seed(), name: "categories" }));
    },
  };
  const shaped = (x: Tensor) =>
    x.shape.length === form.outputs.length + 1 ? x : on(x, keras.reshape({ targetShape: form.outputs }));
  const inputs = input({ shape: form.input.shape });
  const built = model.build(builder, inputs);
  const graph =
    "kernels" in built ? built : { inputs, outputs: built, kernels: withKernels.map(kernelOf), blocks };
  let network = layersModel({ inputs: graph.inputs, outputs: shaped(graph.outputs) });
  if (placed.around !== undefined) {
    const around = input({ shape: form.input.shape });
    network = layersModel({ inputs: around, outputs: on(around, reversible(network, placed.around)) });
  }
  return { model: network, kernels: graph.kernels, blocks: graph.blocks };
}

/** The layer, which takes the options that suit its width when it is built. */
function fitting(norm: NormName, layer: Layer): Layer {
  const { build } = layer;
  layer.build = (shape) => {
    const channels = shape.at(-1);
    if (typeof channels === "number") {
      (layer as tfjs.NormalizationLayer).configure({ ...optionsOf(norm, channels)?.options });
    }
    build.call(layer, shape);
  };
  return layer;
}

/** The first weight of a layer that is a matrix, by its name. */
function kernelOf(layer: Layer): string {
  const kernel = layer.trainableWeights.find(({ shape }) => shape.length > 1);
  if (kernel === undefined) throw new RangeError(`buildNetwork: ${layer.name} has no kernel`);
  return kernel.name;
}

/** A whole network, its inputs normalized and its outputs restored. */
function reversible(network: LayersModel, around: NormName): Layer {
  const options = optionsOf(around, 1)?.options;
  return wrappers.reversible(network as unknown as Layer, { ...options, name: around.replaceAll("-", "_") });
}
