/** Kernels for types that the shipped ones read as if they were float32. */
import * as tf from "@tensorflow/tfjs-core";
import { call, dispose, type Host, type Inputs, type Shipped } from "./host.js";

/**
 * Casts to bool: 1 wherever x is not 0. The shipped kernel takes the lowest byte of an integer, and truncates
 * a float.
 */
export function cast(host: Host, { x }: Inputs, { dtype }: tf.CastAttrs, shipped: Shipped): tf.TensorInfo {
  if (dtype !== "bool" || (x.dtype !== "float32" && x.dtype !== "int32")) return shipped();
  const zero = call(host, tf.Fill, {}, { shape: [], value: 0, dtype: x.dtype });
  const y = call(host, tf.NotEqual, { a: x, b: zero });
  dispose(host, zero);
  return y;
}

/** Reverses bool, such as the mask of a layer that reads backwards. */
export function reverse(
  host: Host,
  { x }: Inputs,
  attributes: tf.ReverseAttrs,
  shipped: Shipped,
): tf.TensorInfo {
  if (x.dtype !== "bool") return shipped();
  const integers = call(host, tf.Cast, { x }, { dtype: "int32" });
  const reversed = call(host, tf.Reverse, { x: integers }, attributes as unknown as tf.NamedAttrMap);
  const y = call(host, tf.Cast, { x: reversed }, { dtype: "bool" });
  dispose(host, integers, reversed);
  return y;
}

/** Clips int32. */
export function clipByValue(
  host: Host,
  { x }: Inputs,
  { clipValueMin, clipValueMax }: tf.ClipByValueAttrs,
  shipped: Shipped,
): tf.TensorInfo {
  if (x.dtype !== "int32") return shipped();
  const bound = (value: number) => call(host, tf.Fill, {}, { shape: [], value, dtype: "int32" });
  const [least, most] = [bound(Math.ceil(clipValueMin)), bound(Math.floor(clipValueMax))];
  const above = call(host, tf.Maximum, { a: x, b: least });
  const y = call(host, tf.Minimum, { a: above, b: most });
  dispose(host, least, most, above);
  return y;
}

/** One-hot of types other than int32, the only one that the shipped kernel writes. */
export function oneHot(
  host: Host,
  { indices }: Inputs,
  attributes: tf.OneHotAttrs,
  shipped: Shipped,
): tf.TensorInfo {
  const { dtype, onValue, offValue } = attributes;
  if (dtype === "int32") return shipped();
  const made: tf.TensorInfo[] = [];
  const temporary = (tensor: tf.TensorInfo) => {
    made.push(tensor);
    return tensor;
  };
  // in each element one term is 0, so the other comes out exactly
  const weighted = (value: number, isOn: boolean) => {
    const ones = { ...attributes, dtype: "int32", onValue: Number(isOn), offValue: Number(!isOn) };
    const x = temporary(
      call(host, tf.Cast, { x: temporary(shipped(ones, { indices })) }, { dtype: "float32" }),
    );
    const factor = temporary(call(host, tf.Fill, {}, { shape: [], value, dtype: "float32" }));
    return temporary(call(host, tf.Multiply, { a: x, b: factor }));
  };
  const y = temporary(call(host, tf.Add, { a: weighted(onValue, true), b: weighted(offValue, false) }));
  const result = call(host, tf.Cast, { x: y }, { dtype: dtype as tf.DataType });
  dispose(host, ...made);
  return result;
}
