/**
 * Sizes: a layer takes what it was made for, with or without weights, at whatever rank its axes allow; and sizes that no array has are
 * refused, by name, before anything of that size is allocated or looped over.
 */
import { describe, expect, it } from "vitest";
import {
  apply,
  BatchNorm,
  batchNorm,
  dynamicTanh,
  GroupNorm,
  groupNorm,
  InstanceNorm,
  instanceNorm,
  Layer,
  LayerNorm,
  layerNorm,
  layerNormLSTM,
  localResponseNorm,
  type Normalization,
  normalizedAttention,
  open,
  type PlainArray,
  RMSNorm,
  recurrentBatchNorm,
  residualBlock,
  spectralNorm,
  unitNorm,
  withActivation,
} from "../../src/index.js";
import { sizeOf } from "../../src/shape.js";
import { kinds } from "../support/layers.js";
import { normal } from "../support/numerics.js";

const ek = await open({ backend: "wasm", threads: 1 });
const array = (shape: readonly number[]): PlainArray => ({ shape, data: normal(sizeOf(shape), 1) });
const inputs = (shapes: readonly (readonly number[])[]) =>
  shapes.map(array) as unknown as [PlainArray, ...PlainArray[]];

describe("a layer refuses another number of features", () => {
  const without = ({ defaults }: (typeof kinds)[number]) => {
    const affine = ["scale", "center"].filter((option) => option in defaults);
    return affine.length > 0 ? [{}, Object.fromEntries(affine.map((option) => [option, false]))] : [{}];
  };
  const cases = kinds.flatMap((kind) => without(kind).map((options) => ({ kind, options, name: kind.name })));

  it.each(cases)("$name $options", ({ kind, options }) => {
    const layer = new Layer(ek, kind.make(options), ...kind.shapes(8));
    expect(layer.call(inputs(kind.shapes(8))).y.data.every(Number.isFinite)).toBe(true);
    expect(() => layer.call(inputs(kind.shapes(12)))).toThrow(
      new RegExp(
        `^${layer.norm.name}: this layer was made for \\[.+\\], got x of shape \\[.*12\\], which has`,
      ),
    );
    layer.dispose();
  });

  it.each<[string, Normalization]>([
    ["an activation", withActivation(unitNorm(), "relu")],
    ["a block", residualBlock(localResponseNorm(), { norm: unitNorm() })],
  ])("around it, in %s", (_, norm) => {
    const layer = new Layer(ek, norm, [2, 8]);
    layer.forward(array([3, 8]));
    expect(() => layer.forward(array([2, 12]))).toThrow("this layer was made for [8");
    layer.dispose();
  });

  it("groups of parameters do not hide the channels", () => {
    const layer = new Layer(ek, groupNorm({ groups: 4, parameters: "group" }), [2, 5, 8]);
    expect(() => layer.forward(array([2, 5, 12]))).toThrow(
      new RangeError(
        "groupNorm: this layer was made for [8], got x of shape [2, 5, 12], which has [12] there",
      ),
    );
    layer.dispose();
  });
});

describe.each([
  ["InstanceNorm", () => new InstanceNorm(ek, 3), () => new InstanceNorm(ek, 3, { axis: 1 })],
  [
    "BatchNorm",
    () => new BatchNorm(ek, 3, { scale: false, center: false }),
    () => new BatchNorm(ek, 3, { scale: false, center: false, axis: 1 }),
  ],
  [
    "GroupNorm",
    () => new GroupNorm(ek, 1, 3, { scale: false, center: false }),
    () => new GroupNorm(ek, 1, 3, { scale: false, center: false, axis: 1 }),
  ],
])("%s without weights", (_, last, first) => {
  it("refuses the other layout", () => {
    const refused = (layer: Layer, shape: number[], has: number) => {
      expect(() => layer.forward(array(shape))).toThrow(
        new RangeError(
          `${layer.norm.name}: this layer was made for [3], got x of shape [${shape.join(", ")}], which has [${has}] there`,
        ),
      );
      layer.dispose();
    };
    refused(last(), [2, 3, 8, 8], 8);
    refused(first(), [2, 8, 7, 3], 8);
  });
});

