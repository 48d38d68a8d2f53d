/** Normalizations over positions and channels: position, local, filter and global response, divisive; group statistics. */
import {
  batchNorm,
  divisiveNorm,
  filterResponseNorm,
  globalResponseNorm,
  groupStatistics,
  layerNorm,
  localResponseNorm,
  momentShortcut,
  positionNorm,
  rmsNorm,
  statisticsOf,
} from "../../../src/index.js";
import { average, groupsBy, positions, type Row, scaled, standardized, type Values64 } from "./row.js";

const last = (position: readonly number[]) => position[position.length - 1];
const second = ([, channel]: readonly number[]) => channel;

/** Sum of x² over a window of channels from `before` before each to `after` after it. */
function localPower({ shape, data }: Values64, axis: number, before: number, after: number): Float64Array {
  const places = positions(shape);
  return Float64Array.from(places, (here) => {
    let sum = 0;
    places.forEach((there, j) => {
      if (there.some((at, one) => one !== axis && at !== here[one])) return;
      const distance = there[axis] - here[axis];
      if (distance >= -before && distance <= after) sum += data[j] ** 2;
    });
    return sum;
  });
}

const zeroed = ({ shape, data }: Values64, mask?: Float64Array) => ({
  shape,
  data: data.map((value, i) => (mask?.[i] === 0 ? 0 : value)),
});
const unmasked = (y: Float64Array, mask?: Float64Array) => y.map((value, i) => (mask?.[i] === 0 ? 0 : value));

function filterResponse(epsilon: number, channel: typeof last): Row["expected"] {
  return ([x], { gamma, beta, tau, learnedEpsilon }, { mask }) => {
    const { xHat } = standardized(x, (at) => `${at[0]},${channel(at)}`, {
      epsilon: epsilon + Math.abs(learnedEpsilon?.[0] ?? 0),
      centered: false,
      mask,
    });
    const z = scaled(x.shape, xHat, channel, { gamma, beta }, mask);
    const at = positions(x.shape);
    return { y: unmasked(tau ? z.map((value, i) => Math.max(value, tau[channel(at[i])])) : z, mask) };
  };
}

function globalResponse(channel: typeof last): Row["expected"] {
  return ([x], { gamma, beta }, { mask }) => {
    const y = new Float64Array(x.data.length);
    const at = positions(x.shape);
    const responses = new Map<string, number>();
    for (const [key, indexes] of groupsBy(x.shape, (one) => `${one[0]},${channel(one)}`, mask)) {
      // a channel of which nothing counts is no channel
      if (indexes.length > 0)
        responses.set(key, Math.sqrt(indexes.reduce((sum, i) => sum + x.data[i] ** 2, 0)));
    }
    for (let i = 0; i < y.length; i++) {
      if (mask?.[i] === 0) continue;
      const c = channel(at[i]);
      const of = [...responses].filter(([key]) => key.startsWith(`${at[i][0]},`)).map(([, value]) => value);
      const share = (responses.get(`${at[i][0]},${c}`) ?? 0) / (average(of) + 1e-6);
      y[i] = gamma[c] * (x.data[i] * share) + beta[c] + x.data[i];
    }
    return { y };
  };
}

/** `reach` of each axis: how many places before and after, or all of them. */
type Reach = readonly (readonly [before: number, after: number] | "all")[];

