/**
 * Convolutions of Keras that TensorFlow.js lacks, or computes without their options: grouped ones, separable and depthwise ones of
 * sequences, dilated depthwise ones, and transposed ones of sequences, with dilation or with output_padding.
 */
import * as tf from "@tensorflow/tfjs-core";
import { layers as builtIn } from "@tensorflow/tfjs-layers";
import { sizeOf } from "../../shape.js";
import type { Config, Layer, LayerArgs, Shape, Tensors } from "../types.js";
import {
  type Activation,
  activationNamed,
  constraint,
  initializer,
  type Option,
  regularizer,
  saved,
} from "./keras-objects.js";

type Padding = "valid" | "same";

/** Keras's options; lengths of the kernel, strides and dilations one for each axis. */
interface ConvolutionOptions {
  filters: number | null;
  kernelSize: number | number[];
  strides: number | number[];
  padding: Padding;
  dilationRate: number | number[];
  groups: number;
  depthMultiplier: number;
  outputPadding: number | number[] | null;
  activation: string;
  useBias: boolean;
}

const DEFAULTS: ConvolutionOptions = {
  filters: null,
  kernelSize: 1,
  strides: 1,
  padding: "valid",
  dilationRate: 1,
  groups: 1,
  depthMultiplier: 1,
  outputPadding: null,
  activation: "linear",
  useBias: true,
};

type Args = LayerArgs & Partial<ConvolutionOptions> & Readonly<Record<string, unknown>>;
type LayerClass = tf.serialization.SerializableConstructor<Layer>;
type Resolved = Omit<ConvolutionOptions, "kernelSize" | "strides" | "dilationRate" | "outputPadding"> & {
  kernelSize: number[];
  strides: number[];
  dilationRate: number[];
  outputPadding: number[] | null;
};

interface Kind {
  readonly className: string;
  /** Of images 2, of sequences 1. */
  readonly axes: 1 | 2 | 3;
  /** Shapes of its kernels, by their names. */
  kernels(options: Resolved, channels: number): Readonly<Record<string, number[]>>;
  /** Without bias and activation. */
  convolve(x: tf.Tensor, kernels: tf.Tensor[], options: Resolved): tf.Tensor;
  /** A length of the output. */
  length(input: number, axis: number, options: Resolved): number;
  filters(options: Resolved, channels: number): number;
}

function convolutionClass({ className, axes, kernels, convolve, length, filters }: Kind): LayerClass {
  return class extends builtIn.Layer {
    static readonly className = className;
    private readonly options: Resolved;
    private readonly activation: Activation;
    private readonly objects: Readonly<Record<string, unknown>>;
    private variables: ReturnType<Layer["addWeight"]>[] = [];

    constructor(args: Args = {}) {
      super(args);
      const given = Object.entries(args).filter(
        ([name, value]) => name in DEFAULTS && value !== undefined && value !== null,
      );
      const options: ConvolutionOptions = { ...DEFAULTS, ...Object.fromEntries(given) };
      const each = (value: number | number[]) =>
        Array.isArray(value) ? value : Array<number>(axes).fill(value);
      const { kernelSize, strides, dilationRate, outputPadding } = options;
      this.options = {
        ...options,
        kernelSize: each(kernelSize),
        strides: each(strides),
        dilationRate: each(dilationRate),
        outputPadding: outputPadding === null ? null : each(outputPadding),
      };
      this.activation = activationNamed(options.activation);
      this.objects = Object.fromEntries(
        Object.entries(args).filter(([name]) => /(Initializer|Regularizer|Constraint)$/.test(name)),
      );
    }

    override build(input: Shape | Shape[]): void {
      const channels = (input as Shape)[axes + 1];
      const { useBias, groups, filters: outputs } = this.options;
      if (channels === null) throw new RangeError(`${className}: the number of channels must be known`);
      if (channels % groups !== 0 || (outputs ?? 0) % groups !== 0) {
        throw new RangeError(
          `${className}: groups must divide the ${channels} channels and ${outputs} filters, got ${groups}`,
        );
      }
      const shapes = kernels(this.options, channels);
      this.variables = Object.entries(shapes).map(([name, shape]) =>
        this.weight(name, shape, "glorotUniform"),
      );
      if (useBias) this.variables.push(this.weight("bias", [filters(this.options, channels)], "zeros"));
      this.built = true;
    }

    /** With the initializer, regularizer and constraint that its options have under its name. */
    private weight(name: string, shape: number[], initial: string): ReturnType<Layer["addWeight"]> {
      const prefix = name.replace(/_kernel$/, "");
      const option = (kind: string) => this.objects[`${prefix}${kind}`] as Option<never> | null | undefined;
      return this.addWeight(
        name,
        shape,
        "float32",
        initializer(className, `${prefix}Initializer`, option("Initializer") ?? initial),
        regularizer(className, `${prefix}Regularizer`, option("Regularizer")),
        true,
        constraint(className, `${prefix}Constraint`, option("Constraint")),
      );
    }

    override call(inputs: Tensors): tf.Tensor {
      return tf.tidy(() => {
        const values = this.variables.map((one) => one.read());
        const bias = this.options.useBias ? values.pop() : undefined;
        const y = convolve([inputs].flat()[0], values, this.options);
        return this.activation.apply(bias ? tf.add(y, bias) : y);
      });
    }

    override computeOutputShape(input: Shape | Shape[]): Shape {
      const [batch, ...rest] = input as Shape;
      const channels = rest.pop() as number;
      const lengths = rest.map((one, axis) => (one === null ? null : length(one, axis, this.options)));
      return [batch, ...lengths, filters(this.options, channels)];
    }

    override getConfig(): Config {
      const objects = Object.entries(this.objects).map(([name, one]) => [
        name,
        one instanceof tf.serialization.Serializable ? saved(one) : one,
      ]);
      return { ...super.getConfig(), ...this.options, ...Object.fromEntries(objects) } as Config;
    }
  } as unknown as LayerClass;
}

