/** Runs a TensorFlow.js model batch by batch, with the calls of some of its layers replaced. */
import * as tf from "@tensorflow/tfjs-core";
import type { LayersModel } from "@tensorflow/tfjs-layers";
import { described } from "../../shape.js";
import { checkTensor, tensorsOf } from "../arguments.js";
import type { GivenMask } from "../layers/masks.js";
import { NormalizationLayer } from "../layers/normalization-layer.js";
import type { Layer, Tensors } from "../types.js";

export type Inputs = tf.Tensor | tf.Tensor[] | { [name: string]: tf.Tensor };

/** Held-out examples. */
export interface HeldOut {
  /** Inputs [examples, ...], one tensor per input of the model. */
  xs: tf.Tensor | tf.Tensor[];
  /** Targets [examples, ...], one tensor per output of the model. */
  ys: tf.Tensor | tf.Tensor[];
  /** Examples per batch, on which statistics of the batch depend. Default 32. */
  batchSize?: number;
}

/**
 * Ready-made batches: a `tf.data` dataset, whose tensors are disposed of after use, or an iterable of
 * batches, which the caller owns.
 */
export type Batches<T> =
  | { iterator(): Promise<{ next(): Promise<{ value: unknown; done?: boolean }> }> }
  | Iterable<T>
  | AsyncIterable<T>;

interface CallOptions {
  readonly mask?: tf.Tensor;
  readonly training?: boolean;
}

/** Replaces a layer's `call`, which it may use as `original`. */
export type Call = (
  inputs: tf.Tensor[],
  options: CallOptions,
  original: (inputs: tf.Tensor[], options: CallOptions) => Tensors,
) => Tensors;

/** Runs the model in evaluation, with the calls of some layers replaced. */
export function predict(
  caller: string,
  model: LayersModel,
  xs: Inputs,
  calls: ReadonlyMap<Layer, Call>,
): void {
  const inputs = tensorsOf(caller, "input", xs, model.inputNames);
  const undo: (() => void)[] = [];
  for (const [layer, call] of calls) {
    const original = layer.call;
    const isOwn = Object.hasOwn(layer, "call");
    undo.push(() => {
      if (isOwn) layer.call = original;
      else delete (layer as { call?: unknown }).call;
    });
    layer.call = (inputs, { mask, ...options }) => {
      // TensorFlow.js's own normalizations ignore masks
      const one =
        layer instanceof NormalizationLayer
          ? layer.maskFrom(mask as GivenMask, [inputs].flat().length)
          : undefined;
      const own = (tensors: tf.Tensor[], chosen: CallOptions) =>
        original.call(layer, tensors, { ...options, ...chosen }) as Tensors;
      return tf.tidy(() => call([inputs].flat(), { mask: one, ...options }, own));
    };
  }
  try {
    tf.tidy(() => {
      model.predictOnBatch(inputs);
    });
  } finally {
    for (const one of undo) one();
  }
}

interface Batch {
  readonly xs: Inputs;
  readonly ys: Inputs;
  readonly batchSize?: number;
}

/**
 * Yields batch by batch; held-out examples whole, or with `firstAlone` only the first batch of them. Tensors
 * of a dataset are disposed of after use.
 */
export async function* batchesOf(
  caller: string,
  source: HeldOut | Batches<unknown>,
  firstAlone = false,
): AsyncGenerator<Batch> {
  if (typeof source !== "object" || source === null) throw new TypeError(unexpected(caller, source));
  if ("iterator" in source && typeof source.iterator === "function") {
    const iterator = await source.iterator();
    for (let { value, done } = await iterator.next(); !done; { value, done } = await iterator.next()) {
      try {
        yield batchOf(caller, value);
      } finally {
        tf.dispose(value as tf.TensorContainer);
      }
    }
  } else if ("xs" in source) {
    const { batchSize = 32 } = source;
    if (!Number.isInteger(batchSize) || batchSize < 1) {
      const message = `${caller}: batchSize must be a positive integer, got ${described(batchSize)}; leave it out for 32`;
      throw typeof batchSize === "number" ? new RangeError(message) : new TypeError(message);
    }
    if (caller === "selectStatistics" && source.ys === undefined) {
      throw new TypeError(
        `${caller}: held-out data must be { xs, ys }, got xs alone; the loss needs targets`,
      );
    }
    if (!firstAlone) {
      yield { ...source, batchSize };
      return;
    }
    for (const x of [source.xs].flat()) checkTensor(caller, "xs", x);
    const first = tf.tidy(() =>
      [source.xs].flat().map((x) => tf.slice(x, 0, Math.min(batchSize, x.shape[0]))),
    );
    try {
      yield { xs: first, ys: source.ys };
    } finally {
      tf.dispose(first);
    }
  } else if (Symbol.iterator in source || Symbol.asyncIterator in source) {
    if ("next" in source && caller === "selectStatistics") {
      throw new TypeError(
        `${caller}: batches must be iterable several times, got a generator; pass an array of them`,
      );
    }
    for await (const value of source) yield batchOf(caller, value);
  } else {
    throw new TypeError(unexpected(caller, source));
  }
}

function unexpected(caller: string, source: unknown): string {
  return `${caller}: expected { xs, ys }, a list of batches or a dataset, got ${described(source)}`;
}

/** An element of a dataset or list: { xs, ys }, or inputs alone. */
function batchOf(caller: string, value: unknown): Batch {
  if (value instanceof tf.Tensor || Array.isArray(value)) return { xs: value as Inputs, ys: [] };
  if (typeof value === "object" && value !== null && "xs" in value) return value as Batch;
  throw new TypeError(`${caller}: a batch must be { xs, ys } of tensors, got ${described(value)}`);
}
