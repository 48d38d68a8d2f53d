/** Kin of batch normalization that do less or more than it: the mean alone, and whitening. */
import { iterNorm, meanOnlyBatchNorm } from "../../../src/index.js";
import { average, groupsBy, positions, type Row, scaled } from "./row.js";

const last = (position: readonly number[]) => position[position.length - 1];
const second = ([, channel]: readonly number[]) => channel;

/** The mean of each channel. */
function means(
  { shape, data }: { shape: readonly number[]; data: Float64Array },
  channel: typeof last,
  mask?: Float64Array,
): Float64Array {
  const all: number[] = [];
  for (const [name, indexes] of groupsBy(shape, channel, mask))
    all[Number(name)] = average(indexes.map((i) => data[i]));
  return Float64Array.from(all);
}

const moving = (old: Float64Array, value: ArrayLike<number>, momentum: number) =>
  old.map((before, i) => momentum * before + (1 - momentum) * value[i]);

function meanOnly(channel: typeof last, momentum: number): Row["expected"] {
  return ([x], { beta, runningMean }, { training, mask }) => {
    const mean = training ? means(x, channel, mask) : runningMean;
    const distances = Float64Array.from(positions(x.shape), (at, i) => x.data[i] - mean[channel(at)]);
    return {
      y: scaled(x.shape, distances, channel, { beta }, mask),
      ...(training && { state: { runningMean: moving(runningMean, mean, momentum) } }),
    };
  };
}

type Matrix = number[][];
const times = (a: Matrix, b: Matrix): Matrix =>
  a.map((row) => b[0].map((_, j) => row.reduce((sum, value, k) => sum + value * b[k][j], 0)));

/** The whitening matrix of each group. */
function whitenings(covariances: Matrix[], epsilon: number, iterations: number): Matrix[] {
  return covariances.map((covariance) => {
    const sigma = covariance.map((row, i) => row.map((value, j) => value + (i === j ? epsilon : 0)));
    const trace = sigma.reduce((sum, row, i) => sum + row[i], 0);
    const scaledBy = sigma.map((row) => row.map((value) => value / trace));
    let root: Matrix = sigma.map((row, i) => row.map((_, j) => (i === j ? 1 : 0)));
    for (let k = 0; k < iterations; k++) {
      const step = times(times(times(root, root), root), scaledBy);
      root = root.map((row, i) => row.map((value, j) => 1.5 * value - 0.5 * step[i][j]));
    }
    return root.map((row) => row.map((value) => value / Math.sqrt(trace)));
  });
}

function iterative(
  axis: number,
  groups: number,
  { epsilon = 1e-5, iterations = 5, momentum = 0.9 } = {},
): Row["expected"] {
  return ([x], { gamma, beta, runningMean, runningWhitening }, { training, mask }) => {
    const channels = x.shape[axis];
    const size = channels / groups;
    const channel = (at: readonly number[]) => at[axis];
    const at = positions(x.shape);
    const mean = training ? means(x, channel, mask) : runningMean;
    /** Distances from the mean by place: of all channels there, 0 where masked. */
    const places = new Map<string, number[]>();
    const placeOf = (position: readonly number[]) => position.filter((_, one) => one !== axis).join();
    at.forEach((position, i) => {
      const values = places.get(placeOf(position)) ?? new Array<number>(channels).fill(0);
      if (mask?.[i] !== 0) values[channel(position)] = x.data[i] - mean[channel(position)];
      places.set(placeOf(position), values);
    });
    const counts = [...groupsBy(x.shape, channel, mask).values()].map((indexes) => indexes.length);
    const all = [...places.values()];
    const covariances = Array.from({ length: groups }, (_, g) =>
      Array.from({ length: size }, (_, i) =>
        Array.from({ length: size }, (_, j) => {
          const [a, b] = [g * size + i, g * size + j];
          return (
            all.reduce((sum, values) => sum + values[a] * values[b], 0) / Math.sqrt(counts[a] * counts[b])
          );
        }),
      ),
    );
    const stored = Array.from({ length: groups }, (_, g) =>
      Array.from({ length: size }, (_, i) =>
        Array.from({ length: size }, (_, j) => runningWhitening[(g * size + i) * size + j]),
      ),
    );
    const whitening = training ? whitenings(covariances, epsilon, iterations) : stored;
    const xHat = Float64Array.from(at, (position) => {
      const c = channel(position);
      const g = Math.floor(c / size);
      const values = places.get(placeOf(position)) ?? [];
      return whitening[g][c % size].reduce((sum, weight, j) => sum + weight * values[g * size + j], 0);
    });
    return {
      y: scaled(x.shape, xHat, channel, { gamma, beta }, mask),
      ...(training && {
        state: {
          runningMean: moving(runningMean, mean, momentum),
          runningWhitening: moving(runningWhitening, whitening.flat(2), momentum),
        },
      }),
    };
  };
}

export const whitened: Row[] = [
  { norm: meanOnlyBatchNorm(), shapes: [[4, 5, 3]], expected: meanOnly(last, 0.9) },
  {
    name: "channels first, without beta",
    norm: meanOnlyBatchNorm({ axis: 1, momentum: 0.5, center: false }),
    shapes: [[3, 2, 7]],
    mask: [3, 2, 7],
    expected: meanOnly(second, 0.5),
  },
  { norm: iterNorm(), shapes: [[4, 5, 3]], expected: iterative(2, 1) },
  {
    name: "of features, 2 groups, 3 iterations",
    norm: iterNorm({ groups: 2, iterations: 3, epsilon: 0.1, momentum: 0.5 }),
    shapes: [[11, 6]],
    mask: [11, 1],
    expected: iterative(1, 2, { epsilon: 0.1, iterations: 3, momentum: 0.5 }),
  },
  {
    name: "channels first, each channel masked for itself, without gamma",
    norm: iterNorm({ axis: 1, groups: 2, scale: false }),
    shapes: [[4, 4, 3, 2]],
    mask: [4, 4, 3, 2],
    expected: iterative(1, 2),
  },
  {
    name: "groups of one channel",
    norm: iterNorm({ groups: 3, iterations: 1 }),
    shapes: [[4, 5, 3]],
    expected: iterative(2, 3, { iterations: 1 }),
  },
];
