/** RMS normalizations whose factor depends on inputs: gated by a second one, and SeeDNorm. */
import { gatedRMSNorm, gatedRMSPresets, seeDNorm } from "../../../src/index.js";
import { groupsBy, type Row, scaled, standardized, type Values64 } from "./row.js";

const last = (position: readonly number[]) => position[position.length - 1];
const firstTwo = ([a, b]: readonly number[]) => `${a},${b}`;
const sigmoid = (value: number) => 1 / (1 + Math.exp(-value));
const silu = (value: number) => value * sigmoid(value);

interface Gated {
  gate: "before" | "after";
  epsilon?: number;
  activation?: (value: number) => number;
  /** What has one mean square. */
  key?: (position: readonly number[]) => string;
  /** The axis of the features. */
  axis?: number;
}

const gated =
  ({ gate, epsilon = 1e-5, activation = silu, key = firstTwo, axis = 2 }: Gated): Row["expected"] =>
  ([x, z], { gamma }, { mask }) => {
    const factor = z.data.map(activation);
    const times = (data: ArrayLike<number>) => factor.map((value, i) => value * data[i]);
    const given = gate === "before" ? { shape: x.shape, data: times(x.data) } : x;
    const { xHat } = standardized(given, key, { epsilon, centered: false, mask });
    const y = scaled(x.shape, xHat, (position) => position[axis], { gamma }, mask);
    return { y: gate === "before" ? y : times(y) };
  };

const shapes = [
  [3, 4, 6],
  [3, 4, 6],
];

/** SeeDNorm over the elements that share a key, its weights by place in the features. */
const selfRescaled =
  (
    key: (position: readonly number[]) => string,
    place: (position: readonly number[]) => number,
  ): Row["expected"] =>
  ([x]: readonly Values64[], { gamma, alpha, kernel }, { mask }) => {
    const { xHat } = standardized(x, key, { epsilon: 1e-6, centered: false, mask });
    const places = new Float64Array(x.data.length);
    scaled(
      x.shape,
      xHat,
      (position) => {
        places[position.reduce((at, one, axis) => at * x.shape[axis] + one, 0)] = place(position);
        return 0;
      },
      {},
    );
    const y = new Float64Array(x.data.length);
    for (const indexes of groupsBy(x.shape, key, mask).values()) {
      const strength = Math.tanh(indexes.reduce((sum, i) => sum + x.data[i] * kernel[places[i]], 0));
      for (const i of indexes) y[i] = xHat[i] * (gamma[places[i]] + alpha[places[i]] * strength);
    }
    return { y };
  };

export const gatedRows: Row[] = [
  { norm: gatedRMSNorm(), shapes, expected: gated({ gate: "before" }) },
  {
    name: "of Qwen3-Next",
    norm: gatedRMSNorm(gatedRMSPresets.qwen3Next),
    shapes,
    expected: gated({ gate: "after", epsilon: 1e-6 }),
  },
  {
    name: "in three groups",
    norm: gatedRMSNorm({ groups: 3, epsilon: 0.1 }),
    shapes,
    expected: gated({ gate: "before", epsilon: 0.1, key: ([a, b, c]) => `${a},${b},${Math.floor(c / 2)}` }),
  },
  {
    name: "in two groups, gated after by a sigmoid, without gamma, features first",
    norm: gatedRMSNorm({ groups: 2, gate: "after", activation: "sigmoid", axis: 1, scale: false }),
    shapes: [
      [2, 4, 3],
      [2, 4, 3],
    ],
    mask: [2, 1, 3],
    expected: gated({
      gate: "after",
      activation: sigmoid,
      key: ([a, c, b]) => `${a},${b},${Math.floor(c / 2)}`,
      axis: 1,
    }),
  },
  { norm: seeDNorm(), shapes: [[3, 4, 5]], expected: selfRescaled(firstTwo, last) },
  {
    name: "over two axes, masked in part",
    norm: seeDNorm({ axis: [1, 2] }),
    shapes: [[3, 4, 5]],
    expected: selfRescaled(
      ([a]) => `${a}`,
      ([, b, c]) => b * 5 + c,
    ),
  },
];