describe("a layer may be called at another rank", () => {
  it.each<[string, () => Layer, number[][]]>([
    [
      "BatchNorm",
      () => new BatchNorm(ek, 3),
      [
        [4, 3],
        [4, 5, 3],
        [2, 5, 6, 3],
        [2, 2, 2, 2, 3],
      ],
    ],
    [
      "BatchNorm, channels first",
      () => new BatchNorm(ek, 3, { axis: 1 }),
      [
        [4, 3],
        [4, 3, 5],
        [2, 3, 5, 6],
      ],
    ],
    ["BatchNorm, counted from the end", () => new BatchNorm(ek, 3, { axis: -3 }), [[4, 3, 5, 6]]],
    ["GroupNorm, counted from the end", () => new GroupNorm(ek, 3, 3, { axis: -3 }), [[4, 3, 5, 6]]],
    [
      "InstanceNorm",
      () => new InstanceNorm(ek, 3),
      [
        [4, 5, 3],
        [2, 5, 6, 3],
      ],
    ],
    [
      "GroupNorm",
      () => new GroupNorm(ek, 1, 3),
      [
        [4, 3],
        [4, 5, 3],
        [2, 5, 6, 3],
      ],
    ],
    [
      "LayerNorm",
      () => new LayerNorm(ek, [3, 2]),
      [
        [3, 2],
        [4, 3, 2],
        [2, 5, 3, 2],
      ],
    ],
    ["RMSNorm", () => new RMSNorm(ek, 3, { scale: false }), [[3], [4, 3], [2, 5, 3]]],
    [
      "batchNorm of rank 2",
      () => new Layer(ek, batchNorm(), [4, 3]),
      [
        [4, 3],
        [2, 5, 6, 3],
      ],
    ],
    ["instanceNorm of rank 3", () => new Layer(ek, instanceNorm({ axis: 1 }), [4, 3, 5]), [[2, 3, 5, 6]]],
    ["layerNorm of rank 4", () => new Layer(ek, layerNorm(), [2, 5, 6, 3]), [[3], [4, 3]]],
  ])("%s", (_, make, shapes) => {
    const layer = make();
    for (const shape of shapes) {
      const { y, backward } = apply(ek, layer.norm, array(shape));
      expect([...layer.forward(array(shape)).data]).toEqual([...y.data]);
      expect([...layer.backward(array(shape)).data]).toEqual([...backward(array(shape)).dx.data]);
    }
    layer.dispose();
  });
});

