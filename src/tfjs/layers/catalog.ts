/**
 * A layer class for every normalization of the catalog, and their factories.
 *
 *     import { layers } from "evenkeel/tfjs";
 *     model.add(layers.groupNormalization({ groups: 8 }));
 */
import type * as tf from "@tensorflow/tfjs-core";
import type { Factory } from "../../formula/normalization.js";
import { type Catalog, catalog, type WeightNormName } from "../../norms/catalog.js";
import { kerasClasses, otherClasses, single } from "./keras-classes.js";
import type { LayerSpec } from "./layer-spec.js";
import { type NormalizationArgs, NormalizationLayer } from "./normalization-layer.js";

/** Keras's name of a normalization: `layerNorm` becomes layerNormalization. */
type LayerName<K extends string> = K extends `${infer Start}Norm`
  ? `${Start}Normalization`
  : K extends `${infer Start}norm`
    ? `${Start}normalization`
    : K;

type OptionsOf<F> = F extends (options?: infer O) => unknown ? NonNullable<O> : never;

type Layers = {
  [K in Exclude<keyof Catalog, WeightNormName> as LayerName<K>]: (
    args?: NormalizationArgs<OptionsOf<Catalog[K]>>,
  ) => NormalizationLayer;
};

type LayerClass = tf.serialization.SerializableConstructor<NormalizationLayer> &
  (new (
    args?: NormalizationArgs,
  ) => NormalizationLayer);

/** Normalizations whose `axis` may be a list. */
const SEVERAL_AXES: readonly (keyof Catalog)[] = [
  "rmsNorm",
  "unitNorm",
  "adaNorm",
  "dynamicTanh",
  "dynamicErf",
  "dynamicISRU",
  "layerScale",
  "thresholdedLinearUnit",
];

function specOf(name: keyof Catalog): LayerSpec {
  const factory = catalog[name] as Factory<object>;
  const { options = [], ...own } = kerasClasses[name] ?? {};
  const className = capitalized(layerName(name));
  return {
    className,
    about: factory.about,
    defaults: {},
    initializers: {},
    useMask: true,
    make({ axis, ...options }) {
      if (axis === undefined) return factory(options);
      return factory({ ...options, axis: SEVERAL_AXES.includes(name) ? axis : single(className, axis) });
    },
    ...own,
    options: [...Object.keys(factory.defaults), ...options],
  };
}

function layerClass(spec: LayerSpec): LayerClass {
  return class extends NormalizationLayer {
    static readonly className: string = spec.className;

    constructor(args: NormalizationArgs = {}) {
      super(spec, args);
    }
  };
}

function layerName(name: string): string {
  return name.replace(/norm$/i, (end) => `${end}alization`);
}

function capitalized(name: string): string {
  return name[0].toUpperCase() + name.slice(1);
}

const classes = Object.fromEntries(
  (Object.keys(catalog) as (keyof Catalog)[])
    // normalizations of weights are wrappers of other layers (weight-wrappers.ts)
    .filter((name) => catalog[name].about.takes !== "weight")
    .map((name) => [layerName(name), layerClass(specOf(name))]),
);

/** All classes to register: those of `layers`, and others that Keras and Addons save. */
export const layerClasses: readonly LayerClass[] = [
  ...Object.values(classes),
  ...otherClasses.map(layerClass),
];

/**
 * Layer factories as in `tf.layers`, one per normalization (not of weights), under Keras's names:
 * `layers.layerNormalization(args?)`. Arguments are `NormalizationArgs` with the normalization's options;
 * defaults are Keras's where Keras has the layer, else the normalization's.
 * @throws TypeError for an unknown option or a value of the wrong type; RangeError for one out of range
 */
export const layers = Object.fromEntries(
  Object.entries(classes).map(([name, Class]) => [name, (args?: NormalizationArgs) => new Class(args)]),
) as unknown as Layers;
