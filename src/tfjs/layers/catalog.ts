/**
 * A class of layers for every normalization of the catalog, and their factories.
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

/** As Keras calls a normalization: `layerNorm` is layerNormalization. */
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

/** Whose `axis` may name several axes. */
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
    // those of weights are wrappers of other layers (weight-wrappers.ts)
    .filter((name) => catalog[name].about.takes !== "weight")
    .map((name) => [layerName(name), layerClass(specOf(name))]),
);

/** The classes, for a registry of them: those of `layers`, and others that Keras and Addons save. */
export const layerClasses: readonly LayerClass[] = [
  ...Object.values(classes),
  ...otherClasses.map(layerClass),
];

/** Factories, as in `tf.layers`: of every normalization, by the names of Keras. */
export const layers = Object.fromEntries(
  Object.entries(classes).map(([name, Class]) => [name, (args?: NormalizationArgs) => new Class(args)]),
) as unknown as Layers;
