/**
 * Divisive normalization: each value is standardized over neighbouring channels and positions.
 *
 *     v = x − mean of x over the summation window
 *     y = v / √(sigma² + mean of v² over the suppression window) · gamma + beta
 *
 * Ren, Liao, Urtasun, Sinz & Zemel 2017, arXiv 1611.04520; after Carandini & Heeger 2012, "Normalization as a canonical neural
 * computation". Axes: windows run over channels (all of them by default) and over every axis of positions; examples are kept.
 * The variance is biased, each v in it centred by its own window's mean; sigma², inside the root, smooths it and serves as
 * epsilon. Edges are padded with zeros, as in the authors' code, or excluded (`edges`). A window of even width has one more
 * place after than before, as in TensorFlow's "SAME". gamma and beta are per channel.
 */
import { channelAxis } from "../formula/channels.js";
import { type AffineOptions, affineDefaults, affineWeights } from "../formula/fused-norm.js";
import { type Normalization, normalization, trained } from "../formula/normalization.js";
import type { Ops } from "../formula/ops.js";
import { affine, axesExcept, broadcastMask, inUnits, square, windowSum } from "../formula/terms.js";
import type { Settled } from "../options.js";
import { resolveAxis, sizeOf } from "../shape.js";
import { type View, viewOf } from "../view.js";

/** Options of `divisiveNorm`. */
export interface DivisiveNormOptions extends AffineOptions {
  /** The axis of the channels: −1 (default) where they come last, 1 where they come first. */
  axis?: number;
  /** Width of the summation window on the position axes: one for all or one per axis; unused without positions. Default 5. */
  window?: number | readonly number[];
  /** Width of the suppression window, in which v² is averaged. Default `window`. */
  suppressionWindow?: number | readonly number[];
  /** Width of both windows on the channel axis. Default `all`, as in the paper's convolutional networks. */
  channels?: number | "all";
  /** Smoothing term, above 0. Default 1. */
  sigma?: number;
  /** Whether sigma is learned (one number, initialized to `sigma`). Default false. */
  learnedSigma?: boolean;
  /** Beyond the edges, and where a mask is 0: zeros that enter the averages (`zero`, default), or `nothing` does. */
  edges?: "zero" | "nothing";
}

/**
 * x [batch, ..., channels], y of its shape. Weights: gamma and beta [channels]; sigma [1] if learned.
 * @throws RangeError for options out of range; when called, for windows that do not fit the axes of x
 */
export const divisiveNorm = normalization(
  {
    name: "divisiveNorm",
    title: "Divisive normalization",
    summary:
      "standardizes each value over neighbouring channels and positions; local contrast, as in the visual cortex",
    paper: "Ren et al. 2017, arXiv 1611.04520",
    takes: "features",
  },
  {
    axis: -1,
    window: undefined,
    suppressionWindow: undefined,
    channels: "all",
    sigma: 1,
    learnedSigma: false,
    edges: "zero",
    ...affineDefaults,
  },
  ({
    axis,
    window = 5,
    suppressionWindow = window,
    channels,
    sigma,
    learnedSigma,
    edges,
    ...options
  }: Settled<DivisiveNormOptions, "window" | "suppressionWindow">) => {
    checkWidths("window", window);
    checkWidths("suppressionWindow", suppressionWindow);
    if (channels !== "all") checkWidths("channels", channels);
    if (!(sigma > 0) || !Number.isFinite(sigma)) {
      throw new RangeError(`divisiveNorm: sigma must be a finite number above 0, got ${sigma}`);
    }
    if (edges !== "zero" && edges !== "nothing") {
      throw new RangeError(`divisiveNorm: edges must be "zero" or "nothing", got "${edges}"`);
    }
    return {
      handles: { mask: true },
      weights(shape) {
        const channel = channelAxis("divisiveNorm", shape, axis);
        for (const [name, widths] of Object.entries({ window, suppressionWindow })) {
          if (typeof widths === "number" || widths.length === shape.length - 2) continue;
          throw new RangeError(
            `divisiveNorm: ${name} must have one width for each of the ${shape.length - 2} axes of positions of x, ` +
              `shape [${shape.join(", ")}], got [${widths.join(", ")}]; a single number serves all`,
          );
        }
        return {
          ...affineWeights([shape[channel]], options),
          ...(learnedSigma && { sigma: trained([1], sigma) }),
        };
      },
      apply(ops, [x], { gamma, beta, sigma: learned }, { mask }) {
        const shape = ops.shape(x);
        const channel = resolveAxis("divisiveNorm", axis, shape.length);
        const fullMask = mask === undefined ? undefined : broadcastMask(ops, mask, shape);
        const masked = (values: typeof x) =>
          fullMask === undefined ? values : ops.where(fullMask, values, 0);
        const ones = () => ops.constant(new Float32Array(sizeOf(shape)).fill(1), shape);
        const average = (values: typeof x, positions: Widths) => {
          const windows = windowsOf(shape, channel, positions, channels);
          const total = within(ops, values, windows);
          if (edges === "zero") {
            return ops.div(
              total,
              windows.reduce((places, { width }) => places * width, 1),
            );
          }
          return ops.div(total, ops.max(within(ops, fullMask ?? ones(), windows), 1));
        };
        const { values, origin, unit } = inUnits(
          ops,
          x,
          fullMask,
          learned === undefined ? sigma : ops.max(ops.abs(learned), 1e-30),
        );
        let mean = average(values, window);
        if (edges === "zero") {
          // zeros beyond the edges and under the mask are −origin in these units
          const outside = ops.sub(1, average(fullMask ?? ones(), window));
          mean = ops.sub(mean, ops.mul(outside, ops.div(origin, unit)));
        }
        const distance = masked(ops.sub(values, mean));
        const power = average(square(ops, distance), suppressionWindow);
        const smoothing = square(ops, ops.div(learned ?? sigma, unit));
        const xHat = ops.mul(distance, ops.div(1, ops.sqrt(ops.max(ops.add(power, smoothing), 1e-30))));
        const parameters = viewOf(shape, [channel]) as View;
        return { y: masked(affine(ops, xHat, parameters, gamma, beta)) };
      },
    } satisfies Omit<Normalization, "name">;
  },
);

type Widths = number | readonly number[];

/** A window along one axis; `all`: the whole axis. */
interface Window {
  readonly axis: number;
  readonly width: number;
  readonly all?: boolean;
}

function windowsOf(
  shape: readonly number[],
  channel: number,
  positions: Widths,
  channels: number | "all",
): Window[] {
  // channels first: summing all of them leaves less to do
  return [
    channels === "all"
      ? { axis: channel, width: shape[channel], all: true }
      : { axis: channel, width: channels },
    ...axesExcept(shape.length, 0, channel).map((axis, i) => ({
      axis,
      width: typeof positions === "number" ? positions : positions[i],
    })),
  ];
}

/** Sums over the windows. */
function within<T>(ops: Ops<T>, values: T, windows: readonly Window[]): T {
  return windows.reduce(
    (sums, { axis, width, all }) =>
      all
        ? ops.sum(sums, [axis])
        : windowSum(ops, sums, axis, Math.floor((width - 1) / 2), Math.floor(width / 2)),
    values,
  );
}

function checkWidths(name: string, widths: Widths): void {
  for (const width of [widths].flat()) {
    if (Number.isInteger(width) && width >= 1) continue;
    throw new RangeError(`divisiveNorm: ${name} must be an integer of at least 1, got ${width}`);
  }
}
