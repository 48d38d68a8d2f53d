/** Checkpoints made by hand: what a reader would give. */
import type { Checkpoint, Module } from "../../../src/checkpoints/checkpoint.js";
import { madeTensor, type Tensor, type Values } from "../../../src/checkpoints/tensors.js";

/** A vector of values, or zeros of a shape. */
export type Given = readonly number[] | { readonly shape: readonly number[]; dtype?: string; data?: Values };

export function made(name: string, given: Given): Tensor {
  const { shape, dtype, data } = Array.isArray(given)
    ? { shape: [given.length], dtype: undefined, data: Float32Array.from(given) }
    : (given as Exclude<Given, readonly number[]>);
  const values = data ?? new Float32Array(shape.reduce((product, length) => product * length, 1)).fill(0.5);
  return madeTensor({
    name,
    shape,
    dtype: dtype ?? "float32",
    at: { file: "made", byteLength: values.byteLength },
    read: async () => values,
  });
}

export interface MadeModule {
  readonly type: string;
  readonly config?: Record<string, unknown>;
  readonly tensors?: Record<string, Given>;
  readonly opset?: number;
}

/** @param layers modules by name, whose tensors are the checkpoint's too */
export function checkpointOf(
  tensors: Record<string, Given>,
  others: Partial<Checkpoint> = {},
  layers: Record<string, MadeModule> = {},
): Checkpoint {
  const all = new Map(Object.entries(tensors).map(([name, given]) => [name, made(name, given)]));
  const modules: Module[] = Object.entries(layers).map(
    ([name, { type, config = {}, tensors: own = {}, opset }]) => ({
      name,
      type,
      config,
      opset,
      tensors: Object.fromEntries(
        Object.entries(own).map(([local, given]) => {
          const tensor = made(`${name}/${local}`, given);
          all.set(tensor.name, tensor);
          return [local, tensor];
        }),
      ),
    }),
  );
  return {
    format: "made",
    file: "made",
    byteLength: 0,
    metadata: {},
    tensors: all,
    others: new Map(),
    modules,
    ...others,
  };
}
