/**
 * Adaptive instance normalization: the content takes on the mean and standard deviation of the style, channel by channel.
 *
 *     y = √(variance(style) + epsilon) · (x − mean(x)) / √(variance(x) + epsilon) + mean(style)        variances biased
 *
 * Huang & Belongie 2017, arXiv 1703.06868. Axes: batch and channel are kept, positions are reduced, in x and in style.
 * There are no weights; gradients flow through the statistics of both inputs.
 */
import { type ChannelOptions, channelAxis, examplePlan, WITH_POSITIONS } from "../formula/channels.js";
import { checkCount, checkEpsilon } from "../formula/checks.js";
import { checkBatch } from "../formula/conditioning.js";
import { type Normalization, normalization } from "../formula/normalization.js";
import type { FusedNorm } from "../formula/plan.js";
import { axesExcept, moments } from "../formula/terms.js";
import type { Settled } from "../options.js";

const NAME = "adaptiveInstanceNorm";

/**
 * Inputs [x, style]: both [batch, ..., channels], with any number of positions each; y has the shape of x. No weights.
 * A mask applies to x only.
 * @throws RangeError for a negative epsilon; when called, for an x without positions, or a style whose batch or channels differ
 */
export const adaptiveInstanceNorm = normalization(
  {
    name: NAME,
    title: "Adaptive instance normalization",
    summary:
      "gives the content the mean and standard deviation of a style; for style transfer and generators",
    paper: "Huang & Belongie 2017, arXiv 1703.06868",
    takes: "condition",
  },
  { axis: -1, epsilon: 1e-5 },
  ({ axis, epsilon }: Settled<ChannelOptions>) => {
    checkEpsilon(NAME, epsilon);
    const norm: FusedNorm = {
      name: NAME,
      epsilon,
      centered: true,
      plan: examplePlan(NAME, axis, (_, channel) => [0, channel]),
    };
    const check = (shape: readonly number[], style: readonly number[] | undefined) => {
      if (style === undefined) {
        throw new TypeError(`${NAME}: expected two inputs, x and a style, got x alone; give [x, style]`);
      }
      const channel = channelAxis(NAME, shape, axis, WITH_POSITIONS);
      const ofStyle = channelAxis(NAME, style, axis, WITH_POSITIONS);
      checkCount(NAME, norm.plan(shape), "give x more positions");
      if (style[ofStyle] === shape[channel]) return ofStyle;
      throw new RangeError(
        `${NAME}: style must have the ${shape[channel]} channels of x on axis ${axis}, got ${style[ofStyle]} ` +
          `(shape [${style.join(", ")}]); take both from the same layer of a network`,
      );
    };
    return {
      handles: { mask: true, residual: true },
      weights(...[shape, style]: (readonly number[])[]) {
        check(shape, style);
        return {};
      },
      apply(ops, [x, style], _, { mask, residual }) {
        const [shape, styleShape] = [ops.shape(x), ops.shape(style)];
        const channel = check(shape, styleShape);
        checkBatch(NAME, "style", shape, styleShape);
        const measured = moments(ops, style, axesExcept(styleShape.length, 0, channel));
        const { parameterShape } = norm.plan(shape);
        const { y, sum } = ops.normalize(norm, x, {
          gamma: ops.reshape(ops.sqrt(ops.add(measured.variance, epsilon)), parameterShape),
          beta: ops.reshape(measured.mean, parameterShape),
          mask,
          residual,
        });
        return { y, sum };
      },
    } satisfies Omit<Normalization, "name">;
  },
);
