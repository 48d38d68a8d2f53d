/**
 * Weight demodulation (StyleGAN2): a layer's weight is scaled per input by a style, then normalized per output.
 *
 *     w'[b, ..., i, o] = w[..., i, o] · style[b, i]
 *     y[b, ..., i, o]  = w'[b, ..., i, o] / √(Σ w'² + epsilon)        Σ over everything that belongs to the output
 *
 * Karras et al. 2020, arXiv 1912.04958, instead of adaptive instance normalization of the layer's output. Axes: batch and outputs are
 * kept; inputs and taps are reduced, without a mean. Epsilon is inside the root.
 */
import { checkEpsilon } from "../formula/checks.js";
import { type Normalization, normalization } from "../formula/normalization.js";
import { axesExcept, square } from "../formula/terms.js";
import { outputAxes } from "../formula/weights.js";
import type { Settled } from "../options.js";
import { resolveAxis } from "../shape.js";

const NAME = "weightDemodulation";

/** Options of `weightDemodulation`. */
export interface WeightDemodulationOptions {
  /** The axis of the weight's outputs: −1 (default; TensorFlow), 0 in PyTorch. */
  axis?: number;
  /** The axis of the weight's inputs. Default: 1 where the outputs are on axis 0, else the one before the outputs. */
  inputAxis?: number;
  /** Default 1e-8. */
  epsilon?: number;
}

/**
 * Inputs [weight, style]: weight [..., inputs, outputs], style [batch, inputs]; y [batch, ..., inputs, outputs] is a weight for each
 * example. `more[0]` is the factor of each output, 1 / √(Σ w'² + epsilon) [batch, outputs]: with it a layer needs one weight for all
 * examples, y = layer(x · style) · factor. No weights of its own.
 * @throws RangeError for options out of range; when called, for axes that the weight does not have, and a style of other inputs
 */
export const weightDemodulation = normalization(
  {
    name: NAME,
    title: "Weight demodulation",
    summary: "scales weights by a style and normalizes them per output (StyleGAN2); for generators",
    paper: "Karras et al. 2020, arXiv 1912.04958",
    takes: "weight",
  },
  { axis: -1, inputAxis: undefined, epsilon: 1e-8 },
  ({ axis, inputAxis, epsilon }: Settled<WeightDemodulationOptions, "inputAxis">) => {
    checkEpsilon(NAME, epsilon);
    const axesOf = (shape: readonly number[], style: readonly number[] | undefined) => {
      const [output] = outputAxes(NAME, shape, axis);
      const given = inputAxis ?? (output === 0 ? 1 : output - 1);
      const input = resolveAxis(`${NAME}: inputAxis`, given, shape.length);
      if (input === output) {
        throw new RangeError(
          `${NAME}: inputAxis must name another axis than that of the outputs, ${axis}, got ${inputAxis}`,
        );
      }
      if (style === undefined) {
        throw new TypeError(
          `${NAME}: expected two inputs, the weight and a style, got one; give [weight, style]`,
        );
      }
      if (style.length !== 2 || style[1] !== shape[input]) {
        throw new RangeError(
          `${NAME}: style must have a factor for each example and each of the ${shape[input]} inputs on axis ${input}, ` +
            `[batch, ${shape[input]}], got [${style.join(", ")}]`,
        );
      }
      return { input, output };
    };
    return {
      weights(...[shape, style]: (readonly number[])[]) {
        axesOf(shape, style);
        return {};
      },
      outputs(...[shape, style]: (readonly number[])[]) {
        const { output } = axesOf(shape, style);
        return [
          [style[0], ...shape],
          [style[0], shape[output]],
        ];
      },
      apply(ops, [weight, style]) {
        const shape = ops.shape(weight);
        const { input, output } = axesOf(shape, ops.shape(style));
        const [batch] = ops.shape(style);
        const [inputs, outputs] = [shape[input], shape[output]];
        // in units of the largest weight of an output and the largest style of an example, so that no square leaves float32's range
        const inUnits = (values: typeof weight, axes: readonly number[]) => {
          const largest = ops.largest(ops.abs(values), axes);
          const unit = ops.where(largest, largest, 1);
          return { unit, scaled: ops.div(values, unit) };
        };
        const { unit, scaled } = inUnits(weight, axesExcept(shape.length, output));
        const { unit: styleUnit, scaled: scaledStyle } = inUnits(style, [1]);
        const perInput = ops.sum(square(ops, scaled), axesExcept(shape.length, input, output));
        const order = input < output ? [0, 1] : [1, 0];
        const lengths = input < output ? [inputs, outputs] : [outputs, inputs];
        const power = ops.matMul(
          square(ops, scaledStyle),
          ops.transpose(ops.reshape(perInput, lengths), order),
        );
        // the length is scale·root
        const largest = ops.mul(styleUnit, ops.reshape(unit, [1, outputs]));
        const scale = ops.max(largest, Math.max(Math.sqrt(epsilon), LEAST));
        const share = ops.div(largest, scale);
        const guard = square(ops, ops.div(Math.sqrt(epsilon), scale));
        const root = ops.sqrt(ops.max(ops.add(ops.mul(power, square(ops, share)), guard), LEAST));
        const place = (values: typeof weight, axis: number, leading: number) =>
          ops.reshape(values, [leading, ...shape.map((length, one) => (one === axis ? length : 1))]);
        const modulated = ops.mul(ops.reshape(scaled, [1, ...shape]), place(scaledStyle, input, batch));
        const y = ops.mul(modulated, place(ops.div(share, root), output, batch));
        return { y, more: [ops.div(ops.div(1, scale), root)] };
      },
    } satisfies Omit<Normalization, "name">;
  },
);

/** Above 0 in float32, and far below any power of which the largest part is 1. */
const LEAST = 1e-30;
