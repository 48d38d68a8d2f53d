/** Layer classes named after their normalization, as in torch.nn. */
import type { AffineOptions } from "../formula/fused-norm.js";
import { type BatchNormOptions, batchNorm } from "../norms/batch.js";
import { type GroupNormOptions, groupNorm } from "../norms/group.js";
import { type InstanceNormOptions, instanceNorm } from "../norms/instance.js";
import { layerNorm } from "../norms/layer.js";
import { rmsNorm } from "../norms/rms.js";
import { resolveAxis } from "../shape.js";
import type { Evenkeel } from "./evenkeel.js";
import { Layer } from "./layer.js";

export interface FeatureLayerOptions extends AffineOptions {
  /** Default 1e-5. */
  epsilon?: number;
}

/** Layer normalization over the trailing axes, whose lengths are `shape`. */
export class LayerNorm extends Layer {
  constructor(ek: Evenkeel, shape: number | readonly number[], options: FeatureLayerOptions = {}) {
    const lengths = featureShape("LayerNorm", shape);
    super(ek, layerNorm({ ...options, axis: trailing(lengths) }), lengths);
  }
}

/** RMS normalization over the trailing axes, whose lengths are `shape`; no beta unless `center` is set. */
export class RMSNorm extends Layer {
  constructor(ek: Evenkeel, shape: number | readonly number[], options: FeatureLayerOptions = {}) {
    const lengths = featureShape("RMSNorm", shape);
    super(ek, rmsNorm({ ...options, axis: trailing(lengths) }), lengths);
  }
}

/** Group normalization. */
export class GroupNorm extends Layer {
  constructor(
    ek: Evenkeel,
    groups: number,
    channels: number,
    options: Omit<GroupNormOptions, "groups"> & AffineOptions = {},
  ) {
    super(ek, groupNorm({ ...options, groups }), channelShape("GroupNorm", channels, options.axis));
  }
}

/** Instance normalization; without gamma and beta unless they are asked for, as in PyTorch. */
export class InstanceNorm extends Layer {
  constructor(ek: Evenkeel, channels: number, options: InstanceNormOptions = {}) {
    const norm = instanceNorm({ scale: false, center: false, ...options });
    super(ek, norm, channelShape("InstanceNorm", channels, options.axis));
  }
}

/** Batch normalization: the batch's statistics in training, running ones in evaluation. */
export class BatchNorm extends Layer {
  constructor(ek: Evenkeel, channels: number, options: BatchNormOptions = {}) {
    super(ek, batchNorm(options), channelShape("BatchNorm", channels, options.axis));
  }

  /** float32 [channels]. */
  get runningMean(): Float32Array {
    return this.weights.runningMean.data as Float32Array;
  }

  get runningVariance(): Float32Array {
    return this.weights.runningVariance.data as Float32Array;
  }
}

function featureShape(layer: string, shape: number | readonly number[]): readonly number[] {
  const lengths = typeof shape === "number" ? [shape] : shape;
  if (lengths.length === 0 || lengths.some((length) => !Number.isInteger(length) || length < 1)) {
    throw new RangeError(`${layer}: expected whole lengths of at least 1, got [${lengths.join(", ")}]`);
  }
  return lengths;
}

/** An example's shape with so many channels on their axis; the other lengths are of no matter. */
function channelShape(layer: string, channels: number, axis: number | readonly number[] = -1): number[] {
  const [length] = featureShape(layer, channels);
  if (typeof axis !== "number") {
    throw new TypeError(
      `${layer}: axis must be a single one, that of the channels, got [${axis.join(", ")}]`,
    );
  }
  const rank = Math.max(3, axis < 0 ? -axis : axis + 1);
  const shape = new Array<number>(rank).fill(2);
  shape[resolveAxis(layer, axis, rank)] = length;
  return shape;
}

/** The last axes, as many as there are lengths, counted from the end. */
function trailing(lengths: readonly number[]): number[] {
  return lengths.map((_, axis) => axis - lengths.length);
}
