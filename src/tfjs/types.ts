/** TensorFlow.js's types, by the names that it does not export. */
import type { serialization, Tensor } from "@tensorflow/tfjs-core";
import type { LayerVariable, layers } from "@tensorflow/tfjs-layers";

export type Layer = InstanceType<typeof layers.Layer>;
export type LayerArgs = NonNullable<ConstructorParameters<typeof layers.Layer>[0]>;
/** What a layer is called with beside its inputs. */
export type CallArgs = Parameters<Layer["call"]>[1];
/** Of a layer's input or output; null: a length that is not known before the call. */
export type Shape = (number | null)[];
export type Tensors = Tensor | Tensor[];
export type Config = serialization.ConfigDict;
/** The variables of a layer, by our names of weights. */
export type Variables = Readonly<Record<string, LayerVariable>>;

/** A layer, or another object, as a saved model holds it. */
export interface SavedObject {
  className: string;
  config: Config;
}
