import { describe, expect, it } from "vitest";
import { recognizer, type Step } from "../../../src/checkpoints/formats/onnx-written-out.js";
import { bytesInMemory } from "../../../src/checkpoints/source.js";
import { storedTensor, type Tensor } from "../../../src/checkpoints/tensors.js";

/** "y = Type(a, b)", with attributes. */
function step(text: string, attributes: Record<string, unknown> = {}): Step {
  const [, output, type, inputs] = /^(\S+) = (\w+)\((.*)\)$/.exec(text) as RegExpExecArray;
  return {
    type,
    outputs: [output],
    inputs: inputs.split(", "),
    attributes: new Map(Object.entries(attributes).map(([name, value]) => [name, { value }])),
  };
}

function tensor(name: string, shape: number[], values: number[]): Tensor {
  const bytes = bytesInMemory("a.onnx", new Uint8Array(Float32Array.from(values).buffer));
  return storedTensor("ONNX", { name, shape, dtype: "float32", bytes });
}

const constants = new Map(
  [
    tensor("two", [], [2]),
    tensor("three", [], [3]),
    tensor("epsilon", [], [0.25]),
    tensor("one", [], [1]),
    tensor("ones", [2], [1, 1]),
    tensor("zeros", [2], [0, 0]),
    tensor("gamma", [3], [1, 2, 3]),
    tensor("beta", [3], [4, 5, 6]),
    tensor("gamma column", [3, 1, 1], [1, 2, 3]),
    tensor("axes", [1], [-1]),
  ].map((one) => [one.name, one]),
);

async function recognized(...nodes: Step[]) {
  const recognize = recognizer(nodes, (name) => constants.get(name));
  const anchor = nodes.find(({ type }) =>
    ["Sqrt", "InstanceNormalization", "BatchNormalization"].includes(type),
  );
  const found = await recognize(anchor as Step);
  return (
    found && {
      ...found,
      tensors: Object.fromEntries(Object.entries(found.tensors).map(([key, { name }]) => [key, name])),
    }
  );
}

describe("RMS normalization", () => {
  const root = [step("m = ReduceMean(q, axes)"), step("a = Add(epsilon, m)"), step("s = Sqrt(a)")];
  const rms = {
    type: "RMSNormalization",
    config: { axis: -1, epsilon: 0.25 },
    tensors: { scale: "gamma" },
    opset: 23,
  };

  it.each([
    [
      "divided by the root",
      [step("q = Mul(x, x)"), ...root, step("n = Div(x, s)"), step("y = Mul(n, gamma)")],
    ],
    [
      "times the inverse of the root",
      [
        step("q = Pow(x, two)"),
        ...root,
        step("i = Reciprocal(s)"),
        step("n = Mul(i, x)"),
        step("y = Mul(gamma, n)"),
      ],
    ],
    [
      "times one divided by the root",
      [
        step("q = Pow(x, two)"),
        ...root,
        step("i = Div(one, s)"),
        step("n = Mul(x, i)"),
        step("y = Mul(gamma, n)"),
      ],
    ],
    [
      "in float32 between casts",
      [
        step("f = Cast(x)"),
        step("q = Pow(f, two)"),
        ...root,
        step("n = Div(f, s)"),
        step("h = Cast(n)"),
        step("y = Mul(gamma, h)"),
      ],
    ],
  ])("%s", async (_, nodes) => {
    expect(await recognized(...nodes)).toEqual(rms);
  });

  it("without gamma", async () => {
    const nodes = [step("q = Mul(x, x)"), ...root, step("y = Div(x, s)"), step("z = Mul(y, two)")];
    expect(await recognized(...nodes)).toEqual({ ...rms, tensors: {} });
  });

  it.each([
    ["another power", [step("q = Pow(x, three)"), ...root, step("y = Div(x, s)")]],
    ["a product of two values", [step("q = Mul(x, z)"), ...root, step("y = Div(x, s)")]],
    ["another dividend", [step("q = Mul(x, x)"), ...root, step("y = Div(z, s)")]],
    [
      "a root that is used twice",
      [step("q = Mul(x, x)"), ...root, step("y = Div(x, s)"), step("z = Relu(s)")],
    ],
    [
      "a mean over other axes than the last",
      [
        step("q = Mul(x, x)"),
        step("m = ReduceMean(q)", { axes: [1] }),
        ...root.slice(1),
        step("n = Div(x, s)"),
        step("y = Mul(n, gamma column)"),
      ],
    ],
  ])("is not %s", async (_, nodes) => {
    expect(await recognized(...nodes)).toBeUndefined();
  });
});

it("layer normalization is of what its own mean was taken from", async () => {
  const centered = (mean: string) => [
    step(`c = ReduceMean(${mean})`, { axes: [-2, -1] }),
    step("d = Sub(x, c)"),
    step("q = Mul(d, d)"),
    step("m = ReduceMean(q)", { axes: [-1, -2] }),
    step("a = Add(m, epsilon)"),
    step("s = Sqrt(a)"),
    step("n = Div(d, s)"),
    step("p = Mul(n, gamma)"),
    step("y = Add(beta, p)"),
  ];
  const tensors = { Scale: "gamma", B: "beta" };
  expect(await recognized(...centered("x"))).toEqual({
    type: "LayerNormalization",
    config: { axis: -2, epsilon: 0.25 },
    tensors,
    opset: 17,
  });
  expect(await recognized(...centered("z"))).toMatchObject({
    type: "RMSNormalization",
    tensors: { scale: "gamma" },
  });
});

it("group normalization is an instance normalization by ones and zeros between two Reshapes", async () => {
  const group = (scale: string, bias: string, after = "Reshape") => [
    step("r = Reshape(x, shape)"),
    step(`i = InstanceNormalization(r, ${scale}, ${bias})`, { epsilon: 0.25 }),
    step(`b = ${after}(i, back)`),
    step("p = Mul(b, gamma column)"),
    step("y = Add(p, beta)"),
  ];
  expect(await recognized(...group("ones", "zeros"))).toEqual({
    type: "GroupNormalization",
    config: { num_groups: 2, epsilon: 0.25 },
    tensors: { scale: "gamma column", bias: "beta" },
    opset: 21,
  });
  expect(await recognized(...group("gamma", "zeros"))).toBeUndefined();
  expect(await recognized(...group("ones", "beta"))).toBeUndefined();
  expect(await recognized(...group("ones", "zeros", "Relu"))).toBeUndefined();
});

it("a batch normalization by constants stays one, between Reshapes too", async () => {
  const batch = (mean: string, of = "r") => [
    step("r = Reshape(x, shape)"),
    step(`k = ReduceMean(${of})`),
    step("m = Squeeze(k, axes)"),
    step(`n = BatchNormalization(r, ones, zeros, ${mean}, v)`, { epsilon: 0.25 }),
    step("b = Reshape(n, back)"),
    step("p = Mul(b, gamma)"),
    step("y = Add(p, beta)"),
  ];
  expect(await recognized(...batch("m"))).toMatchObject({ type: "LayerNormalization", config: { axis: -1 } });
  expect(await recognized(...batch("zeros"))).toBeUndefined();
  expect(await recognized(...batch("m", "x"))).toBeUndefined();
});

it("nodes that follow each other in a circle are passed over", async () => {
  expect(
    await recognized(step("a = Cast(b)"), step("b = Cast(a)"), step("s = Sqrt(a)"), step("y = Div(a, s)")),
  ).toBeUndefined();
});
