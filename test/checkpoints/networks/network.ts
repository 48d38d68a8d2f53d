/** What the networks of the fixtures are built of by hand, where their files have weights alone. */
import * as tf from "@tensorflow/tfjs-core";
import * as tfl from "@tensorflow/tfjs-layers";
import type { LoadOptions } from "../../../src/tfjs/index.js";

/** A network in TensorFlow.js, with its layers named as in the file, or as `options` maps them. */
export interface Network {
  build(): tfl.LayersModel | Promise<tfl.LayersModel>;
  /** Of `loadInto`, by the name of the format. */
  options?(format: string): LoadOptions;
  /** Whether images have their channels first in the file's framework. */
  channelsFirst?: boolean;
  /** What comes after the model, where TensorFlow.js has no layer for it. */
  after?(y: tf.Tensor): tf.Tensor;
}

type Layers = Parameters<tfl.Sequential["add"]>[0][];

/** One layer after the other; the first with the shape of its input. */
export function inSequence(shape: number[], ...layers: Layers): tfl.LayersModel {
  const model = tfl.sequential();
  model.add(tfl.layers.inputLayer({ inputShape: shape }));
  for (const layer of layers) model.add(layer);
  return model;
}

/** [batch, channels, ...] as [batch, ..., channels]. */
export function channelsLast(x: tf.Tensor): tf.Tensor {
  if (x.rank < 3) return x;
  const [batch, channels, ...places] = [...x.shape.keys()];
  return tf.transpose(x, [batch, ...places, channels]);
}

/** The other way. */
export function channelsFirst(y: tf.Tensor): tf.Tensor {
  if (y.rank < 3) return y;
  return tf.transpose(y, [0, y.rank - 1, ...Array.from({ length: y.rank - 2 }, (_, i) => i + 1)]);
}
