/**
 * Initializers, regularizers and constraints as Keras options name them: by identifier ("zeros"), by the config of a
 * saved model ({ className, config }), or as an object. TensorFlow.js resolves them for its own layers only; this
 * does it for ours, through its public factories and its registry of classes.
 */
import { serialization, type Tensor } from "@tensorflow/tfjs-core";
import { constraints, initializers, layers, regularizers } from "@tensorflow/tfjs-layers";
import type { Config, SavedObject } from "../types.js";

type Serializable = serialization.Serializable;
export type Initializer = ReturnType<typeof initializers.zeros>;
export type Regularizer = ReturnType<typeof regularizers.l2>;
export type Constraint = ReturnType<typeof constraints.nonNeg>;

/** An identifier, an object, or its serialized form. */
export type Option<T> = string | T | SavedObject;

export const initializer = resolver<Initializer>("initializers", initializers);
export const regularizer = resolver<Regularizer>("regularizers", regularizers);
export const constraint = resolver<Constraint>("constraints", constraints);

/** A function of one tensor. */
export interface Activation {
  apply(x: Tensor): Tensor;
}

/** TensorFlow.js's own lookup of names, and of registered classes. */
export function activationNamed(activation: string): Activation {
  const args = { activation, name: "evenkeel_probe" } as unknown as Parameters<typeof layers.activation>[0];
  return (layers.activation(args) as unknown as { activation: Activation }).activation;
}

/** Its serialized form; null for none. */
export function saved(object: Serializable | undefined): Config | null {
  return object ? { className: object.getClassName(), config: object.getConfig() } : null;
}

/** A registered class and its `fromConfig`; undefined where no class has that name. */
export function registered(className: string) {
  const { classNameMap } = serialization.SerializationMap.getMap();
  return Object.hasOwn(classNameMap, className) ? classNameMap[className] : undefined;
}

/** Registers a class under a name that Keras saves, with its `fromConfig`. */
export function registerAs(
  className: string,
  cls: serialization.SerializableConstructor<Serializable>,
  fromConfig: serialization.FromConfigMethod<Serializable> = cls.fromConfig,
): void {
  serialization.SerializationMap.getMap().classNameMap[className] = [cls, fromConfig];
}

/** Registers Keras's L1 and L2; TensorFlow.js has only L1L2. */
export function registerRegularizers(): void {
  const { l1, l2 } = regularizers;
  const cls = l2({ l2: 0 }).constructor as serialization.SerializableConstructor<Serializable>;
  registerAs("L1", cls, (_, config) => l1(config as { l1: number }));
  registerAs("L2", cls, (_, config) => l2(config as { l2: number }));
}

function resolver<T extends Serializable>(kind: string, factories: object) {
  return (layer: string, name: string, option: Option<T> | null | undefined): T | undefined => {
    if (option === null || option === undefined) return undefined;
    /** The registry holds layers and optimizers too. */
    const checked = (made: Serializable): T => {
      if ("apply" in made && !("getWeights" in made)) return made as unknown as T;
      throw new RangeError(
        `${layer}: ${name} must be one of TensorFlow.js's ${kind}, got an object of class "${made.getClassName()}"`,
      );
    };
    if (option instanceof serialization.Serializable) return checked(option);
    if (typeof option === "string") {
      if (Object.hasOwn(factories, option)) {
        return (factories as Record<string, (config?: object) => T>)[option]({});
      }
      const known = registered(option);
      if (known) return checked(known[1](known[0], {}));
      throw new RangeError(
        `${layer}: ${name} must name one of TensorFlow.js's ${kind}, got "${option}"; there are ${Object.keys(factories).join(", ")}`,
      );
    }
    const { className, config } = option as SavedObject;
    if (typeof className !== "string") {
      throw new TypeError(
        `${layer}: ${name} must be a name, such as "${Object.keys(factories)[0]}", or one of tf.${kind}, got ${typeof option}`,
      );
    }
    const known = registered(className);
    if (known) return checked(known[1](known[0], config ?? {}));
    throw new RangeError(
      `${layer}: ${name} names the class "${className}", which is not registered; register it with tf.serialization.registerClass`,
    );
  };
}
