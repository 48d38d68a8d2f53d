/**
 * Residual blocks around any layer, with the normalization in one of its three places (src/blocks.ts).
 *
 *     model.add(residual(tf.layers.dense({ units: 64, activation: "relu" }), { placement: "pre", dropout: 0.1 }));
 */
import * as tf from "@tensorflow/tfjs-core";
import type { CallArgs, Layer, LayerArgs, Shape, Tensors } from "../types.js";
import { layers } from "./catalog.js";
import { LayerWrapper } from "./layer-wrapper.js";
import { followMasks, type GivenMask, maskOf } from "./masks.js";
import { NormalizationLayer } from "./normalization-layer.js";

export interface ResidualArgs extends LayerArgs {
  /** Where the normalization stands: `pre` (default), `post` or `sandwich`. */
  placement?: "pre" | "post" | "sandwich";
  /** The normalization before the layer, or behind the sum. Default `layers.layerNormalization()`. */
  normalization?: NormalizationLayer;
  /** That behind the layer, in a sandwich. Default `layers.layerNormalization()`. */
  after?: NormalizationLayer;
  /** Share of the branch that is dropped in training. Default 0. */
  dropout?: number;
}

/** y has the shape of x, as the inner layer's output must have. */
export class ResidualBlock extends LayerWrapper {
  static readonly className: string = "ResidualBlock";
  private readonly normalization: NormalizationLayer;
  private readonly after?: NormalizationLayer;
  private readonly placement: string;
  private readonly dropout: number;

  constructor({ normalization, after, ...args }: ResidualArgs & { layer: Layer }) {
    super(args, ["placement", "dropout"]);
    const { placement = "pre", dropout = 0 } = args;
    if (placement !== "pre" && placement !== "post" && placement !== "sandwich") {
      throw new RangeError(`residual: placement must be "pre", "post" or "sandwich", got "${placement}"`);
    }
    if (!(dropout >= 0 && dropout < 1)) {
      throw new RangeError(`residual: dropout must be a number from 0 up to 1, got ${dropout}`);
    }
    if (after && placement !== "sandwich") {
      throw new TypeError(
        `residual: after is the normalization behind the layer of a sandwich, got placement "${placement}"`,
      );
    }
    this.placement = placement;
    this.dropout = dropout;
    this.normalization = checked("normalization", normalization);
    if (placement === "sandwich") this.after = checked("after", after);
    if (args.trainable === false) this.trainable = false;
    this.supportsMasking = true;
    followMasks(this);
  }

  override build(inputShape: Shape | Shape[]): void {
    // a model of layers knows its output only when it is built
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
      // what is inside has no place in the model's graph, by which it could know
      const passed: CallArgs = { ...kwargs, mask };
      const branch = (input: tf.Tensor) => {
        const [y] = [this.layer.call(input, passed)].flat();
        return training && this.dropout > 0 ? tf.dropout(y, this.dropout) : y;
      };
      if (this.placement === "post") return this.normalization.callOnSum(branch(x), x, passed);
      const inner = branch(this.normalization.call(x, passed) as tf.Tensor);
      return tf.add(x, this.after ? (this.after.call(inner, passed) as tf.Tensor) : inner);
    });
  }

  override computeOutputShape(inputShape: Shape | Shape[]): Shape {
    const shape = (Array.isArray(inputShape[0]) ? inputShape[0] : inputShape) as Shape;
    const output = this.layer.computeOutputShape(shape) as Shape;
    if (output.join() === shape.join()) return shape;
    throw new RangeError(
      `residual: ${this.layer.name} must give the shape that it takes, [${shape.map(String).join(", ")}], got ` +
        `[${output.map(String).join(", ")}]; take as many units or filters as there are features, and padding "same"`,
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
 * @throws TypeError for what is no layer; RangeError for options out of range, and, once it is built, where the layer does not
 * give the shape that it takes
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
