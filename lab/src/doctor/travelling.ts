/** Tensors on their way to a process or a worker that runs networks, and back: float16 as its bits. */
import { fromHalf, toHalf } from "evenkeel/checkpoints";
import type { Tensors } from "./runtime.js";

export interface Travelling {
  dtype: string;
  shape: readonly number[];
  values: Tensors[string]["values"] | Uint16Array;
}

export function sent(tensors: Tensors): Record<string, Travelling> {
  return Object.fromEntries(
    Object.entries(tensors).map(([name, { dtype, shape, values }]) => [
      name,
      { dtype, shape: [...shape], values: dtype === "float16" ? toHalf(values as Float32Array) : values },
    ]),
  );
}

export function received(tensors: Record<string, Travelling>): Tensors {
  return Object.fromEntries(
    Object.entries(tensors).map(([name, { dtype, shape, values }]) => [
      name,
      {
        dtype,
        shape,
        values: dtype === "float16" ? floatsOf(values as ArrayLike<number>) : values,
      } as Tensors[string],
    ]),
  );
}

/** Node 24 and later hand over a Float16Array, which gives numbers. */
const floatsOf = (halves: ArrayLike<number>): Float32Array =>
  halves instanceof Uint16Array ? fromHalf(halves) : Float32Array.from(halves);
