/**
 * What Keras has and TensorFlow.js lacks, or computes otherwise: layers without weights, activations, and the cell of a GRU whose
 * reset comes after its product (reset_after, Keras's default since version 2, and PyTorch's only one). Models that `layersModelFrom`
 * builds use them.
 */
import * as tf from "@tensorflow/tfjs-core";
import {
  layers as builtIn,
  initializers,
  type LayerVariable,
  RNN,
  type RNNLayerArgs,
} from "@tensorflow/tfjs-layers";
import { sizeOf } from "../../shape.js";
import type { Config, Layer, LayerArgs, Shape, Tensors } from "../types.js";
import { kerasConvolutionClasses } from "./keras-convolutions.js";
import { type Activation, activationNamed } from "./keras-objects.js";
import { KerasOperation, lettersOf, product } from "./keras-operations.js";
import { type GivenMask, maskOf } from "./masks.js";

/** How a layer without weights computes. */
interface Stateless<O> {
  /** Every option, with its default. */
  readonly options: O;
  call(inputs: tf.Tensor[], options: O, given: { training: boolean; mask?: tf.Tensor }): tf.Tensor;
  /** Default: the shape of the (first) input. */
  shape?(input: Shape, options: O, inputs: Shape[]): Shape;
}

type LayerClass = tf.serialization.SerializableConstructor<Layer>;

function stateless<O extends Config>(className: string, { options, call, shape }: Stateless<O>): LayerClass {
  return class extends builtIn.Layer {
    static readonly className = className;
    private readonly options: O;

    constructor(args: LayerArgs & Partial<O> = {}) {
      super(args);
      const given = Object.entries(args).filter(([name]) => Object.hasOwn(options, name));
      this.options = { ...options, ...Object.fromEntries(given) };
      this.supportsMasking = shape === undefined;
    }

    override call(
      inputs: Tensors,
      { training, mask }: { training?: boolean; mask?: GivenMask } = {},
    ): tf.Tensor {
      return tf.tidy(() => {
        const given = { training: Boolean(training), mask: maskOf(this as unknown as Layer, mask) };
        return call([inputs].flat(), this.options, given);
      });
    }

    override computeOutputShape(input: Shape | Shape[]): Shape {
      const shapes = Array.isArray(input[0]) ? (input as Shape[]) : [input as Shape];
      return shape ? shape(shapes[0], this.options, shapes) : shapes[0];
    }

    override getConfig(): Config {
      return { ...super.getConfig(), ...this.options };
    }
  } as unknown as LayerClass;
}

/** A length that may be unknown, times or plus a number. */
const scaled = (length: number | null, by: number) => (length === null ? null : length * by);
const longer = (length: number | null, by: number) => (length === null ? null : length + by);

/** GlobalAveragePooling and GlobalMaxPooling in 3D, or with keepdims. */
const GlobalPooling = stateless("GlobalPooling", {
  options: { by: "mean", axes: [1, 2] as number[], keepDims: false },
  call([x], { by, axes, keepDims }, { mask }) {
    if (by === "max") return tf.max(x, axes, keepDims);
    if (mask === undefined || axes.length > 1) return tf.mean(x, axes, keepDims);
    const counts = tf.expandDims(tf.cast(mask, x.dtype), -1);
    return tf.div(tf.sum(tf.mul(x, counts), axes, keepDims), tf.sum(counts, axes, keepDims));
  },
  shape: (input, { axes, keepDims }) =>
    keepDims
      ? input.map((length, axis) => (axes.includes(axis) ? 1 : length))
      : input.filter((_, axis) => !axes.includes(axis)),
});

