/** How a layer is loaded: which tensors become which weights, by what, and what is said of it. */
import type { LayerVariable } from "@tensorflow/tfjs-layers";
import { numbersOf, type Tensor } from "../../../checkpoints/tensors.js";
import { fitsShape, sameShape } from "../../../shape.js";
import { type LayerWeights, type Layout, permuted, torchLayout } from "../layer-weights.js";

/** How a layer is loaded. */
export interface Conversion {
  /** Names of the file's tensors by those of the layer's weights. */
  readonly tensors: Readonly<Record<string, string>>;
  /** Names of all tensors that count as used. */
  readonly used: readonly string[];
  /** What is done, a line each. */
  readonly says: readonly string[];
  /** Options that differ. */
  readonly warnings: readonly string[];
  /** The values; a problem where these show that the layer cannot hold them. */
  read(): Promise<{ weights?: [LayerVariable, ArrayLike<number>][]; problem?: string }>;
}

export type Numbers = Float32Array | Float64Array;
/** A weight, the tensors that it is made of, and how. */
export interface Made {
  readonly variable: LayerVariable;
  readonly tensors: readonly Tensor[];
  make(values: Numbers[]): ArrayLike<number>;
}

/** A shape in a message. */
export const list = (shape: readonly number[]) => `[${shape.join(", ")}]`;

interface Extra {
  readonly warnings?: readonly string[];
  /** Tensors that no weight is made of, but that count as used. */
  readonly also?: readonly Tensor[];
  /** Why their values do not allow it. */
  problem?(values: readonly Numbers[]): string | undefined;
}

export function conversion(made: readonly Made[], says: readonly string[], extra: Extra = {}): Conversion {
  const { warnings = [], also = [], problem } = extra;
  const named = made.filter(({ tensors }) => tensors.length > 0);
  const readAll = (tensors: readonly Tensor[]) => Promise.all(tensors.map(numbersOf));
  return {
    tensors: Object.fromEntries(
      named.map(({ variable, tensors }) => [
        variable.originalName,
        tensors.map(({ name }) => name).join(" + "),
      ]),
    ),
    used: [...made.flatMap(({ tensors }) => tensors), ...also].map(({ name }) => name),
    says: [...new Set(says)],
    warnings,
    async read() {
      const found = problem?.(await readAll(also));
      if (found !== undefined) return { problem: found };
      const weights: [LayerVariable, ArrayLike<number>][] = [];
      for (const { variable, tensors, make } of made) weights.push([variable, make(await readAll(tensors))]);
      return { weights };
    },
  };
}

/** How values become a weight's. */
export interface Fitted {
  readonly says?: string;
  turn(values: ArrayLike<number>): ArrayLike<number>;
}

/** A tensor's values in a weight's layout; what does not fit, where it does not. */
export function fitting(
  layer: LayerWeights,
  role: string,
  shape: readonly number[],
  from: readonly number[],
  layout: "pytorch" | "keras",
): Fitted | string {
  const wrong = `${role} ${list(from)} in the file, ${list(shape)} here`;
  if (layout === "pytorch") {
    const torch = torchLayout(layer, role, shape);
    if (fitsShape(from, torch.shape)) return turned(torch);
    // as it is, where no layout is PyTorch's: normalized over two axes
    return wrong;
  }
  if (fitsShape(from, shape)) return { turn: (values) => values };
  // Flax's depthwise kernels
  const [inputs, multiplier] = shape.slice(-2);
  const flax =
    role === "depthwise_kernel" && sameShape(from, [...shape.slice(0, -2), 1, inputs * multiplier]);
  return flax ? { turn: (values) => values } : wrong;
}

function turned({ view, order, says }: Layout): Fitted {
  return { says, turn: (values) => permuted(values, view, order) };
}
