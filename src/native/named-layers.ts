/** Layer classes named after their normalization, as in torch.nn. */
import { type ActivatedOptions, activatedBy } from "../blocks.js";
import type { AffineOptions } from "../formula/fused-norm.js";
import type { Normalization } from "../formula/normalization.js";
import { type BatchNormOptions, batchNorm } from "../norms/batch.js";
import { type GroupNormOptions, groupNorm } from "../norms/group.js";
import { type InstanceNormOptions, instanceNorm } from "../norms/instance.js";
import { layerNorm } from "../norms/layer.js";
import { type RMSNormOptions, rmsNorm } from "../norms/rms.js";
import { checkOptions, optionNames } from "../options.js";
import { checkLengths, described, MOST_AXES } from "../shape.js";
import type { Evenkeel } from "./evenkeel.js";
import { Layer } from "./layer.js";

/** Options of `LayerNorm` and `RMSNorm`; the axes follow from the shape that the layer is made for. */
export interface FeatureLayerOptions extends AffineOptions, ActivatedOptions {
  /** Added to the variance inside the root. Default 1e-5. */
  epsilon?: number;
}

/** Layer normalization over the trailing axes, whose lengths are `shape`; x may have any axes before them. */
export class LayerNorm extends Layer {
  /**
   * @param shape a length, or a list of lengths: PyTorch's `normalized_shape`
   * @throws TypeError for a shape that is neither, RangeError for lengths that are not positive integers
   */
  constructor(ek: Evenkeel, shape: number | readonly number[], options: FeatureLayerOptions = {}) {
    const lengths = featureShape("LayerNorm", "shape", shape);
    const known = namesBut("axis", layerNorm.defaults);
    super(
      ek,
      made("LayerNorm", options, known, (own) => layerNorm({ ...own, axis: trailing(lengths) })),
      lengths,
    );
  }
}

/** RMS normalization over the trailing axes, whose lengths are `shape`; no beta unless `center` is set. */
export class RMSNorm extends Layer {
  /**
   * @param shape a length, or a list of lengths: PyTorch's `normalized_shape`
   * @throws TypeError for a shape that is neither, RangeError for lengths that are not positive integers
   */
  constructor(
    ek: Evenkeel,
    shape: number | readonly number[],
    options: Omit<RMSNormOptions, "axis"> & ActivatedOptions = {},
  ) {
    const lengths = featureShape("RMSNorm", "shape", shape);
    const known = namesBut("axis", rmsNorm.defaults);
    super(
      ek,
      made("RMSNorm", options, known, (own) => rmsNorm({ ...own, axis: trailing(lengths) })),
      lengths,
    );
  }
}

/** Group normalization. x is [batch, ..., channels], or with `axis: 1` [batch, channels, ...]. */
export class GroupNorm extends Layer {
  /** @throws RangeError for groups that do not divide the channels */
  constructor(
    ek: Evenkeel,
    groups: number,
    channels: number,
    options: Omit<GroupNormOptions, "groups"> & AffineOptions & ActivatedOptions = {},
  ) {
    const known = namesBut("groups", groupNorm.defaults);
    const norm = made("GroupNorm", options, known, (own) => groupNorm({ ...own, groups }));
    super(ek, norm, channelShape("GroupNorm", channels, options.axis));
  }
}

/** Instance normalization; without gamma and beta unless they are asked for, as in PyTorch. x has axes of positions. */
export class InstanceNorm extends Layer {
  /** @throws RangeError for channels that are not a positive integer, TypeError for options that are not known */
  constructor(ek: Evenkeel, channels: number, options: InstanceNormOptions & ActivatedOptions = {}) {
    const known = Object.keys(instanceNorm.defaults);
    const norm = made("InstanceNorm", options, known, (own) =>
      instanceNorm({ scale: false, center: false, ...own }),
    );
    super(ek, norm, channelShape("InstanceNorm", channels, options.axis));
  }
}

/** Batch normalization: the batch's statistics in training, running ones in evaluation. x is [batch, ..., channels] by default. */
export class BatchNorm extends Layer {
  /** @throws RangeError for channels that are not a positive integer, TypeError for options that are not known */
  constructor(ek: Evenkeel, channels: number, options: BatchNormOptions & ActivatedOptions = {}) {
    const norm = made("BatchNorm", options, Object.keys(batchNorm.defaults), batchNorm);
    super(ek, norm, channelShape("BatchNorm", channels, options.axis));
  }

  /** float32 [channels], not a copy. */
  get runningMean(): Float32Array {
    return this.weights.runningMean.data as Float32Array;
  }

  /** float32 [channels], not a copy. */
  get runningVariance(): Float32Array {
    return this.weights.runningVariance.data as Float32Array;
  }
}

/** A layer's normalization, and the activation that follows it where its options name one. */
function made<O extends object>(
  layer: string,
  options: O & ActivatedOptions,
  known: readonly string[],
  make: (own: Omit<O, keyof ActivatedOptions>) => Normalization,
): Normalization {
  checkOptions(layer, options, [...known, "activation", "negativeSlope"], optionNames);
  const { activation, negativeSlope, ...own } = options;
  return activatedBy(layer, make(own), { activation, negativeSlope });
}

/** The options that a layer takes: those of its normalization, but for the one that the layer's arguments give. */
function namesBut(given: string, defaults: object): string[] {
  return Object.keys(defaults).filter((name) => name !== given);
}

function featureShape(layer: string, name: string, shape: number | readonly number[]): readonly number[] {
  if (typeof shape !== "number" && !Array.isArray(shape)) {
    throw new TypeError(
      `${layer}: ${name} must be a length, or a list of lengths such as [3, 4], got ${described(shape)}`,
    );
  }
  const lengths = typeof shape === "number" ? [shape] : shape;
  if (lengths.length === 0) throw new RangeError(`${layer}: ${name} must have at least one length, got []`);
  const bad = lengths.findIndex((length) => !Number.isInteger(length) || length < 1);
  if (bad >= 0) {
    throw new RangeError(
      `${layer}: ${name} must have integer lengths of at least 1, got ${described(lengths[bad])}`,
    );
  }
  checkLengths(layer, name, lengths);
  return lengths;
}

/** The shape of an x with so many channels along their axis; the other lengths do not matter. */
function channelShape(layer: string, channels: number, axis: number | readonly number[] = -1): number[] {
  if (typeof channels !== "number") {
    throw new TypeError(`${layer}: channels must be a number, got ${described(channels)}`);
  }
  const [length] = featureShape(layer, "channels", channels);
  if (typeof axis !== "number")
    throw new TypeError(`${layer}: axis must be a single number, got ${described(axis)}`);
  if (!Number.isInteger(axis) || axis < -MOST_AXES || axis >= MOST_AXES) {
    throw new RangeError(
      `${layer}: axis must be an integer from ${-MOST_AXES} to ${MOST_AXES - 1}, got ${axis}; an array has at most ${MOST_AXES} axes`,
    );
  }
  // counted from the end, the batch's axis comes before it
  const rank = Math.max(3, axis < 0 ? Math.min(1 - axis, MOST_AXES) : axis + 1);
  const channel = axis < 0 ? axis + rank : axis;
  const shape = new Array<number>(rank).fill(1);
  // two positions: a single one has no variance
  shape[channel === 1 ? 2 : 1] = 2;
  shape[channel] = length;
  return shape;
}

/** The last axes, as many as there are lengths, counted from the end. */
function trailing(lengths: readonly number[]): number[] {
  return lengths.map((_, axis) => axis - lengths.length);
}
