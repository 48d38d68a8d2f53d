/** Normalizations of graphs: [graphs, nodes, features]. */
import { graphNorm, pairNorm } from "../../../src/index.js";
import { average, groupsBy, positions, type Row, scaled } from "./row.js";

const last = (position: readonly number[]) => position[position.length - 1];
const second = ([, feature]: readonly number[]) => feature;

/** x less so much of each feature's mean over its graph's nodes; 0 where masked. */
function shifted(
  { shape, data }: { shape: readonly number[]; data: Float64Array },
  feature: typeof last,
  share: (feature: number) => number,
  mask?: Float64Array,
): Float64Array {
  const z = new Float64Array(data.length);
  for (const [name, indexes] of groupsBy(shape, (at) => `${at[0]},${feature(at)}`, mask)) {
    const mean = average(indexes.map((i) => data[i]));
    for (const i of indexes) z[i] = data[i] - share(Number(name.split(",")[1])) * mean;
  }
  return z;
}

function graph(feature: typeof last, epsilon: number): Row["expected"] {
  return ([x], { alpha, gamma, beta }, { mask }) => {
    const z = shifted(x, feature, (f) => alpha[f], mask);
    const xHat = new Float64Array(z.length);
    for (const indexes of groupsBy(x.shape, (at) => `${at[0]},${feature(at)}`, mask).values()) {
      const power = average(indexes.map((i) => z[i] ** 2));
      for (const i of indexes) xHat[i] = z[i] / Math.sqrt(power + epsilon);
    }
    return { y: scaled(x.shape, xHat, feature, { gamma, beta }, mask) };
  };
}

/** The divisor of a graph from its nodes' squared lengths, or of a node from its own. */
function pair(
  feature: typeof last,
  length: number,
  individually: boolean,
  divisor: (square: number) => number,
): Row["expected"] {
  return ([x], _, { mask }) => {
    const d = shifted(x, feature, () => 1, mask);
    const axis = feature === last ? x.shape.length - 1 : 1;
    const node = (at: readonly number[]) => at.filter((_, one) => one !== axis).join();
    const squares = new Map<string, { graph: number; square: number }>();
    positions(x.shape).forEach((at, i) => {
      if (mask?.[i] === 0) return;
      const { square = 0 } = squares.get(node(at)) ?? {};
      squares.set(node(at), { graph: at[0], square: square + d[i] ** 2 });
    });
    return {
      y: Float64Array.from(positions(x.shape), (at, i) => {
        if (mask?.[i] === 0) return 0;
        const nodes = [...squares.values()].filter(({ graph }) => graph === at[0]);
        const own = individually ? squares.get(node(at)) : undefined;
        return (length * d[i]) / divisor(own?.square ?? average(nodes.map(({ square }) => square)));
      }),
    };
  };
}

export const graphs: Row[] = [
  { norm: graphNorm(), shapes: [[2, 7, 3]], expected: graph(last, 1e-5) },
  {
    name: "features first, epsilon 0.1, without gamma",
    norm: graphNorm({ axis: 1, epsilon: 0.1, scale: false }),
    shapes: [[3, 2, 5]],
    mask: [3, 1, 5],
    expected: graph(second, 0.1),
  },
  {
    name: "a mask of each value",
    norm: graphNorm(),
    shapes: [[2, 7, 3]],
    mask: [2, 7, 3],
    expected: graph(last, 1e-5),
  },
  {
    norm: pairNorm(),
    shapes: [[2, 7, 3]],
    expected: pair(last, 1, false, (square) => Math.sqrt(square + 1e-5)),
  },
  {
    name: "features first, length 3",
    norm: pairNorm({ axis: 1, length: 3, epsilon: 0.1 }),
    shapes: [[3, 2, 5]],
    mask: [3, 1, 5],
    expected: pair(second, 3, false, (square) => Math.sqrt(square + 0.1)),
  },
  {
    name: "individually",
    norm: pairNorm({ individually: true, length: 2 }),
    shapes: [[2, 5, 4]],
    expected: pair(last, 2, true, (square) => Math.sqrt(square + 1e-5)),
  },
  {
    name: "individually, epsilon on the length, features first",
    norm: pairNorm({ individually: true, guard: "length", axis: 1, epsilon: 0.1 }),
    shapes: [[2, 4, 5]],
    mask: [2, 1, 5],
    expected: pair(second, 1, true, (square) => Math.sqrt(square) + 0.1),
  },
];
