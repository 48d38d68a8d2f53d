/**
 * The networks that are compared: blocks of (dense or convolution) → normalization → activation, all alike, and a
 * dense layer at the end. Everything but the normalization is the same for the same seed.
 */
import {
  initializers,
  input,
  type LayersModel,
  layers,
  model,
  type SymbolicTensor,
} from "@tensorflow/tfjs-layers";
import { legalGroups } from "evenkeel";
import { layers as norms } from "evenkeel/tfjs";
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

type Layer = { apply(inputs: SymbolicTensor): unknown };

/** The epsilon of all normalizations here, so that nothing but their kind differs. */
const EPSILON = 1e-5;
/** Fewest channels of a group; fewer make its statistics mere noise. */
const LEAST_GROUP = 4;

/** Whether a normalization has anything to normalize over in such a model. */
export function fits(norm: NormName, kind: ModelSettings["kind"]): boolean {
  return !(norm === "instance" && kind === "mlp");
}

/** Up to eight groups of at least four channels. */
export function groupsOf(width: number): number {
  const legal = legalGroups(width).filter((groups) => groups <= 8 && width / groups >= LEAST_GROUP);
  return legal.at(-1) ?? 1;
}

function normalization(norm: NormName, width: number, name: string): Layer | undefined {
  switch (norm) {
    case "none":
      return undefined;
    case "layer":
      return norms.layerNormalization({ epsilon: EPSILON, name });
    case "rms":
      return norms.rmsNormalization({ epsilon: EPSILON, name });
    case "batch":
      return norms.batchNormalization({ epsilon: EPSILON, momentum: 0.9, name });
    case "group":
      return norms.groupNormalization({ epsilon: EPSILON, groups: groupsOf(width), name });
    case "instance":
      return norms.instanceNormalization({ epsilon: EPSILON, name });
  }
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
    kernels.push(`${name}/kernel`);
    x = add(layer, x);
    const between = normalization(norm, width, `${name}_${norm}`);
    if (between) x = add(between, x);
    x = add(layers.activation({ activation }), x);
    blocks.push(x);
    if (kind === "cnn" && block === (depth >> 1) - 1) x = add(layers.averagePooling2d({ poolSize: 2 }), x);
  }
  if (kind === "cnn") x = add(layers.globalAveragePooling2d({}), x);
  const last = layers.dense({ units: outputs, kernelInitializer: kernelInitializer(), name: "last" });
  kernels.push("last/kernel");
  return { model: model({ inputs: start, outputs: [add(last, x), ...blocks] }), kernels };
}
