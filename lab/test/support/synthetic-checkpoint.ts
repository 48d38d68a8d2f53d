/** Checkpoints made of nothing: every kind of health, in any number, under any name. */
import type { Checkpoint, Module, Tensor, Values } from "evenkeel/checkpoints";

/** A layer: its class in PyTorch, and what its tensors hold by the framework's names. */
export interface SyntheticLayer {
  name: string;
  type: string;
  config?: Record<string, unknown>;
  tensors: Record<string, number[] | Float32Array>;
}

export function tensorOf(name: string, values: Values, more: Partial<Tensor> = {}): Tensor {
  return {
    name,
    shape: [values.length],
    dtype: "float32",
    strides: [1],
    at: { file: "made", byteLength: values.byteLength },
    read: async () => values,
    ...more,
  };
}

/** A file of PyTorch with these layers; `more` changes what else it says. */
export function checkpointOf(layers: SyntheticLayer[], more: Partial<Checkpoint> = {}): Checkpoint {
  const modules = layers.map(
    ({ name, type, config = {}, tensors }): Module => ({
      name,
      type,
      config,
      tensors: Object.fromEntries(
        Object.entries(tensors).map(([key, values]) => [
          key,
          tensorOf(`${name}.${key}`, Float32Array.from(values)),
        ]),
      ),
    }),
  );
  const tensors = modules.flatMap((module) => Object.values(module.tensors));
  return {
    format: "PyTorch (zip)",
    framework: "pytorch",
    version: "2.8",
    file: "model.pt",
    byteLength: 1_234_567,
    metadata: {},
    tensors: new Map(tensors.map((tensor) => [tensor.name, tensor])),
    others: new Map(),
    modules,
    ...more,
  };
}

/** Numbers about `mean`, the same each time. */
export function spread(count: number, mean: number, deviation: number, seed = 1): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => {
    const noise = [1, 2, 3].map((k) => (Math.sin((i + 1) * 12.9898 * k + seed * 78.233) * 43758.5453) % 1);
    return mean + deviation * noise.reduce((sum, value) => sum + value, 0);
  });
}

/** A batch normalization of a trained network. */
export function batchNorm(name: string, channels: number, seed = 1): SyntheticLayer {
  return {
    name,
    type: "BatchNorm2d",
    config: { eps: 1e-5, momentum: 0.1, affine: true, track_running_stats: true, num_features: channels },
    tensors: {
      weight: spread(channels, 1, 0.3, seed),
      bias: spread(channels, 0, 0.4, seed + 1),
      running_mean: spread(channels, 0.2, 0.8, seed + 2),
      running_var: spread(channels, 0, 2, seed + 3).map(Math.exp),
    },
  };
}

export function layerNorm(name: string, channels: number, seed = 1): SyntheticLayer {
  return {
    name,
    type: "LayerNorm",
    config: { eps: 1e-5, normalized_shape: [channels], elementwise_affine: true },
    tensors: { weight: spread(channels, 0.8, 0.2, seed), bias: spread(channels, 0, 0.1, seed + 1) },
  };
}

/** The same layer with some values put in place of its own. */
export function withValues(
  layer: SyntheticLayer,
  tensor: string,
  change: (value: number, channel: number) => number,
): SyntheticLayer {
  const values = Float32Array.from(layer.tensors[tensor] ?? [], change);
  return { ...layer, tensors: { ...layer.tensors, [tensor]: values } };
}

/** As many as a MobileNet v2 has, named and growing as its own. */
export const manyBatchNorms = (count = 52): SyntheticLayer[] =>
  Array.from({ length: count }, (_, i) =>
    batchNorm(`features.${i >> 2}.conv.${i % 4}.1`, 16 * 2 ** Math.min(6, i >> 3), i),
  );

/** One of every finding. */
export const sickLayers: SyntheticLayer[] = [
  batchNorm("well", 64),
  withValues(batchNorm("nan", 64, 2), "weight", (value, i) => (i % 9 === 0 ? Number.NaN : value)),
  withValues(batchNorm("infinite", 64, 2), "running_var", (value, i) => (i === 5 ? Infinity : value)),
  withValues(batchNorm("negative", 64, 3), "running_var", (value, i) => (i < 3 ? -value : value)),
  withValues(batchNorm("all-dead", 64, 4), "weight", () => 0),
  withValues(batchNorm("some-dead", 64, 5), "weight", (value, i) => (i < 12 ? 1e-30 : value)),
  withValues(batchNorm("constant", 64, 6), "running_var", () => 1e-12),
  withValues(batchNorm("enormous", 64, 7), "running_var", (value, i) => (i === 0 ? 1e12 : value)),
  withValues(batchNorm("epsilon", 64, 8), "running_var", (value, i) => (i < 7 ? 2e-6 : value)),
  withValues(
    withValues(batchNorm("never-updated", 64, 9), "running_var", () => 1),
    "running_mean",
    () => 0,
  ),
  withValues(
    withValues(batchNorm("never-trained", 64, 10), "weight", () => 1),
    "bias",
    () => 0,
  ),
];
