/**
 * Reversible instance normalization (src/norms/reversible-instance.ts), or its robust form, around a forecasting
 * layer or model: the input is normalized over time, and the output is given back the input's level and standard
 * deviation, with the same gamma and beta.
 *
 *     const model = tf.sequential({ layers: [reversible(forecaster, { inputShape: [96, 7] })] });
 */
import * as tf from "@tensorflow/tfjs-core";
import { initializers, type LayerVariable } from "@tensorflow/tfjs-layers";
import type { Normalization } from "../../formula/normalization.js";
import {
  type ReversibleInstanceNormOptions,
  reversibleInstanceDenorm,
  reversibleInstanceNorm,
} from "../../norms/reversible-instance.js";
import { robustReversibleInstanceNorm } from "../../norms/robust-reversible-instance.js";
import { settle } from "../../options.js";
import type { CallArgs, Layer, LayerArgs, Shape } from "../types.js";
import { apply } from "./apply.js";
import { LayerWrapper } from "./layer-wrapper.js";
import { followMasks, type GivenMask, maskOf } from "./masks.js";

/** Options of `reversible`: those of `reversibleInstanceNorm`, and of any layer. */
export interface ReversibleArgs extends ReversibleInstanceNormOptions, LayerArgs {
  /** Whether the norm is `robustReversibleInstanceNorm`, whose statistics no outlier moves. Default false. */
  robust?: boolean;
}

const OPTIONS = ["axis", "epsilon", "subtractLast", "scale", "center", "robust"];

/**
 * Made by `reversible`: [batch, time, features] to [batch, horizon, features], or to [batch, features] where
 * the inner layer outputs a single step.
 */
export class Reversible extends LayerWrapper {
  static readonly className: string = "Reversible";
  private readonly norm: Normalization;
  private readonly denorm: Normalization;
  /** gamma and beta; empty until it is built. */
  private readonly variables: Record<string, LayerVariable> = {};

  constructor(args: ReversibleArgs & { layer: Layer }) {
    super(args, OPTIONS);
    this.supportsMasking = true;
    followMasks(this);
    const { robust: given, subtractLast, ...options } = this.options as ReversibleArgs;
    const { robust } = settle("reversible", { robust: given }, { robust: false });
    if (robust && subtractLast) {
      throw new RangeError(
        "reversible: robust and subtractLast are two levels to subtract, the median and the last value; set one of them",
      );
    }
    this.norm = robust
      ? robustReversibleInstanceNorm(options)
      : reversibleInstanceNorm({ subtractLast, ...options });
    this.denorm = reversibleInstanceDenorm(options);
  }

  override build(inputShape: Shape | Shape[]): void {
    const shape = oneShape(inputShape);
    const { layer } = this;
    this.buildPart(layer, shape);
    this.computeOutputShape(shape);
    const features = shape[this.features(shape)];
    if (features === null) {
      throw new RangeError(
        `reversible: the number of features must be known, got input shape [${shape.map(String).join(", ")}]; give the model's input a shape`,
      );
    }
    const weights = this.norm.weights(shape.map((length) => length ?? 1));
    for (const [name, { shape: lengths, initial }] of Object.entries(weights)) {
      const start = initializers.constant({ value: initial as number });
      // a name that no weight of the inner layer has
      this.variables[name] = this.addWeight(`reversible_${name}`, [...lengths], "float32", start);
    }
    super.build(inputShape);
  }

  override call(inputs: tf.Tensor | tf.Tensor[], kwargs: CallArgs = {}): tf.Tensor {
    return tf.tidy(() => {
      const [x] = [inputs].flat();
      const { mask, ...others } = kwargs as { mask?: GivenMask };
      const counts = maskOf(this, mask);
      const weights = Object.fromEntries(
        Object.entries(this.variables).map(([name, variable]) => [name, variable.read()]),
      );
      const { y, more = [] } = apply(this.norm, x, weights, { mask: counts });
      // each layer of a model would take the mask for its own
      const passed = ("layers" in this.layer ? others : { ...others, mask: counts }) as CallArgs;
      const [z] = [this.layer.call(y, passed)].flat();
      const steps = z.rank === 2 ? tf.expandDims(z, 3 - this.features(x.shape)) : z;
      const forecast = apply(this.denorm, [steps, ...more], weights).y;
      return z.rank === 2 ? tf.reshape(forecast, z.shape) : forecast;
    });
  }

  override computeOutputShape(inputShape: Shape | Shape[]): Shape {
    const shape = oneShape(inputShape);
    const output = this.layer.computeOutputShape(shape) as Shape;
    const axis = this.features(shape);
    const features = output.length === 2 ? output[1] : output[axis];
    if ([2, 3].includes(output.length) && features === shape[axis]) return output;
    throw new RangeError(
      `reversible: ${this.layer.name} must output [batch, horizon, features] or [batch, features], with the ${shape[axis]} features of its ` +
        `input, got [${output.map(String).join(", ")}]; forecast all of them, and select those you want from the result`,
    );
  }

  /** None: a forecast's steps are not the input's. */
  override computeMask(): tf.Tensor {
    return null as unknown as tf.Tensor;
  }

  private features(shape: Shape): number {
    const { axis = -1 } = this.options as ReversibleInstanceNormOptions;
    return axis < 0 ? axis + shape.length : axis;
  }
}

/**
 * Reversible instance normalization around a forecasting layer or model, which sees each series without its
 * level and scale; its forecast gets them back. It maps [batch, time, features] to [batch, horizon, features]
 * or [batch, features].
 * @throws TypeError where `layer` is not one, or for an unknown option; RangeError for an option out of range,
 * for `robust` with `subtractLast`, and, when built, where the forecast does not have the input's features
 */
export function reversible(layer: Layer, args: ReversibleArgs = {}): Reversible {
  return new Reversible({ ...args, layer });
}

function oneShape(shape: Shape | Shape[]): Shape {
  const one = (Array.isArray(shape[0]) ? shape[0] : shape) as Shape;
  if (one.length === 3) return one;
  throw new RangeError(
    `reversible: the input must have the 3 axes batch, time and features, got [${one.map(String).join(", ")}]; reshape it first`,
  );
}
