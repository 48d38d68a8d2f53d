/**
 * A model without its weight wrappers: a copy in which every wrapped layer is a plain one, with its
 * normalized kernel.
 */
import * as tf from "@tensorflow/tfjs-core";
import type { LayersModel } from "@tensorflow/tfjs-layers";
import { checkModel } from "../arguments.js";
import type { Config, Layer } from "../types.js";
import { insideOf } from "./layer-wrapper.js";
import { copyMasking } from "./masks.js";
import { KERNEL_CONSTRAINT, WeightWrapper, wrapperClasses } from "./weight-wrappers.js";

/**
 * A copy of a model without its weight wrappers: plain layers under the wrappers' names, with kernels as they
 * are normalized in evaluation. It gives the same outputs and shares no variables with the original; compile
 * it before training it.
 * @throws TypeError for what is not a model
 */
export function withoutWeightNormalization<M extends LayersModel>(model: M): M {
  checkModel("withoutWeightNormalization", model);
  const cls = model.constructor as unknown as tf.serialization.SerializableConstructor<M>;
  const plain = cls.fromConfig(cls, plainConfig(model.getConfig() as Config) as Config);
  tf.tidy(() => copyPlain(model, plain));
  return plain;
}

/** A model's or a layer's config in which every wrapper is replaced by what it wraps. */
function plainConfig(config: tf.serialization.ConfigDictValue): tf.serialization.ConfigDictValue {
  if (Array.isArray(config)) return config.map(plainConfig) as tf.serialization.ConfigDictArray;
  if (config === null || typeof config !== "object") return config;
  const { className, config: own } = config as { className?: string; config?: Config };
  if (own?.layer && wrapperClasses.some((one) => one.className === className)) {
    const inner = plainConfig(own.layer) as { className: string; config: Config };
    const { name, batchInputShape, dtype } = own;
    const outer = { name, ...(batchInputShape && { batchInputShape, dtype }) };
    return {
      ...(config as Config),
      className: inner.className,
      config: { ...unconstrained(inner.config), ...outer },
    };
  }
  return Object.fromEntries(
    Object.entries(config).map(([name, value]) => [name, plainConfig(value)]),
  ) as Config;
}

/** Without constraints of kernels, which apply before normalization. */
function unconstrained(config: Config): Config {
  return Object.fromEntries(Object.entries(config).filter(([name]) => !KERNEL_CONSTRAINT.test(name)));
}

/**
 * Copies the weights of a layer to another of the same structure, but for wrappers, whose kernels are copied
 * as normalized.
 */
function copyPlain(from: Layer, to: Layer): void {
  if (from instanceof WeightWrapper) {
    from.asNormalized(() => copyPlain(from.layer, to));
    return;
  }
  copyMasking(from, to);
  const [inside, insideTo] = [from, to].map(insideOf);
  for (const [i, inner] of inside.entries()) copyPlain(inner, insideTo[i]);
  const own = (layer: Layer, inner: Layer[]) => {
    const others = new Set(inner.flatMap(({ weights }) => weights));
    return layer.weights.filter((variable) => !others.has(variable));
  };
  const values = own(from, inside);
  for (const [i, variable] of own(to, insideTo).entries()) {
    // bypasses constraints, which are for training
    (variable.read() as tf.Variable).assign(values[i].read());
  }
}
