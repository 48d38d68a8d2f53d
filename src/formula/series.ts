/** Norms of time series [batch, time, features]: which axes are which. */
import { channelAxis } from "./channels.js";
import { axesBut } from "./terms.js";

/** The axis of the features, and those of time: all others but the batch's. */
export function seriesAxes(norm: string, shape: readonly number[], axis: number) {
  const features = channelAxis(norm, shape, axis, ["batch", "time", "features"]);
  return { features, time: axesBut(shape.length, 0, features) };
}
