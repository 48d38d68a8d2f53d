/**
 * The networks that are compared: blocks of kernel (dense or convolution) → normalization → activation, all alike, then
 * a dense output layer. A normalization of weights wraps the layer with the kernel instead. For one seed, everything but
 * the normalization is the same.
 */
import {
  initializers,
  input,
  layers as keras,
  type LayersModel,
  model,
  type SymbolicTensor,
} from "@tensorflow/tfjs-layers";
import * as tfjs from "evenkeel/tfjs";
import { aboutOf, layerOf, type NormName, optionsOf } from "../norms.js";
import type { Layer, ModelSettings } from "./model.js";
import { type ModelName, models } from "./registry.js";

export interface Network {
  /** Outputs: the last layer's [batch, outputs], then each block's. */
  model: LayersModel;
  /** Names of the kernel variables of blocks and last layer, first one first. */
  kernels: string[];
}

/** The layers of normalizations, and the wrappers of layers. */
type Makers = Record<string, (...args: object[]) => Layer>;

/** A layer with a kernel, and what normalizes it. */
function normalized(layer: Layer, norm: NormName, width: number): Layer[] {
  const chosen = optionsOf(norm, width);
  if (!chosen) return [layer];
  const args = { ...chosen.options, name: `${layer.name}_${norm.replaceAll("-", "_")}` };
  const maker = layerOf(chosen.name);
  if (aboutOf(norm)?.takes === "weight") return [(tfjs as unknown as Makers)[maker](layer, args)];
  return [layer, (tfjs.layers as unknown as Makers)[maker](args)];
}

/** A network for inputs of this shape [features] or [height, width, channels]. */
export function buildNetwork(
  settings: ModelSettings<ModelName>,
  norm: NormName,
  inputShape: number[],
  outputs: number,
  seed: number,
): Network {
  const { kind, depth, width, activation } = settings;
  const { start, kernel, after, end } = models[kind];
  const inputs = input({ shape: inputShape });
  const kernels: string[] = [];
  const blocks: SymbolicTensor[] = [];
  // Keras's default for dense and convolution kernels, but seeded
  const kernelInitializer = () => initializers.glorotUniform({ seed: seed * 1000 + kernels.length });
  const stack = (x: SymbolicTensor, some: Layer[]) =>
    some.reduce((below, layer) => layer.apply(below) as SymbolicTensor, x);
  let x = stack(inputs, start(keras, inputShape));
  for (let block = 0; block < depth; block++) {
    const args = { kernelInitializer: kernelInitializer(), name: `block${block}` };
    const parts = normalized(kernel(keras, width, args), norm, width);
    // a wrapper gives the kernel that it holds its own name
    kernels.push(`${parts[0].name}/kernel`);
    x = stack(x, [...parts, keras.activation({ activation })]);
    blocks.push(x);
    x = stack(x, after(keras, block, depth));
  }
  const last = keras.dense({ units: outputs, kernelInitializer: kernelInitializer(), name: "last" });
  kernels.push("last/kernel");
  return { model: model({ inputs, outputs: [stack(x, [...end(keras), last]), ...blocks] }), kernels };
}
