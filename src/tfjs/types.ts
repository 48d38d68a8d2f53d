/** Types of TensorFlow.js that it does not export by name. */
import type { serialization, Tensor } from "@tensorflow/tfjs-core";
import type { LayerVariable, layers } from "@tensorflow/tfjs-layers";

export type Layer = InstanceType<typeof layers.Layer>;
export type LayerArgs = NonNullable<ConstructorParameters<typeof layers.Layer>[0]>;
/** Arguments of a layer's call besides its inputs. */
export type CallArgs = Parameters<Layer["call"]>[1];
/** Shape of a layer's input or output; null for a length that is unknown before the call. */
export type Shape = (number | null)[];
export type Tensors = Tensor | Tensor[];
export type Config = serialization.ConfigDict;
/** A layer's variables, by our names of weights. */
export type Variables = Readonly<Record<string, LayerVariable>>;

/** A layer or another object in its serialized form. */
export interface SavedObject {
  className: string;
  config: Config;
}
