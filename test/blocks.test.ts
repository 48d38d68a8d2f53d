/** Residual blocks: DeepNorm's scales and initial kernels. What blocks compute is in the rows of test/norms. */
import { describe, expect, it } from "vitest";
import { initialValues } from "../src/formula/normalization.js";
import { deepNorm, type Normalization, normalizedAttention, residualBlock } from "../src/index.js";

describe("deepNorm", () => {
  // computed in Python; torchscale 0.3.0 has the same, but for 1/1.15 where the paper says 0.87
  it.each([
    [{ encoder: 12 }, { encoder: [2.213363839400643, 0.31947155212313627] }],
    [{ decoder: 1000 }, { decoder: [6.687403049764221, 0.10573712634405641] }],
    [
      { encoder: 6, decoder: 6 },
      {
        encoder: [1.417938140685523, 0.49698924077132345],
        decoder: [2.0597671439071177, 0.34329452398451965],
      },
    ],
    [
      { encoder: 48, decoder: 3 },
      { encoder: [2.283575666876136, 0.30859498558416887], decoder: [1.7320508075688772, 0.408248290463863] },
    ],
  ])("%o", (layers, expected) => {
    const scales = deepNorm(layers);
    expect(Object.keys(scales)).toEqual(Object.keys(expected));
    for (const [part, [alpha, gain]] of Object.entries(expected)) {
      const own = scales[part as keyof typeof scales];
      expect(own?.placement).toBe("post");
      expect(own?.alpha).toBeCloseTo(alpha, 9);
      expect(own?.gain).toBeCloseTo(gain, 9);
    }
  });

  it("scales the initial kernels of values, outputs and feed-forward layers, and nothing else", () => {
    const first = (branch: Normalization, gain: number) =>
      Object.fromEntries(
        Object.entries(residualBlock(branch, { gain }).weights([2, 3, 8])).map(([name, weight]) => [
          name,
          initialValues(weight),
        ]),
      );
    const feedForward: Normalization = {
      name: "feedForward",
      weights: () => ({
        kernel: { shape: [2, 2], initial: [1, 2, 3, 4], trained: true },
        projection: { shape: [2, 3], initial: 0.5, trained: true },
        bias: { shape: [2], initial: 1, trained: true },
        table: { shape: [2, 2], initial: 3, trained: false },
      }),
      apply: (_, [x]) => ({ y: x }),
    };
    const scaled = ["branch/valueKernel", "branch/outputKernel", "branch/kernel", "branch/projection"];
    for (const branch of [normalizedAttention({ heads: 2 }), feedForward]) {
      const [plain, less] = [first(branch, 1), first(branch, 0.25)];
      for (const [name, values] of Object.entries(plain)) {
        const factor = scaled.includes(name) ? 0.25 : 1;
        expect([...less[name]], name).toEqual([...values].map((value) => value * factor));
      }
    }
    expect(scaled.filter((name) => name in first(feedForward, 1))).toHaveLength(2);
    expect(scaled.filter((name) => name in first(normalizedAttention({ heads: 2 }), 1))).toHaveLength(2);
  });

  it.each([
    [{}, "deepNorm: expected a number of layers, as in { encoder: 12 }, got none"],
    [
      { encoder: 0 },
      "deepNorm: encoder must be a number of layers, an integer above 0, got 0; leave it out for none",
    ],
    [
      { encoder: 2, decoder: 1.5 },
      "deepNorm: decoder must be a number of layers, an integer above 0, got 1.5; leave it out for none",
    ],
  ])("refuses %o", (layers, message) => expect(() => deepNorm(layers)).toThrow(new RangeError(message)));
});

it.each([
  [
    { alpha: 2 },
    'residualBlock: alpha must be left out with placement "pre", got 2; it is DeepNorm\'s factor, for "post"',
  ],
  [{ gain: 0 }, "residualBlock: gain must be a finite number above 0, got 0; deepNorm gives it"],
  [
    { placement: "behind" as never },
    'residualBlock: placement must be "pre", "post", "sandwich" or "reordered", got "behind"',
  ],
])("a block refuses %o", (options, message) =>
  expect(() => residualBlock(normalizedAttention(), options)).toThrow(new RangeError(message)),
);