const reach = (size: number, dilation: number) => (size - 1) * dilation + 1;

function convolvedLength(
  input: number,
  axis: number,
  { kernelSize, strides, padding, dilationRate }: Resolved,
): number {
  const lost = padding === "same" ? 0 : reach(kernelSize[axis], dilationRate[axis]) - 1;
  return Math.ceil((input - lost) / strides[axis]);
}

type Convolve = (
  x: tf.Tensor,
  kernel: tf.Tensor,
  options: Pick<Resolved, "strides" | "padding" | "dilationRate">,
) => tf.Tensor;

/** Of sequences as of images of width 1. */
function asImages(apply: Convolve): Convolve {
  return (x, kernel, options) => {
    if (x.rank !== 3) return apply(x, kernel, options);
    const [size, ...others] = kernel.shape;
    const { strides, padding, dilationRate } = options;
    // the same in both directions: depthwise kernels have no others
    const both = {
      strides: [strides[0], strides[0]],
      padding,
      dilationRate: [dilationRate[0], dilationRate[0]],
    };
    return tf.squeeze(apply(tf.expandDims(x, 2), tf.reshape(kernel, [size, 1, ...others]), both), [2]);
  };
}

const convolve: Convolve = asImages((x, kernel, { strides, padding, dilationRate }) =>
  x.rank === 5
    ? tf.conv3d(
        x as tf.Tensor5D,
        kernel as tf.Tensor5D,
        strides as [number, number, number],
        padding,
        "NDHWC",
        dilationRate as [number, number, number],
      )
    : tf.conv2d(
        x as tf.Tensor4D,
        kernel as tf.Tensor4D,
        strides as [number, number],
        padding,
        "NHWC",
        dilationRate as [number, number],
      ),
);

const depthwise: Convolve = asImages((x, kernel, { strides, padding, dilationRate }) =>
  tf.depthwiseConv2d(
    x as tf.Tensor4D,
    kernel as tf.Tensor4D,
    strides as [number, number],
    padding,
    "NHWC",
    dilationRate as [number, number],
  ),
);

function grouped(x: tf.Tensor, kernel: tf.Tensor, options: Resolved): tf.Tensor {
  const { groups } = options;
  const outputs = kernel.shape[kernel.rank - 1];
  // groups of one channel each
  if (kernel.shape[kernel.rank - 2] === 1 && x.rank < 5) {
    const shape = [...kernel.shape.slice(0, -2), groups, outputs / groups];
    return depthwise(x, tf.reshape(kernel, shape), options);
  }
  const parts = tf.split(kernel, groups, -1 + kernel.rank);
  return tf.concat(
    tf.split(x, groups, x.rank - 1).map((one, i) => convolve(one, parts[i], options)),
    x.rank - 1,
  );
}

/** As Keras works it out. */
function transposedLength(input: number, axis: number, options: Resolved): number {
  const { kernelSize, strides, padding, dilationRate, outputPadding } = options;
  const size = reach(kernelSize[axis], dilationRate[axis]);
  const stride = strides[axis];
  if (outputPadding === null)
    return padding === "same" ? input * stride : input * stride + Math.max(size - stride, 0);
  return (
    (input - 1) * stride + size - (padding === "same" ? 2 * Math.floor(size / 2) : 0) + outputPadding[axis]
  );
}