function divisive(
  channel: typeof last,
  summation: Reach,
  suppression: Reach,
  { sigma = 1, edges = "zero" }: { sigma?: number; edges?: "zero" | "nothing" },
): Row["expected"] {
  return ([x], { gamma, beta, sigma: learned }, { mask }) => {
    const at = positions(x.shape);
    const index = new Map(at.map((position, i) => [position.join(), i]));
    const windowed = (values: ArrayLike<number>, reach: Reach) =>
      at.map((here) => {
        // every place of the window, those beyond the ends too
        let window: number[][] = [[here[0]]];
        reach.forEach((one, axis) => {
          const [from, to] =
            one === "all" ? [0, x.shape[axis + 1] - 1] : [here[axis + 1] - one[0], here[axis + 1] + one[1]];
          window = window.flatMap((start) =>
            Array.from({ length: to - from + 1 }, (_, i) => [...start, from + i]),
          );
        });
        const there = window.map((place) => index.get(place.join())).filter((i) => i !== undefined);
        const counting = there.filter((i) => mask?.[i] !== 0);
        const sum = counting.reduce((total, i) => total + values[i], 0);
        return sum / (edges === "zero" ? window.length : Math.max(counting.length, 1));
      });
    const means = windowed(x.data, summation);
    const v = x.data.map((value, i) => (mask?.[i] === 0 ? 0 : value - means[i]));
    const power = windowed(
      v.map((value) => value ** 2),
      suppression,
    );
    const smoothing = (learned?.[0] ?? sigma) ** 2;
    const xHat = v.map((value, i) => value / Math.sqrt(smoothing + power[i]));
    return { y: scaled(x.shape, xHat, channel, { gamma, beta }, mask) };
  };
}

/** Mean and variance by key, in the order in which the keys come. */
function statistics(key: (at: readonly number[]) => string | number, centered = true): Row["expected"] {
  return ([x], _, { mask }) => {
    const of = standardized(x, key, { epsilon: 1, centered, mask }).statistics;
    const [means, variances] = [
      [...of.values()].map((one) => one.mean),
      [...of.values()].map((one) => one.variance),
    ];
    return centered
      ? { y: Float64Array.from(means), more: [Float64Array.from(variances)] }
      : { y: Float64Array.from(variances), more: [] };
  };
}