describe("sizes that no backend holds", () => {
  const most = "1073741824";
  const held = () => expect(ek.memory()).toEqual({ arrays: 0, elements: 0 });

  it.each<[string, () => unknown, string]>([
    [
      "features",
      () => new LayerNorm(ek, 1.1e9),
      `LayerNorm: shape must hold at most ${most} values (4 GiB of float32), got [1100000000]`,
    ],
    [
      "features of several axes",
      () => new RMSNorm(ek, [1e5, 1e5]),
      `RMSNorm: shape must hold at most ${most} values (4 GiB of float32), got [100000, 100000]`,
    ],
    [
      "channels",
      () => new BatchNorm(ek, 4e8),
      `batchNorm: its weights hold 1600000000 values in all, more than the ${most} (4 GiB of float32) of a backend; choose smaller sizes`,
    ],
    [
      "units",
      () => new Layer(ek, layerNormLSTM({ units: 1e6 }), [2, 3, 4]),
      `layerNormLSTM: recurrentKernel must hold at most ${most} values (4 GiB of float32), got [1000000, 4000000]`,
    ],
    [
      "a size of heads",
      () => new Layer(ek, normalizedAttention({ size: 1e9 }), [2, 3, 8]),
      `normalizedAttention: queryKernel must hold at most ${most} values (4 GiB of float32), got [8, 8000000000]`,
    ],
    [
      "a maxLength",
      () => new Layer(ek, recurrentBatchNorm({ units: 4, maxLength: 1e12 }), [2, 3, 4]),
      `recurrentBatchNorm: runningMean must hold at most ${most} values (4 GiB of float32), got [1000000000000, 36]`,
    ],
    [
      "a shape that is said",
      () => new Layer(ek, dynamicTanh(), [2 ** 31, 2]),
      `Layer: shape must hold at most ${most} values (4 GiB of float32), got [2147483648, 2]`,
    ],
    [
      "a shape of an input",
      () => apply(ek, layerNorm(), { shape: [1e308, 10], data: new Float32Array(3) }),
      `layerNorm: x must hold at most ${most} values (4 GiB of float32), got [1e+308, 10]`,
    ],
    [
      "scores of attention",
      () =>
        normalizedAttention({ heads: 1 }).apply(
          // the check comes first: no other operation is called
          { shape: ({ shape }: PlainArray) => shape } as never,
          [{ shape: [1, 1 << 16, 1], data: new Float32Array(0) }] as never,
          {},
          { training: true },
        ),
      `normalizedAttention: scores, one for each head, query and key, must hold at most ${most} values (4 GiB of float32), got [1, 65536, 65536]`,
    ],
    [
      "axes",
      () => apply(ek, layerNorm(), { shape: new Array(1e6).fill(1), data: new Float32Array(1) }),
      "layerNorm: x must have at most 32 axes, got 1000000",
    ],
    [
      "an axis",
      () => new BatchNorm(ek, 3, { axis: 1e8 }),
      "BatchNorm: axis must be an integer from -32 to 31, got 100000000; an array has at most 32 axes",
    ],
    [
      "an axis from the end",
      () => new InstanceNorm(ek, 3, { axis: -1e8 }),
      "InstanceNorm: axis must be an integer from -32 to 31, got -100000000; an array has at most 32 axes",
    ],
    [
      "iterations",
      () => spectralNorm({ iterations: 1e15 }),
      "spectralNorm: iterations must be an integer from 1 to 10000, got 1000000000000000",
    ],
    [
      "a mask",
      () => apply(ek, dynamicTanh(), array([2, 3]), {}, { mask: { shape: [1e9], data: { length: 1e9 } } }),
      "dynamicTanh: mask must have the shape of x, [2, 3], with axes of length 1 or left out at the end, got [1000000000]; give length 1 to each axis that it does not tell apart",
    ],
  ])("%s", (_, run, message) => {
    expect(run).toThrow(new RangeError(message));
    held();
  });

  it("are refused wherever a number is an option", () => {
    for (const kind of kinds) {
      const numbers = Object.entries(kind.defaults).filter(
        ([, usual]) => typeof usual === "number" || usual === undefined,
      );
      for (const [option] of numbers) {
        for (const value of [
          1e308,
          2 ** 53,
          1e15,
          1e9,
          -1,
          -0,
          0,
          Number.NaN,
          Number.POSITIVE_INFINITY,
          0.5,
        ]) {
          const called = `${kind.name}({ ${option}: ${value} })`;
          let layer: Layer | undefined;
          try {
            layer = new Layer(ek, kind.make({ [option]: value }), ...kind.shapes(8));
            const { y, backward } = layer.call(inputs(kind.shapes(8)));
            backward(y);
          } catch (error) {
            // by name, and not as the engine words it
            expect(error, called).toBeInstanceOf(Error);
            expect((error as Error).message, called).toMatch(/^\w+: /);
            expect((error as Error).message, called).not.toMatch(/Invalid|allocation|Cannot/);
          }
          layer?.dispose();
          held();
        }
      }
    }
  });

  it("leave nothing behind where the second weight does not fit", () => {
    const room = ek.array([2 ** 28]);
    expect(() => new Layer(ek, layerNorm(), [2 ** 29 - 1])).toThrow("do not fit into WebAssembly memory");
    room.dispose();
    held();
  });
});