/** CenterCrop of what is large enough. */
const CenterCrop = stateless("KerasCenterCrop", {
  options: { height: 1, width: 1 },
  call([x], { height, width }) {
    const [batch, rows, columns, channels] = x.shape;
    if (rows < height || columns < width) {
      throw new RangeError(
        `CenterCrop: images of ${rows} × ${columns} are smaller than ${height} × ${width}; resize them before the model`,
      );
    }
    const begin = [0, Math.floor((rows - height) / 2), Math.floor((columns - width) / 2), 0];
    return tf.slice(x, begin, [batch, height, width, channels]);
  },
  shape: ([batch, , , channels], { height, width }) => [batch, height, width, channels],
});

/** CategoryEncoding: which numbers there are in the last axis, or which its only one is. */
const CategoryEncoding = stateless("KerasCategoryEncoding", {
  options: { numTokens: 1, outputMode: "multiHot" },
  call([x], { numTokens, outputMode }) {
    const each = tf.cast(tf.oneHot(tf.cast(x, "int32"), numTokens), "float32");
    const isOne = outputMode === "oneHot" && x.shape[x.rank - 1] !== 1;
    return isOne ? each : tf.max(each, -2);
  },
  shape: (input, { numTokens, outputMode }) =>
    outputMode === "oneHot" && input[input.length - 1] !== 1
      ? [...input, numTokens]
      : [...input.slice(0, -1), numTokens],
});

/** ZeroPadding1D and ZeroPadding3D; with negative lengths Cropping1D and Cropping3D. One pair for each axis after the first. */
const Margins = stateless("Margins", {
  options: { margins: [] as number[][] },
  call([x], { margins }) {
    const each = [[0, 0], ...margins];
    const begin = each.map(([before]) => Math.max(0, -before));
    const size = x.shape.map((length, axis) => length - begin[axis] - Math.max(0, -each[axis][1]));
    return tf.pad(
      tf.slice(x, begin, size),
      each.map((pair) => pair.map((one) => Math.max(0, one)) as [number, number]),
    );
  },
  shape: (input, { margins }) =>
    input.map((length, axis) =>
      axis === 0 ? length : longer(length, margins[axis - 1][0] + margins[axis - 1][1]),
    ),
});

/** UpSampling1D and UpSampling3D: each element several times. One factor for each axis after the first. */
const Repeat = stateless("Repeat", {
  options: { factors: [] as number[] },
  call: ([x], { factors }) =>
    factors.reduce((y, factor, i) => {
      if (factor === 1) return y;
      const index = Int32Array.from({ length: y.shape[i + 1] * factor }, (_, at) => Math.floor(at / factor));
      return tf.gather(y, tf.tensor1d(index, "int32"), i + 1);
    }, x),
  shape: (input, { factors }) =>
    input.map((length, axis) => (axis === 0 ? length : scaled(length, factors[axis - 1]))),
});

/** Resizing, and UpSampling2D with bilinear interpolation: pixels are areas, as in TensorFlow 2; TensorFlow.js takes them for points. */
const Resize = stateless("Resize", {
  options: {
    height: null as number | null,
    width: null as number | null,
    factors: [1, 1] as number[],
    interpolation: "bilinear",
  },
  call([x], { height, width, factors, interpolation }) {
    const images = x as tf.Tensor4D;
    const [, rows, columns] = images.shape;
    const size: [number, number] = [height ?? rows * factors[0], width ?? columns * factors[1]];
    return interpolation === "nearest"
      ? tf.image.resizeNearestNeighbor(images, size, false, true)
      : tf.image.resizeBilinear(images, size, false, true);
  },
  shape: ([batch, rows, columns, channels], { height, width, factors }) => [
    batch,
    height ?? scaled(rows, factors[0]),
    width ?? scaled(columns, factors[1]),
    channels,
  ],
});

/** Reshape with one length that is worked out: TensorFlow.js does so only where the batch's size is known. */
const Reshape = stateless("KerasReshape", {
  options: { targetShape: [] as (number | null)[] },
  call: ([x], { targetShape }) => tf.reshape(x, [x.shape[0], ...targetShape.map((length) => length ?? -1)]),
  shape([batch, ...lengths], { targetShape }) {
    const known = targetShape.filter((length): length is number => length !== null && length >= 0);
    const rest = lengths.includes(null) ? null : sizeOf(lengths as number[]) / sizeOf(known);
    if (rest !== null && !Number.isInteger(rest))
      throw new RangeError(`Reshape: [${lengths.join(", ")}] does not fit [${targetShape.join(", ")}]`);
    return [batch, ...targetShape.map((length) => (length === null || length < 0 ? rest : length))];
  },
});

