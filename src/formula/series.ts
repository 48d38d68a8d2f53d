/** The axes of time series [batch, time, features]. */
import { channelAxis } from "./channels.js";
import { axesExcept } from "./terms.js";

/** The feature axis, and the time axes: all others except the batch. */
export function seriesAxes(norm: string, shape: readonly number[], axis: number) {
  const features = channelAxis(norm, shape, axis, ["batch", "time", "features"]);
  return { features, time: axesExcept(shape.length, 0, features) };
}
