/** Normalizations of graphs: what they have in common with others, graphs of any size, and what they keep. */
import { describe, expect, it } from "vitest";
import {
  apply,
  graphNorm,
  instanceNorm,
  maskOfLengths,
  open,
  type PlainArray,
  pairNorm,
  rmsNorm,
} from "../../src/index.js";
import { expectClose, largest, normal } from "../support/numerics.js";

const truth = await open({ backend: "reference" });
const wasm = await open({ backend: "wasm", threads: 1 });

const size = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);
const array = (shape: readonly number[], seed: number, mean = 0): PlainArray => ({
  shape,
  data: Float64Array.from(normal(size(shape), seed, mean)),
});
const close = (name: string, actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance = 1e-12) =>
  expectClose(name, Float64Array.from(actual), expected, () => tolerance * Math.max(1, largest(expected)));

describe("graphNorm", () => {
  const x = array([2, 5, 3], 1, 3);
  const dy = array([2, 5, 3], 2);

  it("with alpha 1 is instance normalization, and with 0 it divides by the root mean square", () => {
    const instance = apply(truth, instanceNorm(), x);
    const one = apply(truth, graphNorm(), x);
    close("y", one.y.data, instance.y.data);
    close("dx", one.backward(dy).dx.data, instance.backward(dy).dx.data);
    const none = apply(truth, graphNorm(), x, { alpha: new Float64Array(3) });
    const turned = (data: ArrayLike<number>) =>
      Float64Array.from({ length: 30 }, (_, i) => {
        const [g, f, node] = [Math.floor(i / 15), Math.floor(i / 5) % 3, i % 5];
        return data[g * 15 + node * 3 + f];
      });
    const rms = apply(truth, rmsNorm({ scale: false }), { shape: [6, 5], data: turned(x.data) });
    close("without a mean", turned(none.y.data), rms.y.data);
  });

  it("of one node gives what its share of the mean leaves", () => {
    const [single] = [{ shape: [1, 1, 2], data: Float64Array.of(3, -2) }];
    const { y } = apply(truth, graphNorm({ epsilon: 0 }), single, { alpha: Float64Array.of(0.5, 1) });
    expect([...y.data]).toEqual([1, 0]);
  });

  it("asks for nodes", () => {
    expect(() => graphNorm().weights([2, 3])).toThrow(
      new RangeError("graphNorm: x must have at least 3 axes (graphs, nodes and features), got shape [2, 3]"),
    );
  });
});

describe("pairNorm", () => {
  it("gives the pairwise distances of each graph one sum, and centres it", () => {
    const x = array([3, 7, 4], 3, 10);
    for (const [ek, tolerance] of [
      [truth, 1e-10],
      [wasm, 1e-5],
    ] as const) {
      const { y } = apply(ek, pairNorm({ length: 2, epsilon: 0 }), x);
      for (let graph = 0; graph < 3; graph++) {
        const node = (n: number) => Array.from({ length: 4 }, (_, f) => y.data[(graph * 7 + n) * 4 + f]);
        let sum = 0;
        for (let a = 0; a < 7; a++) {
          for (let b = 0; b < 7; b++)
            sum += node(a).reduce((all, value, f) => all + (value - node(b)[f]) ** 2, 0);
        }
        // 2 n² s²
        close("distances", [sum], [2 * 49 * 4], tolerance);
      }
    }
  });

  it("individually, each node has its length", () => {
    const { y } = apply(truth, pairNorm({ individually: true, length: 3, epsilon: 0 }), array([2, 5, 4], 4));
    for (let node = 0; node < 10; node++) {
      expect(Math.hypot(...y.data.slice(4 * node, 4 * node + 4))).toBeCloseTo(3, 10);
    }
  });

  it("says what is wrong with its options", () => {
    const cases: [() => unknown, string][] = [
      [() => pairNorm({ length: 0 }), "pairNorm: length must be a finite number above 0, got 0"],
      [() => pairNorm({ guard: "max" as "root" }), 'pairNorm: guard must be "root" or "length", got "max"'],
      [
        () => pairNorm({ guard: "length" }),
        'pairNorm: guard "length" is of the nodes\' own lengths, and needs individually: true; leave it out otherwise',
      ],
      [
        () => pairNorm().weights([4, 3]),
        "pairNorm: x must have at least 3 axes (graphs, nodes and features), got shape [4, 3]",
      ],
    ];
    for (const [call, message] of cases) expect(call).toThrow(new RangeError(message));
  });
});

it.each([
  graphNorm(),
  pairNorm(),
  pairNorm({ individually: true }),
  pairNorm({ individually: true, guard: "length" }),
])("$name: a graph in a batch is as it is alone", (norm) => {
  const lengths = [5, 2, 1];
  const x = array([3, 5, 4], 5, 2);
  const dy = array([3, 5, 4], 6);
  const mask = maskOfLengths(lengths, 5);
  const all = apply(truth, norm, x, {}, { mask });
  const slopes = all.backward(dy);
  lengths.forEach((nodes, graph) => {
    const [from, to] = [graph * 20, graph * 20 + nodes * 4];
    const one = apply(truth, norm, { shape: [1, nodes, 4], data: x.data.slice(from, to) });
    close("y", all.y.data.slice(from, to), one.y.data);
    const { dx } = one.backward({ shape: [1, nodes, 4], data: dy.data.slice(from, to) });
    close("dx", slopes.dx.data.slice(from, to), dx.data);
  });
});

it("nodes that are all the same stay finite without epsilon", () => {
  const x: PlainArray = { shape: [1, 4, 3], data: new Float32Array(12).fill(0.1) };
  const kinds = [
    graphNorm({ epsilon: 0 }),
    pairNorm({ epsilon: 0 }),
    pairNorm({ epsilon: 0, individually: true }),
    pairNorm({ epsilon: 0, individually: true, guard: "length" }),
  ];
  for (const norm of kinds) {
    for (const ek of [truth, wasm]) {
      const { y, backward } = apply(ek, norm, x);
      const { dx } = backward({ shape: x.shape, data: Float64Array.from(normal(12, 7)) });
      for (const { data } of [y, dx]) expect(data.every(Number.isFinite), norm.name).toBe(true);
    }
  }
});
