/**
 * Initializers, regularizers and constraints as Keras options name them: by identifier ("zeros"), by the config of a
 * saved model ({ className, config }), or as an object. TensorFlow.js resolves them for its own layers only; this
 * does it for ours, through its public factories and its registry of classes.
 */
import { serialization } from "@tensorflow/tfjs-core";
import { constraints, initializers, regularizers } from "@tensorflow/tfjs-layers";

type Serializable = serialization.Serializable;
export type Initializer = ReturnType<typeof initializers.zeros>;
export type Regularizer = ReturnType<typeof regularizers.l2>;
export type Constraint = ReturnType<typeof constraints.nonNeg>;

/** What a saved model holds of such an object. */
export interface SavedObject {
  className: string;
  config: serialization.ConfigDict;
}

export type Option<T> = string | T | SavedObject;

export const initializer = resolver<Initializer>("initializers", initializers);
export const regularizer = resolver<Regularizer>("regularizers", regularizers);
export const constraint = resolver<Constraint>("constraints", constraints);

/** What a saved model holds of it; null for none. */
export function saved(object: Serializable | undefined): serialization.ConfigDict | null {
  return object ? { className: object.getClassName(), config: object.getConfig() } : null;
}

function resolver<T extends Serializable>(kind: string, factories: object) {
  return (layer: string, name: string, option: Option<T> | null | undefined): T | undefined => {
    if (option === null || option === undefined) return undefined;
    if (option instanceof serialization.Serializable) return option as T;
    const { classNameMap } = serialization.SerializationMap.getMap();
    if (typeof option === "string") {
      const factory = (factories as Record<string, (config?: object) => T>)[option];
      if (factory) return factory({});
      const known = classNameMap[option];
      if (known) return known[1](known[0], {}) as T;
      throw new RangeError(
        `${layer}: ${name} must name one of TensorFlow.js's ${kind}, got "${option}"; there are ${Object.keys(factories).join(", ")}`,
      );
    }
    const { className, config } = option as SavedObject;
    const known = classNameMap[className];
    if (known) return known[1](known[0], config) as T;
    throw new RangeError(
      `${layer}: ${name} names the class "${className}", which is not registered; register it with tf.serialization.registerClass`,
    );
  };
}