/** ReLU with all of Keras's options. */
const Rectifier = stateless("Rectifier", {
  options: { maxValue: null as number | null, negativeSlope: 0, threshold: 0 },
  call([x], { maxValue, negativeSlope, threshold }) {
    const below = tf.mul(tf.sub(x, threshold), negativeSlope);
    const above = maxValue === null ? x : tf.minimum(x, maxValue);
    return tf.where(tf.greaterEqual(x, threshold), above, below);
  },
});

/** SpatialDropout2D and SpatialDropout3D: whole channels. */
const SpatialDropout = stateless("SpatialDropout", {
  options: { rate: 0.5 },
  call([x], { rate }, { training }) {
    const each = x.shape.map((length, axis) => (axis === 0 || axis === x.rank - 1 ? length : 1));
    return training && rate > 0 ? tf.mul(x, tf.dropout(tf.ones(each), rate)) : x;
  },
});

type Elementwise = (x: tf.Tensor) => tf.Tensor;

/** By Keras's names, in camel case. */
const activations: Readonly<Record<string, Elementwise>> = {
  exponential: (x) => tf.exp(x),
  leakyRelu: (x) => tf.leakyRelu(x, 0.2),
  // Keras 3's, which differs from that of Keras 2 and TensorFlow.js
  hardSigmoidOf6: hardSigmoid,
  hardSilu: (x) => tf.mul(x, hardSigmoid(x)),
  hardTanh: (x) => tf.clipByValue(x, -1, 1),
  logSigmoid: (x) => tf.logSigmoid(x),
  celu: (x) => tf.elu(x),
  squareplus: (x) => tf.div(tf.add(x, tf.sqrt(tf.add(tf.square(x), 4))), 2),
  tanhShrink: (x) => tf.sub(x, tf.tanh(x)),
  softShrink: (x) => tf.sub(x, tf.clipByValue(x, -0.5, 0.5)),
  hardShrink: (x) => tf.where(tf.greater(tf.abs(x), 0.5), x, tf.zerosLike(x)),
};

function hardSigmoid(x: tf.Tensor): tf.Tensor {
  return tf.div(tf.clipByValue(tf.add(x, 3), 0, 6), 6);
}

function activationClass(className: string, apply: Elementwise) {
  return class extends tf.serialization.Serializable {
    static readonly className = className;

    apply(x: tf.Tensor): tf.Tensor {
      return tf.tidy(() => apply(x));
    }

    getConfig(): Config {
      return {};
    }
  };
}

type ConvolutionArgs = Parameters<typeof builtIn.conv1d>[0];
// TensorFlow.js exports factories of its classes only; named so as not to shift the numbers in automatic layer names
const Conv1D = builtIn.conv1d({ filters: 1, kernelSize: 1, name: "evenkeel_probe" })
  .constructor as unknown as new (
  args: ConvolutionArgs,
) => Layer & { kernelSize: number[]; dilationRate: number[] };

/** A convolution of what came before: padded at the start alone. */
class CausalConv1D extends Conv1D {
  static readonly className = "CausalConv1D";

  override call(inputs: Tensors, kwargs: Parameters<Layer["call"]>[1]): Tensors {
    return tf.tidy(() => {
      const [x] = [inputs].flat();
      return super.call(
        tf.pad(x, [
          [0, 0],
          [this.before, 0],
          [0, 0],
        ]),
        kwargs,
      );
    });
  }

  override computeOutputShape([batch, length, channels]: Shape): Shape | Shape[] {
    return super.computeOutputShape([batch, longer(length, this.before), channels]);
  }