describe("what is no shape, or no axis", () => {
  const sparse: unknown[] = [];
  sparse[2] = 4;
  const shapes: [unknown, string][] = [
    ["3", 'TypeError: LayerNorm: shape must be a length, or a list of lengths such as [3, 4], got "3"'],
    [3n, "TypeError: LayerNorm: shape must be a length, or a list of lengths such as [3, 4], got 3n"],
    [null, "TypeError: LayerNorm: shape must be a length, or a list of lengths such as [3, 4], got null"],
    [
      undefined,
      "TypeError: LayerNorm: shape must be a length, or a list of lengths such as [3, 4], got undefined",
    ],
    [
      Int32Array.of(3, 4),
      "TypeError: LayerNorm: shape must be a length, or a list of lengths such as [3, 4], got an Int32Array",
    ],
    [
      { length: 2 },
      "TypeError: LayerNorm: shape must be a length, or a list of lengths such as [3, 4], got an object",
    ],
    [[], "RangeError: LayerNorm: shape must have at least one length, got []"],
    [sparse, "RangeError: LayerNorm: shape must have integer lengths of at least 1, got undefined"],
    [[3, "4"], 'RangeError: LayerNorm: shape must have integer lengths of at least 1, got "4"'],
    [[3n], "RangeError: LayerNorm: shape must have integer lengths of at least 1, got 3n"],
    [Number.NaN, "RangeError: LayerNorm: shape must have integer lengths of at least 1, got NaN"],
    [-0, "RangeError: LayerNorm: shape must have integer lengths of at least 1, got 0"],
    [2.5, "RangeError: LayerNorm: shape must have integer lengths of at least 1, got 2.5"],
    [
      1e308,
      "RangeError: LayerNorm: shape must hold at most 1073741824 values (4 GiB of float32), got [1e+308]",
    ],
    [
      2 ** 53,
      "RangeError: LayerNorm: shape must hold at most 1073741824 values (4 GiB of float32), got [9007199254740992]",
    ],
  ];
  it.each(shapes.map(([shape, message]) => ({ shape, message })))("$message", ({ shape, message }) => {
    expect(() => new LayerNorm(ek, shape as number)).toThrow(
      expect.objectContaining({ name: message.split(":")[0], message: message.replace(/^\w+: /, "") }),
    );
  });

  it("is refused by every normalization, by name", () => {
    const axes = [
      1e8,
      -1e8,
      2 ** 53,
      1e308,
      Number.NaN,
      0.5,
      "1",
      "",
      [null],
      ["1"],
      [1, 1],
      [[1]],
      sparse,
      1n,
      {},
      true,
      Int32Array.of(1),
    ];
    const lengths = [
      "3",
      [Number.NaN],
      [2 ** 53, 2],
      [-1, 2],
      [1.5],
      ["3"],
      sparse,
      Int32Array.of(4, 8),
      null,
      {},
      { length: 3 },
      3n,
      [3n, 4, 4, 4],
      new Array(1e6).fill(1),
    ];
    for (const kind of kinds) {
      const refused = (called: string, run: () => unknown) => {
        let message = "nothing was thrown";
        try {
          run();
        } catch (error) {
          if (error instanceof TypeError || error instanceof RangeError) ({ message } = error);
        }
        expect(message, `${kind.name}: ${called}`).toMatch(/^\w+: /);
        expect(message, `${kind.name}: ${called}`).not.toMatch(
          /Invalid|allocation|Cannot|is not a function|iterable/,
        );
        expect(ek.memory().arrays).toBe(0);
      };
      if ("axis" in kind.defaults) {
        for (const axis of axes) {
          refused(`axis ${String(axis)}`, () => new Layer(ek, kind.make({ axis }), ...kind.shapes(8)));
        }
      }
      for (const shape of lengths as number[][]) {
        refused("layer", () => new Layer(ek, kind.make(), shape, ...kind.shapes(8).slice(1)));
        refused("apply", () => apply(ek, kind.make(), { shape, data: new Float32Array(3) }));
      }
    }
  });

  it("of a seed", () => {
    for (const seed of [0.5, Number.NaN, Number.POSITIVE_INFINITY, 1e308]) {
      expect(() => layerNormLSTM({ units: 4, seed })).toThrow(
        new RangeError(`layerNormLSTM: seed must be an integer, got ${seed}`),
      );
      expect(() => normalizedAttention({ seed })).toThrow(
        new RangeError(`normalizedAttention: seed must be an integer, got ${seed}`),
      );
    }
  });
});