export const overPositions: Row[] = [
  {
    norm: positionNorm(),
    shapes: [[2, 3, 5]],
    expected([x], weights, { mask }) {
      const { xHat } = standardized(x, ([a, b]) => `${a},${b}`, { epsilon: 1e-5, mask });
      return { y: scaled(x.shape, xHat, last, weights, mask) };
    },
  },
  {
    name: "with moments and gamma, channels first, epsilon 0.1",
    norm: positionNorm({ axis: 1, moments: true, scale: true, center: true, epsilon: 0.1 }),
    shapes: [[2, 4, 3]],
    mask: [2, 4, 3],
    expected([x], weights, { mask }) {
      const { xHat, statistics } = standardized(x, ([a, , c]) => `${a},${c}`, { epsilon: 0.1, mask });
      const all = [...statistics.values()];
      return {
        y: scaled(x.shape, xHat, second, weights, mask),
        more: [
          Float64Array.from(all, ({ mean }) => mean),
          Float64Array.from(all, ({ variance }) => Math.sqrt(variance + 0.1)),
        ],
      };
    },
  },
  {
    norm: momentShortcut({ axis: 1 }),
    shapes: [
      [2, 4, 3],
      [2, 1, 3],
      [2, 1, 3],
    ],
    mask: [2, 1, 3],
    expected([x, mean, std], _, { mask }) {
      const at = positions(x.shape).map(([a, , c]) => a * 3 + c);
      return {
        y: unmasked(
          x.data.map((value, i) => value * std.data[at[i]] + mean.data[at[i]]),
          mask,
        ),
      };
    },
  },
  {
    norm: localResponseNorm({ alpha: 0.5 }),
    shapes: [[2, 3, 7]],
    expected([x], _, { mask }) {
      const power = localPower(zeroed(x, mask), 2, 2, 2);
      return {
        y: unmasked(
          x.data.map((value, i) => value / (1 + (0.5 / 5) * power[i]) ** 0.75),
          mask,
        ),
      };
    },
  },
  {
    name: "even size, channels first",
    norm: localResponseNorm({ size: 4, alpha: 0.9, beta: 0.6, k: 2, axis: 1 }),
    shapes: [[2, 6, 3]],
    mask: [2, 6],
    expected([x], _, { mask }) {
      const power = localPower(zeroed(x, mask), 1, 2, 1);
      return {
        y: unmasked(
          x.data.map((value, i) => value / (2 + (0.9 / 4) * power[i]) ** 0.6),
          mask,
        ),
      };
    },
  },
  {
    name: "alpha per value, size above the channels",
    norm: localResponseNorm({ size: 11, alpha: 0.2, beta: 0.5, alphaPer: "value" }),
    shapes: [[3, 4]],
    expected([x]) {
      const power = localPower(x, 1, 5, 5);
      return { y: x.data.map((value, i) => value / (1 + 0.2 * power[i]) ** 0.5) };
    },
  },
  {
    norm: filterResponseNorm(),
    shapes: [[2, 4, 3]],
    expected: filterResponse(1e-6, last),
  },
  {
    name: "learned epsilon, channels first",
    norm: filterResponseNorm({ axis: 1, learnedEpsilon: true, epsilon: 0.01 }),
    shapes: [[2, 3, 2, 2]],
    mask: [2, 1, 2, 2],
    // its absolute value is what counts
    weights: (name, values) => (name === "learnedEpsilon" ? values.map((value) => -Math.abs(value)) : values),
    expected: filterResponse(0.01, second),
  },
  {
    name: "not thresholded, a mask of every element",
    norm: filterResponseNorm({ thresholded: false, center: false, learnedEpsilon: true }),
    shapes: [[2, 4, 3]],
    mask: [2, 4, 3],
    expected: filterResponse(1e-6, last),
  },
  {
    norm: globalResponseNorm(),
    shapes: [[2, 4, 3]],
    expected: globalResponse(last),
  },
  {
    name: "channels first, a mask of channels too",
    norm: globalResponseNorm({ axis: 1 }),
    shapes: [[2, 4, 2, 2]],
    mask: [2, 4, 2],
    expected: globalResponse(second),
  },
  {
    norm: divisiveNorm({ window: 3 }),
    shapes: [[2, 4, 3, 2]],
    expected: divisive(last, [[1, 1], [1, 1], "all"], [[1, 1], [1, 1], "all"], {}),
  },
  {
    name: "windows of their own, of channels too, sigma learned, nothing at the edges",
    norm: divisiveNorm({
      axis: 1,
      channels: 4,
      window: [5],
      suppressionWindow: [2],
      sigma: 0.5,
      learnedSigma: true,
      edges: "nothing",
    }),
    shapes: [[2, 6, 4]],
    mask: [2, 1, 4],
    expected: divisive(
      second,
      [
        [1, 2],
        [2, 2],
      ],
      [
        [1, 2],
        [0, 1],
      ],
      { edges: "nothing" },
    ),
  },
  {
    name: "without positions",
    norm: divisiveNorm({ channels: 3, sigma: 0.3 }),
    shapes: [[3, 7]],
    mask: [3, 7],
    expected: divisive(last, [[1, 1]], [[1, 1]], { sigma: 0.3 }),
  },
  {
    norm: groupStatistics({ groups: 2 }),
    shapes: [[2, 3, 4]],
    expected: statistics(([a, , c]) => `${a},${Math.floor(c / 2)}`),
  },
  {
    name: "of alternating axes",
    norm: statisticsOf(layerNorm({ axis: [1, 3] })),
    shapes: [[2, 3, 2, 4]],
    expected: statistics(([a, , c]) => `${a},${c}`),
  },
  {
    name: "of the mean square",
    norm: statisticsOf(rmsNorm()),
    shapes: [[2, 3, 4]],
    mask: [2, 3, 4],
    expected: statistics(([a, b]) => `${a},${b}`, false),
  },
  {
    norm: statisticsOf(batchNorm({ axis: 1 })),
    shapes: [[3, 2, 4]],
    mask: [3, 1, 4],
    expected: statistics(second),
  },
];