  private get before(): number {
    const [[size], [dilation]] = [this.kernelSize, this.dilationRate];
    return dilation * (size - 1);
  }
}

type EinsumArgs = LayerArgs & {
  equation: string;
  /** Without the batch. */
  outputShape: number | (number | null)[];
  activation?: string;
  /** Letters of the output along which the bias differs; null for none. */
  biasAxes?: string | null;
};

/** A product with a kernel by an equation, such as "abc,cd->abd". */
class EinsumDense extends builtIn.Layer {
  static readonly className = "EinsumDense";
  private readonly args: Required<Pick<EinsumArgs, "equation" | "outputShape" | "activation" | "biasAxes">>;
  private readonly activation: Activation;
  private kernel?: ReturnType<Layer["addWeight"]>;
  private bias?: ReturnType<Layer["addWeight"]>;

  constructor({ equation, outputShape, activation = "linear", biasAxes = null, ...args }: EinsumArgs) {
    super(args);
    this.args = { equation, outputShape, activation, biasAxes };
    this.activation = activationNamed(activation);
  }

  override build(input: Shape | Shape[]): void {
    const shape = input as Shape;
    const { equation, biasAxes } = this.args;
    const [[first, second], output] = lettersOf(equation, shape.length);
    const outputs = this.computeOutputShape(shape);
    const lengthOf = (letter: string): number => {
      const at = first.indexOf(letter);
      const length = at >= 0 ? shape[at] : outputs[output.indexOf(letter)];
      if (typeof length !== "number")
        throw new RangeError(`EinsumDense: the length of ${letter} must be known`);
      return length;
    };
    this.kernel = this.addWeight(
      "kernel",
      [...second].map(lengthOf),
      "float32",
      initializers.glorotUniform({}),
    );
    if (biasAxes) {
      const from = [...output].findIndex((letter) => biasAxes.includes(letter));
      const lengths = [...output.slice(from)].map((letter) =>
        biasAxes.includes(letter) ? lengthOf(letter) : 1,
      );
      this.bias = this.addWeight("bias", lengths, "float32", initializers.zeros());
    }
    this.built = true;
  }

  override call(inputs: Tensors): tf.Tensor {
    return tf.tidy(() => {
      const [x] = [inputs].flat();
      const y = product(this.args.equation, [x, (this.kernel as LayerVariable).read()]);
      return this.activation.apply(this.bias ? tf.add(y, this.bias.read()) : y);
    });
  }

  override computeOutputShape(input: Shape | Shape[]): Shape {
    const [batch, ...lengths] = input as Shape;
    const { equation, outputShape } = this.args;
    const [[first], output] = lettersOf(equation, lengths.length + 1);
    const given = [outputShape].flat();
    // Keras leaves out what an ellipsis stands for
    const left = output.length - 1 - given.length;
    return [
      batch,
      ...[...output]
        .slice(1)
        .map((letter, i) => given[i - left] ?? lengths[first.indexOf(letter) - 1] ?? null),
    ];
  }

  override getConfig(): Config {
    return { ...super.getConfig(), ...this.args } as Config;
  }
}

type CellArgs = NonNullable<Parameters<typeof builtIn.gruCell>[0]>;
interface GatedCell extends Layer {
  kernel: { read(): tf.Tensor };
  recurrentKernel: { read(): tf.Tensor };
  bias: { read(): tf.Tensor } | null;
  units: number;
  useBias: boolean;
  activation: { apply(x: tf.Tensor): tf.Tensor };
  recurrentActivation: { apply(x: tf.Tensor): tf.Tensor };
  biasInitializer: Parameters<Layer["addWeight"]>[3];
  biasRegularizer: Parameters<Layer["addWeight"]>[4];
  biasConstraint: Parameters<Layer["addWeight"]>[6];
}
const GRUCell = builtIn.gruCell({ units: 1, name: "evenkeel_probe" }).constructor as unknown as new (
  args: CellArgs,
) => GatedCell;

