/**
 * The networks that are compared: blocks of (dense or convolution) → normalization → activation, all alike, and a
 * dense layer at the end. A normalization of weights stands around the dense layer or convolution instead. Everything but the normalization is the same for the same seed.
 */
import {
  initializers,
  input,
  type LayersModel,
  layers,
  model,
  type SymbolicTensor,
} from "@tensorflow/tfjs-layers";
import * as tfjs from "evenkeel/tfjs";
import { aboutOf, optionsOf } from "./norms.js";
import type { NormName } from "./results.js";
import type { Activation, ModelKind } from "./settings.js";

export interface ModelSettings {
  kind: ModelKind;
  /** Blocks before the last layer. */
  depth: number;
  /** Units, or channels, of each block. */
  width: number;
  activation: Activation;
}

export interface Network {
  /** Outputs: the last layer's [batch, outputs], then each block's. */
  model: LayersModel;
  /** Names of the kernel variables of blocks and last layer, first one first. */
  kernels: string[];
}

type Layer = InstanceType<typeof layers.Layer>;
/** The layers of normalizations, and the wrappers of layers. */
type Makers = Record<string, (...args: object[]) => Layer>;

/** As the layer of a normalization is called: `layerNorm` is layerNormalization. */
const layerOf = (name: string) => name.replace(/norm$/i, (end) => `${end}alization`);

/** A dense layer or convolution, and what normalizes it. */
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
  settings: ModelSettings,
  norm: NormName,
  inputShape: number[],
  outputs: number,
  seed: number,
): Network {
  const { kind, depth, width, activation } = settings;
  const start = input({ shape: inputShape });
  const kernels: string[] = [];
  const blocks: SymbolicTensor[] = [];
  // Keras's default for dense and convolution kernels, but seeded
  const kernelInitializer = () => initializers.glorotUniform({ seed: seed * 1000 + kernels.length });
  const add = (layer: Layer, to: SymbolicTensor) => layer.apply(to) as SymbolicTensor;
  let x = start;
  if (kind === "mlp" && inputShape.length > 1) x = add(layers.flatten(), x);
  for (let block = 0; block < depth; block++) {
    const name = `block${block}`;
    const layer =
      kind === "mlp"
        ? layers.dense({ units: width, kernelInitializer: kernelInitializer(), name })
        : layers.conv2d({
            filters: width,
            kernelSize: 3,
            padding: "same",
            kernelInitializer: kernelInitializer(),
            name,
          });
    const parts = normalized(layer, norm, width);
    // a wrapper gives the kernel that it holds its own name
    kernels.push(`${parts[0].name}/kernel`);
    for (const each of parts) x = add(each, x);
    x = add(layers.activation({ activation }), x);
    blocks.push(x);
    if (kind === "cnn" && block === (depth >> 1) - 1) x = add(layers.averagePooling2d({ poolSize: 2 }), x);
  }
  if (kind === "cnn") x = add(layers.globalAveragePooling2d({}), x);
  const last = layers.dense({ units: outputs, kernelInitializer: kernelInitializer(), name: "last" });
  kernels.push("last/kernel");
  return { model: model({ inputs: start, outputs: [add(last, x), ...blocks] }), kernels };
}