/** The gradient of a convolution, as one: of the input with zeros between its elements, by the kernel turned round. */
function transposed(x: tf.Tensor, kernel: tf.Tensor, options: Resolved): tf.Tensor {
  const { strides, dilationRate, padding, kernelSize } = options;
  let y = x;
  const before: number[] = [];
  const lengths: number[] = [];
  for (const [i, stride] of strides.entries()) {
    const [length, size] = [x.shape[i + 1], reach(kernelSize[i], dilationRate[i])];
    const output = transposedLength(length, i, options);
    const all = padding === "same" ? Math.max((length - 1) * stride + size - output, 0) : 0;
    y = spread(y, i + 1, stride);
    before.push(size - 1 - Math.floor(all / 2));
    lengths.push(output + size - 1);
  }
  const after = lengths.map((length, i) => length - before[i] - y.shape[i + 1]);
  const margins = before.map((one, i) => [one, Math.max(0, after[i])] as [number, number]);
  const padded = tf.pad(y, [[0, 0], ...margins, [0, 0]]);
  const cut = tf.slice(padded, Array(padded.rank).fill(0), [x.shape[0], ...lengths, x.shape[x.rank - 1]]);
  const spatial = [...strides.keys()];
  const turned = tf.transpose(tf.reverse(kernel, spatial), [...spatial, strides.length + 1, strides.length]);
  const ones = strides.map(() => 1);
  return convolve(cut, turned, { strides: ones, padding: "valid", dilationRate });
}

/** Zeros between the elements of an axis. */
function spread(x: tf.Tensor, axis: number, stride: number): tf.Tensor {
  if (stride === 1) return x;
  const length = x.shape[axis];
  const [outer, inner] = [sizeOf(x.shape.slice(0, axis)), sizeOf(x.shape.slice(axis + 1))];
  const apart = tf.pad(tf.reshape(x, [outer, length, 1, inner]), [
    [0, 0],
    [0, 0],
    [0, stride - 1],
    [0, 0],
  ]);
  const joined = tf.slice(
    tf.reshape(apart, [outer, length * stride, inner]),
    [0, 0, 0],
    [outer, (length - 1) * stride + 1, inner],
  );
  return tf.reshape(joined, [
    ...x.shape.slice(0, axis),
    (length - 1) * stride + 1,
    ...x.shape.slice(axis + 1),
  ]);
}

const filtersOf = ({ filters }: Resolved) => filters as number;

const grouping = (axes: 1 | 2 | 3): Kind => ({
  className: `GroupedConv${axes}D`,
  axes,
  kernels: ({ kernelSize, groups, filters }, channels) => ({
    kernel: [...kernelSize, channels / groups, filters as number],
  }),
  convolve: (x, [kernel], options) => grouped(x, kernel, options),
  length: convolvedLength,
  filters: filtersOf,
});

const transposing = (axes: 1 | 2 | 3): Kind => ({
  className: `TransposedConv${axes}D`,
  axes,
  kernels: ({ kernelSize, filters }, channels) => ({ kernel: [...kernelSize, filters as number, channels] }),
  convolve: (x, [kernel], options) => transposed(x, kernel, options),
  length: transposedLength,
  filters: filtersOf,
});

const byDepth = (className: string, axes: 1 | 2): Kind => ({
  className,
  axes,
  kernels: ({ kernelSize, depthMultiplier }, channels) => ({
    depthwise_kernel: [...kernelSize, channels, depthMultiplier],
  }),
  convolve: (x, [kernel], options) => depthwise(x, kernel, options),
  length: convolvedLength,
  filters: ({ depthMultiplier }, channels) => channels * depthMultiplier,
});

const separable: Kind = {
  className: "SeparableConv1D",
  axes: 1,
  kernels: ({ kernelSize, depthMultiplier, filters }, channels) => ({
    depthwise_kernel: [...kernelSize, channels, depthMultiplier],
    pointwise_kernel: [1, channels * depthMultiplier, filters as number],
  }),
  convolve: (x, [kernel, pointwise], options) =>
    convolve(depthwise(x, kernel, options), pointwise, { strides: [1], padding: "valid", dilationRate: [1] }),
  length: convolvedLength,
  filters: filtersOf,
};

/** All classes to register. */
export const kerasConvolutionClasses: readonly LayerClass[] = [
  ...([1, 2, 3] as const).flatMap((axes) => [grouping(axes), transposing(axes)]),
  byDepth("DepthwiseConv1D", 1),
  byDepth("DilatedDepthwiseConv2D", 2),
  separable,
].map(convolutionClass);