/**
 * z, r = σ(x·W + b + h·U + c);  n = tanh(x·W + b + r ⊙ (h·U + c));  h' = z ⊙ h + (1 − z) ⊙ n
 *
 * kernel [in, 3·units], recurrent_kernel [units, 3·units], bias [2, 3·units] (b and c), each in the order z, r, n.
 */
class ResetAfterGRUCell extends GRUCell {
  static readonly className = "ResetAfterGRUCell";

  constructor({ resetAfter, ...args }: CellArgs & { resetAfter?: boolean }) {
    super(args);
  }

  override build(inputShape: Shape | Shape[]): void {
    const { useBias } = this;
    this.useBias = false;
    super.build(inputShape);
    this.useBias = useBias;
    if (!useBias) return;
    const { biasInitializer, biasRegularizer, biasConstraint, units } = this;
    this.bias = this.addWeight(
      "bias",
      [2, 3 * units],
      "float32",
      biasInitializer,
      biasRegularizer,
      true,
      biasConstraint,
    );
  }

  override call(inputs: Tensors): tf.Tensor[] {
    return tf.tidy(() => {
      const [x, h] = inputs as [tf.Tensor2D, tf.Tensor2D];
      const { kernel, recurrentKernel, bias, activation, recurrentActivation } = this;
      const biases = bias ? tf.split(bias.read(), 2, 0) : [];
      const gates = (values: tf.Tensor, weights: { read(): tf.Tensor }, added?: tf.Tensor) => {
        const product = tf.matMul(values as tf.Tensor2D, weights.read() as tf.Tensor2D);
        return tf.split(added ? tf.add(product, added) : product, 3, 1);
      };
      const [xz, xr, xn] = gates(x, kernel, biases[0]);
      const [hz, hr, hn] = gates(h, recurrentKernel, biases[1]);
      const z = recurrentActivation.apply(tf.add(xz, hz));
      const r = recurrentActivation.apply(tf.add(xr, hr));
      const n = activation.apply(tf.add(xn, tf.mul(r, hn)));
      const next = tf.add(n, tf.mul(z, tf.sub(h, n)));
      return [next, next];
    });
  }

  override getConfig(): Config {
    return { ...super.getConfig(), resetAfter: true };
  }
}

/** Options of `gru`: those of `tf.layers.gru`, but for its dropouts. */
export type GRUArgs = Omit<
  NonNullable<Parameters<typeof builtIn.gru>[0]>,
  "dropout" | "recurrentDropout" | "resetAfter"
>;

class ResetAfterGRU extends RNN {
  static override readonly className: string = "ResetAfterGRU";

  constructor(args: GRUArgs) {
    const cell = new ResetAfterGRUCell(args as CellArgs) as unknown as RNNLayerArgs["cell"];
    super({ ...args, cell } as RNNLayerArgs);
  }

  static override fromConfig<T extends tf.serialization.Serializable>(
    cls: tf.serialization.SerializableConstructor<T>,
    config: Config,
  ): T {
    return new cls(config);
  }
}

/**
 * A GRU as Keras (reset_after) and PyTorch compute it: its reset gate acts on the recurrent product, which TensorFlow.js's own
 * `tf.layers.gru` refuses. Defaults are Keras's: tanh, and sigmoid for the gates.
 */
export function gru(args: GRUArgs): RNN {
  return new ResetAfterGRU({ recurrentActivation: "sigmoid", ...args });
}

/** All classes to register. */
export const kerasOnlyClasses = [
  KerasOperation,
  ...kerasConvolutionClasses,
  GlobalPooling,
  CenterCrop,
  Reshape,
  EinsumDense,
  CategoryEncoding,
  Margins,
  Repeat,
  Resize,
  Rectifier,
  SpatialDropout,
  CausalConv1D,
  ResetAfterGRUCell,
  ResetAfterGRU,
  ...Object.entries(activations).map(([name, apply]) => activationClass(name, apply)),
];
