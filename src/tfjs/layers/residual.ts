/**
 * Residual blocks around any layer, with a normalization in one of its placements (src/blocks.ts).
 *
 *     model.add(residual(tf.layers.dense({ units: 64, activation: "relu" }), { placement: "pre", dropout: 0.1 }));
 */
import * as tf from "@tensorflow/tfjs-core";
import type { CallArgs, Layer, LayerArgs, Shape, Tensors } from "../types.js";
import { layers } from "./catalog.js";
import { LayerWrapper } from "./layer-wrapper.js";
import { followMasks, type GivenMask, maskOf } from "./masks.js";
import { NormalizationLayer } from "./normalization-layer.js";

/** Options of `residual`, and of any layer. */
export interface ResidualArgs extends LayerArgs {
  /**
   * `pre` (default): x + layer(norm(x)); `post`: norm(alpha·x + layer(x)); `sandwich`: x + after(layer(norm(x))); `reordered`:
   * x + norm(layer(x)).
   */
  placement?: "pre" | "post" | "sandwich" | "reordered";
  /** The normalization before the layer, after the sum, or after the layer. Default `layers.layerNormalization()`. */
  normalization?: NormalizationLayer;
  /** The normalization after the layer, in a sandwich only. Default `layers.layerNormalization()`. */
  after?: NormalizationLayer;
  /** Factor of x in the sum, in `post`: that of `deepNorm`, whose gain is for the initializers of the layer's kernels. Default 1. */
  alpha?: number;
  /** Fraction of the branch that is dropped in training, from 0 to below 1. Default 0. */
  dropout?: number;
}

/** A residual block, made by `residual`. x, the inner layer's output and y have the same shape. */
export class ResidualBlock extends LayerWrapper {
  static readonly className: string = "ResidualBlock";
  private readonly normalization: NormalizationLayer;
  private readonly after?: NormalizationLayer;
  private readonly placement: string;
  private readonly dropout: number;
  private readonly alpha: number;

  constructor({ normalization, after, ...args }: ResidualArgs & { layer: Layer }) {
    super(args, ["placement", "dropout", "alpha"]);
    const { placement = "pre", dropout = 0, alpha = 1 } = args;
    if (!["pre", "post", "sandwich", "reordered"].includes(placement)) {
      throw new RangeError(
        `residual: placement must be "pre", "post", "sandwich" or "reordered", got "${placement}"`,
      );
    }
    if (!(alpha > 0 && Number.isFinite(alpha))) {
      throw new RangeError(`residual: alpha must be a finite number above 0, got ${alpha}`);
    }
    if (alpha !== 1 && placement !== "post") {
      throw new RangeError(
        `residual: alpha must be left out with placement "${placement}", got ${alpha}; it is DeepNorm's factor, for "post"`,
      );
    }
    if (!(dropout >= 0 && dropout < 1)) {
      throw new RangeError(`residual: dropout must be a number from 0 up to 1, got ${dropout}`);
    }
    if (after && placement !== "sandwich") {
      throw new TypeError(
        `residual: after is the normalization that follows the layer in a sandwich, got placement "${placement}"`,
      );
    }
    this.placement = placement;
    this.dropout = dropout;
    this.alpha = alpha;
    this.normalization = checked("normalization", normalization);
    if (placement === "sandwich") this.after = checked("after", after);
    if (args.trainable === false) this.trainable = false;
    this.supportsMasking = true;
    followMasks(this);
  }

  override build(inputShape: Shape | Shape[]): void {
    // a model's output shape is known only once it is built
    this.buildPart(this.layer, inputShape, `${this.name}/layer`);
    const shape = this.computeOutputShape(inputShape);
    for (const [name, layer] of Object.entries(this.parts())) {
      this.buildPart(layer, shape, `${this.name}/${name}`);
    }
    super.build(inputShape);
  }

  override call(inputs: Tensors, kwargs: CallArgs = {}): tf.Tensor {
    return tf.tidy(() => {
      const [x] = [inputs].flat();
      const training = Boolean(kwargs.training);
      const mask = maskOf(this, (kwargs as { mask?: GivenMask }).mask);
      // inner layers are not in the model's graph, which maskOf traces
      const passed: CallArgs = { ...kwargs, mask };
      const branch = (input: tf.Tensor) => {
        const [y] = [this.layer.call(input, passed)].flat();
        return training && this.dropout > 0 ? tf.dropout(y, this.dropout) : y;
      };
      if (this.placement === "post") {
        const carried = this.alpha === 1 ? x : tf.mul(x, this.alpha);
        return this.normalization.callOnSum(branch(x), carried, passed);
      }
      if (this.placement === "reordered") {
        return tf.add(x, this.normalization.call(branch(x), passed) as tf.Tensor);
      }
      const inner = branch(this.normalization.call(x, passed) as tf.Tensor);
      return tf.add(x, this.after ? (this.after.call(inner, passed) as tf.Tensor) : inner);
    });
  }

  override computeOutputShape(inputShape: Shape | Shape[]): Shape {
    const shape = (Array.isArray(inputShape[0]) ? inputShape[0] : inputShape) as Shape;
    const output = this.layer.computeOutputShape(shape) as Shape;
    if (output.join() === shape.join()) return shape;
    throw new RangeError(
      `residual: ${this.layer.name} must keep the shape of its input, [${shape.map(String).join(", ")}], got ` +
        `[${output.map(String).join(", ")}]; use as many units or filters as there are features, and padding "same"`,
    );
  }

  override computeMask(_: Tensors, mask?: Tensors): Tensors {
    return mask as Tensors;
  }

  override parts(): Record<string, Layer> {
    const { normalization, after } = this;
    return { ...super.parts(), ...(normalization && { normalization }), ...(after && { after }) };
  }
}

/**
 * A residual block around a layer.
 * @param layer its output must have the shape of its input
 * @throws TypeError where `layer` is not one, or for an unknown option; RangeError for an option out of range
 * and, when built, where the layer changes the shape
 */
export function residual(layer: Layer, args: ResidualArgs = {}): ResidualBlock {
  return new ResidualBlock({ ...args, layer });
}

function checked(name: string, layer: NormalizationLayer = layers.layerNormalization()): NormalizationLayer {
  if (layer instanceof NormalizationLayer) return layer;
  throw new TypeError(
    `residual: ${name} must be a layer of evenkeel/tfjs, such as layers.rmsNormalization(), got ${typeof layer}`,
  );
}
