/** Graph models run by our operation: the same outputs, in everything that TensorFlow.js does with such a model. */
import type { GraphModel } from "@tensorflow/tfjs-converter";
import * as tf from "@tensorflow/tfjs-core";
import * as tfl from "@tensorflow/tfjs-layers";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { type FusedModel, fuse } from "../../../src/tfjs/index.js";
import { functionDef, GraphDef } from "../../support/graph-models.js";
import { largest, normal } from "../../support/numerics.js";
import { backends, use } from "../../support/tfjs-backends.js";

beforeAll(() => use("wasm"));
afterEach(() => use("wasm"));

const C = 6;
const gammas = normal(C, 1, 1, 0.3);
const betas = normal(C, 2);

/** tf.nn.batch_normalization, whose xHat is no value of the graph. */
function normalization(
  g: GraphDef,
  x: string,
  {
    mean,
    variance,
    epsilon = 1e-3,
    gamma,
    beta,
  }: Record<"mean" | "variance" | "gamma" | "beta", string> & { epsilon?: number },
  name = "norm",
): string {
  const power = g.op("AddV2", `${name}/add`, [variance, g.number(`${name}/epsilon`, epsilon)]);
  const scale = g.op("Mul", `${name}/mul`, [g.op("Rsqrt", `${name}/Rsqrt`, [power]), gamma]);
  const shift = g.op("Sub", `${name}/sub`, [beta, g.op("Mul", `${name}/mul_2`, [mean, scale])]);
  return g.op("AddV2", `${name}/add_1`, [g.op("Mul", `${name}/mul_1`, [x, scale]), shift]);
}

function moments(g: GraphDef, x: string, axes: readonly number[], name = "norm") {
  const mean = g.mean(`${name}/mean`, x, axes);
  const distance = g.op("SquaredDifference", `${name}/SquaredDifference`, [x, mean]);
  return { mean, variance: g.mean(`${name}/variance`, distance, axes) };
}

const parameters = (g: GraphDef, shape = [C], name = "norm") => ({
  gamma: g.constant(`${name}/gamma`, gammas, shape),
  beta: g.constant(`${name}/beta`, betas, shape),
});

interface Case {
  readonly shape: readonly number[];
  /** That the file declares; open where it is −1. */
  readonly declared?: readonly number[];
  build(g: GraphDef, x: string): string;
}

const written: Record<string, Case & { norm: string }> = {
  "layer norm as Keras 2 has it": {
    norm: "layerNorm",
    shape: [3, 5, C],
    declared: [-1, 5, C],
    build: (g, x) => normalization(g, x, { ...moments(g, x, [2]), ...parameters(g) }),
  },
  "layer norm with E[x²] − E[x]², clamped, as Flax has it": {
    norm: "layerNorm",
    shape: [2, 4, C],
    build(g, x) {
      const mean = g.mean("norm/mean", x, [2]);
      const squares = g.mean("norm/squares", g.op("Square", "norm/Square", [x]), [2]);
      const difference = g.op("Sub", "norm/difference", [squares, g.op("Square", "norm/Square_1", [mean])]);
      const variance = g.op("Maximum", "norm/Maximum", [g.number("norm/zero", 0), difference]);
      const power = g.op("AddV2", "norm/add", [variance, g.number("norm/epsilon", 1e-6)]);
      const { gamma, beta } = parameters(g);
      const scale = g.op("Mul", "norm/mul", [g.op("Rsqrt", "norm/Rsqrt", [power]), gamma]);
      const y = g.op("Mul", "norm/mul_1", [g.op("Sub", "norm/Sub_1", [x, mean]), scale]);
      return g.op("AddV2", "norm/add_1", [y, beta]);
    },
  },
  "layer norm over channels that come first, by a root and a quotient": {
    norm: "layerNorm",
    shape: [2, C, 3, 4],
    build(g, x) {
      const { mean, variance } = moments(g, x, [1, 2, 3]);
      const power = g.op("AddV2", "norm/add", [variance, g.number("norm/epsilon", 1e-5)]);
      const root = g.op("Sqrt", "norm/Sqrt", [power]);
      return g.op("RealDiv", "norm/div", [g.op("Sub", "norm/centred", [x, mean]), root]);
    },
  },
  "RMS norm, with 1 added to gamma": {
    norm: "rmsNorm",
    shape: [3, 5, C],
    build(g, x) {
      const power = g.mean("norm/power", g.op("Square", "norm/Square", [x]), [2]);
      const inner = g.op("AddV2", "norm/add", [power, g.number("norm/epsilon", 1e-6)]);
      const hat = g.op("Mul", "norm/hat", [x, g.op("Rsqrt", "norm/Rsqrt", [inner])]);
      const { gamma } = parameters(g);
      const factor = g.op("AddV2", "norm/factor", [gamma, g.number("norm/one", 1)]);
      return g.op("Mul", "norm/mul", [hat, factor]);
    },
  },
  "instance norm": {
    norm: "instanceNorm",
    shape: [2, 5, 4, C],
    declared: [-1, -1, -1, C],
    build: (g, x) => normalization(g, x, { ...moments(g, x, [1, 2]), ...parameters(g) }),
  },
  "instance norm whose gamma and beta are computed as it runs": {
    norm: "instanceNorm",
    shape: [1, 5, 4, C],
    declared: [-1, -1, -1, C],
    build(g, x) {
      const style = g.input("style", [-1, 1, 1, C]);
      const gamma = g.op("Tanh", "style/gamma", [style]);
      const beta = g.op("Sigmoid", "style/beta", [style]);
      return normalization(g, x, { ...moments(g, x, [1, 2]), gamma, beta });
    },
  },
  "group norm on a reshape": {
    norm: "groupNorm",
    shape: [2, 5, 4, C],
    build(g, x) {
      const cut = g.op("Reshape", "norm/cut", [x, g.integers("norm/shape", [2, 5, 4, 3, C / 3])]);
      const { mean, variance } = moments(g, cut, [1, 2, 4]);
      const { gamma, beta } = parameters(g, [1, 1, 1, 3, C / 3]);
      const y = normalization(g, cut, { mean, variance, gamma, beta }, "inner");
      return g.op("Reshape", "norm/whole", [y, g.integers("norm/back", [2, 5, 4, C])]);
    },
  },
  ...Object.fromEntries(
    ["FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"].map((op) => [
      op,
      {
        norm: "batchNorm",
        shape: [2, 5, 4, C],
        build: (g: GraphDef, x: string) => fusedBatchNorm(g, x, op),
      },
    ]),
  ),
};

function fusedBatchNorm(g: GraphDef, x: string, op = "FusedBatchNormV3"): string {
  const { gamma, beta } = parameters(g);
  const mean = g.constant("norm/mean", normal(C, 5));
  const variance = g.constant(
    "norm/variance",
    normal(C, 6).map((value) => value * value + 0.1),
  );
  return g.op(op, "norm/fused", [x, gamma, beta, mean, variance], {
    epsilon: { f: 0.001 },
    is_training: { b: false },
  });
}

/** Layer normalization of the last axis, without cancellation. */
function exactly(x: tf.Tensor, epsilon: number): tf.Tensor {
  const { mean, variance } = tf.moments(x, -1, true);
  const hat = tf.div(tf.sub(x, mean), tf.sqrt(tf.add(variance, epsilon)));
  return tf.add(tf.mul(hat, tf.tensor(gammas)), tf.tensor(betas));
}

/** A normalization between two other operations. */
function modelOf({ shape, declared = shape, build }: Case): Promise<GraphModel> {
  const g = new GraphDef();
  const x = g.op("Relu6", "before", [g.input("x", declared)]);
  g.op("Tanh", "after", [build(g, x)]);
  return g.load();
}

function inputsOf(model: GraphModel, shape: readonly number[]): tf.NamedTensorMap {
  return Object.fromEntries(
    model.inputs.map(({ name, shape: own = [] }, i) => {
      const lengths = name === "x" ? [...shape] : own.map((length) => Math.abs(length));
      return [name, tf.tensor(normal(tf.util.sizeFromShape(lengths), 20 + i, 0.5), lengths)];
    }),
  );
}

const valuesOf = (y: tf.Tensor | tf.Tensor[]) => [y].flat().map((one) => one.dataSync() as Float32Array);

/** Names of the kernels that a run calls. */
async function kernelsOf(run: () => tf.Tensor | tf.Tensor[]): Promise<string[]> {
  const { kernels } = await tf.profile(() => {
    tf.dispose(run());
    return tf.scalar(0).dispose() as unknown as tf.TensorContainer;
  });
  return kernels.map(({ name }) => name);
}

function expectSame(now: Float32Array[], before: Float32Array[], tolerance = 2e-6): void {
  expect(now.length).toBe(before.length);
  for (const [i, values] of now.entries()) {
    expect(largest(values.map((value, j) => Math.abs(value - before[i][j])))).toBeLessThan(tolerance);
  }
}

describe("normalizations are fused, with the same outputs and no tensors left behind", () => {
  it.each(Object.entries(written))("%s", async (_, one) => {
    const start = tf.memory().numTensors;
    const model = await modelOf(one);
    const inputs = inputsOf(model, one.shape);
    const before = tf.tidy(() => valuesOf(model.execute(inputs)));
    const result = await fuse(model);
    expect(result.norms.map(({ norm }) => norm)).toEqual([one.norm]);
    expect(result.left).toEqual([]);
    const tensors = tf.memory().numTensors;
    const now = tf.tidy(() => valuesOf(model.execute(inputs)));
    expectSame(now, before);
    expect(tf.memory().numTensors).toBe(tensors);
    const kernels = await kernelsOf(() => model.execute(inputs));
    expect(kernels).not.toContain("Rsqrt");
    expect(kernels).not.toContain("FusedBatchNorm");
    expect(kernels).toContain("EvenkeelNormalize");
    model.dispose();
    tf.dispose(inputs);
    expect(tf.memory().numTensors).toBe(start);
  });

  it("E[x²] − E[x]², which cancels, no longer does", async () => {
    const [, one] = Object.entries(written).find(([name]) => name.includes("E[x²]")) as [string, Case];
    const g = new GraphDef();
    one.build(g, g.input("x", one.shape));
    const model = await g.load();
    const x = tf.tensor(normal(48, 3, 4096), [...one.shape]);
    const { norms } = await fuse(model);
    expect(norms.length).toBe(1);
    expectSame(valuesOf(model.execute(x)), valuesOf(exactly(tf.sub(x, 4096), 1e-6)), 1e-4);
  });

  it.each(backends)(
    "what TensorFlow.js gives NaN for is repaired: Keras 2's fused layer norm, on %s",
    async (backend) => {
      await use(backend);
      const g = new GraphDef();
      const start = g.input("x", [3, 5, C]);
      const cut = g.op("Reshape", "cut", [start, g.integers("cut/shape", [1, 15, C, 1])]);
      const [ones, zeros] = [1, 0].map((value) =>
        g.constant(`all/${value}`, new Float32Array(15).fill(value)),
      );
      const [mean, variance] = ["mean", "variance"].map((name) => g.constant(name, [], [0]));
      const hat = g.op("FusedBatchNormV3", "fused", [cut, ones, zeros, mean, variance], {
        epsilon: { f: 0.001 },
        is_training: { b: true },
        data_format: { s: btoa("NCHW") },
      });
      const { gamma, beta } = parameters(g);
      const whole = g.op("Reshape", "whole", [hat, g.integers("whole/shape", [3, 5, C])]);
      g.op("AddV2", "after", [g.op("Mul", "scaled", [whole, gamma]), beta]);
      const model = await g.load();
      const x = tf.tensor(normal(90, 9), [3, 5, C]);
      expect(valuesOf(model.execute(x))[0].every(Number.isFinite)).toBe(false);
      expect((await fuse(model)).norms).toEqual([{ name: "after", norm: "layerNorm", nodes: 5 }]);
      expectSame(valuesOf(model.execute(x)), valuesOf(exactly(x, 1e-3)));
    },
  );

  it("one whose epsilon is added to the root is left", async () => {
    const g = new GraphDef();
    const start = g.input("x", [2, 5, C]);
    const { mean, variance } = moments(g, start, [2]);
    const root = g.op("AddV2", "root", [g.op("Sqrt", "sqrt", [variance]), g.number("epsilon", 1e-3)]);
    g.op("RealDiv", "after", [g.op("Sub", "centred", [start, mean]), root]);
    const reason = "its epsilon is not inside the root";
    expect((await fuse(await g.load())).left).toEqual([{ name: "after", norm: "layerNorm", reason }]);
  });

  it("FusedBatchNorm whose parameters are computed, and of an epsilon that is not said", async () => {
    const g = new GraphDef();
    const start = g.input("x", [-1, -1, -1, C]);
    const [gamma, variance] = ["gamma", "variance"].map((name) =>
      g.op("Softplus", name, [g.input(`${name}/raw`, [C])]),
    );
    const [beta, mean] = ["beta", "mean"].map((name) => g.op("Tanh", name, [g.input(`${name}/raw`, [C])]));
    const attributes = { is_training: { b: false } };
    g.op("FusedBatchNormV3", "after", [start, gamma, beta, mean, variance], attributes);
    const model = await g.load();
    const inputs = inputsOf(model, [2, 3, 4, C]);
    const before = valuesOf(model.execute(inputs));
    expect((await fuse(model)).norms).toEqual([{ name: "after", norm: "batchNorm", nodes: 1 }]);
    expectSame(valuesOf(model.execute(inputs)), before);
  });

  it("several of one model, one after another", async () => {
    const g = new GraphDef();
    let x = g.input("x", [-1, 5, C]);
    for (const name of ["a", "b", "c"]) {
      const y = normalization(g, x, { ...moments(g, x, [2], name), ...parameters(g, [C], name) }, name);
      x = g.op("AddV2", `${name}/residual`, [x, g.op("Relu", `${name}/relu`, [y])]);
    }
    const model = await g.load();
    const inputs = inputsOf(model, [2, 5, C]);
    const before = valuesOf(model.execute(inputs));
    const { norms } = await fuse(model);
    expect(norms.map(({ name }) => name)).toEqual(["a/add_1", "b/add_1", "c/add_1"]);
    expect(norms[0].nodes).toBe(10);
    expectSame(valuesOf(model.execute(inputs)), before);
  });

  it("one style for several images, and one for each", async () => {
    const model = await modelOf(written["instance norm whose gamma and beta are computed as it runs"]);
    const inputs = (images: number, styles: number) => ({
      x: tf.tensor(normal(images * 20 * C, 3), [images, 5, 4, C]),
      style: tf.tensor(normal(styles * C, 4), [styles, 1, 1, C]),
    });
    const sizes = [
      [3, 1],
      [3, 3],
      [1, 3],
      [1, 1],
    ].map(([images, styles]) => inputs(images, styles));
    const before = sizes.map((one) => valuesOf(model.execute(one)));
    await fuse(model);
    for (const [i, one] of sizes.entries()) expectSame(valuesOf(model.execute(one)), before[i]);
  });

  it("an empty batch stays empty", async () => {
    const model = await modelOf(written["layer norm as Keras 2 has it"]);
    await fuse(model);
    expect((model.execute(tf.zeros([0, 5, C])) as tf.Tensor).shape).toEqual([0, 5, C]);
  });
});

const functions: Record<string, (g: GraphDef, x: string) => string> = {
  silu: (g, x) => g.op("Mul", "y", [g.op("Sigmoid", "sigmoid", [x]), x]),
  gelu(g, x) {
    const inner = g.op("Erf", "erf", [g.op("Mul", "scaled", [x, g.number("root", Math.SQRT1_2)])]);
    const both = g.op("AddV2", "sum", [g.number("one", 1), inner]);
    return g.op("Mul", "y", [g.op("Mul", "half", [g.number("0.5", 0.5), x]), both]);
  },
  geluTanh(g, x) {
    const cubed = g.op("Pow", "cubed", [x, g.number("three", 3)]);
    const sum = g.op("AddV2", "sum", [x, g.op("Mul", "part", [g.number("small", 0.044715), cubed])]);
    const scaled = g.op("Mul", "scaled", [g.number("root", Math.sqrt(2 / Math.PI)), sum]);
    const both = g.op("AddV2", "both", [g.number("one", 1), g.op("Tanh", "tanh", [scaled])]);
    return g.op("Mul", "y", [x, g.op("Mul", "half", [g.number("0.5", 0.5), both])]);
  },
};

it.each(Object.entries(functions))("%s written out is one pass", async (activation, build) => {
  const g = new GraphDef();
  g.op("Neg", "after", [build(g, g.input("x", [-1, 7]))]);
  const model = await g.load();
  const x = tf.tensor(normal(77, 8, 0, 3), [11, 7]);
  const before = valuesOf(model.execute(x));
  const result = await fuse(model);
  expect(result.activations).toEqual([{ name: "y", activation, nodes: expect.any(Number) }]);
  expectSame(valuesOf(model.execute(x)), before);
  expect(new Set(await kernelsOf(() => model.execute(x)))).toEqual(
    new Set(["EvenkeelProgram", "Einsum", "Neg"]),
  );
  expect((model.execute(tf.zeros([0, 7])) as tf.Tensor).shape).toEqual([0, 7]);
});

const alike: Record<string, Case> = {
  "an epsilon of 0.5": {
    shape: [2, 5, C],
    build: (g, x) => normalization(g, x, { ...moments(g, x, [2]), ...parameters(g), epsilon: 0.5 }),
  },
  "a mean over other axes than the variance": {
    shape: [2, 5, C],
    build(g, x) {
      const { mean } = moments(g, x, [1, 2], "other");
      return normalization(g, x, { mean, variance: moments(g, x, [2]).variance, ...parameters(g) });
    },
  },
  "a variance of something else": {
    shape: [2, 5, C],
    build(g, x) {
      const { variance } = moments(g, g.op("Sigmoid", "else", [x]), [2], "other");
      return normalization(g, x, { mean: moments(g, x, [2]).mean, variance, ...parameters(g) });
    },
  },
};

describe("what only looks alike stays as it is", () => {
  it.each(Object.entries(alike))("%s", async (_, one) => {
    const model = await modelOf(one);
    const { executor } = model as unknown as { executor: object };
    const inputs = inputsOf(model, one.shape);
    const before = valuesOf(model.execute(inputs));
    expect(await fuse(model)).toEqual({ norms: [], activations: [], left: [] });
    expect((model as unknown as { executor: object }).executor).toBe(executor);
    expect(valuesOf(model.execute(inputs))).toEqual(before);
  });
});

describe("all else about a model", () => {
  const layerNorm = written["layer norm as Keras 2 has it"];
  const x = () => tf.tensor(normal(90, 30), [3, 5, C]);

  it("nodes that are fused away can be executed, and fed", async () => {
    const model = await modelOf(layerNorm);
    const runs: [tf.NamedTensorMap, string[]][] = [
      [{ x: x() }, ["norm/SquaredDifference", "after"]],
      [{ x: x() }, ["norm/mean:0"]],
      [{ x: x() }, ["norm/add_1", "before"]],
      [{ x: x(), "norm/mean": tf.ones([3, 5, 1]) }, ["after"]],
      [{ x: x(), "norm/gamma": tf.zeros([C]) }, ["after"]],
      [{ before: x() }, ["after"]],
      [{ "norm/add_1": x() }, ["after"]],
    ];
    const before = runs.map(([inputs, outputs]) => valuesOf(model.execute(inputs, outputs)));
    await fuse(model);
    for (const [i, [inputs, outputs]] of runs.entries()) {
      expectSame(valuesOf(model.execute(inputs, outputs)), before[i]);
    }
    expect(() => model.execute({ x: x() }, ["nothing"])).toThrow(/'nothing' is not found/);
    expect(() => model.execute({ x: tf.ones([3, 4, C]) })).toThrow(/must be \[-1,5,6\]/);
  });

  it("predict, signatures and structured outputs", async () => {
    const g = new GraphDef();
    const before = g.op("Relu6", "before", [g.input("serving_x", [-1, 5, C])]);
    const y = layerNorm.build(g, before);
    g.op("Tanh", "after", [y]);
    g.op("Sigmoid", "aside", [y]);
    const tensor = (name: string) => ({ name: `${name}:0`, dtype: "DT_FLOAT" });
    const signature = {
      inputs: { image: tensor("serving_x") },
      outputs: { first: tensor("after"), second: tensor("aside") },
    };
    const model = await g.load({ signature, userDefinedMetadata: { structuredOutputKeys: ["a", "b"] } });
    const names = [model.inputNodes, model.outputNodes, model.inputs, model.outputs];
    const calls = () => [
      ...Object.values(model.predict(x()) as tf.NamedTensorMap),
      ...Object.values(model.predict({ image: x() }) as tf.NamedTensorMap),
      model.execute({ serving_x: x() }, "second") as tf.Tensor,
    ];
    const then = valuesOf(calls());
    await fuse(model);
    expectSame(valuesOf(calls()), then);
    expect(Object.keys(model.predict(x()))).toEqual(["a", "b"]);
    expect([model.inputNodes, model.outputNodes].join()).toBe(names.slice(0, 2).join());
    expect(JSON.stringify([model.inputs, model.outputs])).toBe(JSON.stringify(names.slice(2)));
  });

  it("functions and control flow, in executeAsync", async () => {
    const g = new GraphDef();
    const body = new GraphDef(g);
    const dim = [3, 5, C].map((size) => ({ size: String(size) }));
    const inner = body.op("Identity", "shaped", ["inner"], {
      _output_shapes: { list: { shape: [{ dim }] } },
    });
    normalization(body, inner, { ...moments(body, inner, [2]), ...parameters(body) });
    const other = new GraphDef(g);
    other.op("Neg", "negative", ["inner"]);
    const library = [
      functionDef("then", body, { inner: "float32" }, { y: ["norm/add_1:z:0", "float32"] }),
      functionDef("else", other, { inner: "float32" }, { y: ["negative:y:0", "float32"] }),
    ];
    const start = g.input("x", [-1, 5, C]);
    const outer = normalization(
      g,
      start,
      { ...moments(g, start, [2], "outer"), ...parameters(g, [C], "outer") },
      "outer",
    );
    const chosen = g.op("StatelessIf", "if", [g.input("condition", [], "bool"), outer], {
      then_branch: { func: { name: "then" } },
      else_branch: { func: { name: "else" } },
    });
    g.op("Tanh", "after", [chosen]);
    const model = await g.load({}, library);
    const both = [true, false].map((condition) => ({ x: x(), condition: tf.scalar(condition, "bool") }));
    const run = async () =>
      valuesOf([await model.executeAsync(both[0]), await model.executeAsync(both[1])].flat());
    const before = await run();
    const { norms } = await fuse(model);
    expect(norms.map(({ name }) => name)).toEqual(["outer/add_1", "norm/add_1"]);
    const tensors = tf.memory().numTensors;
    const outputs = [await model.executeAsync(both[0]), await model.executeAsync(both[1])].flat();
    expectSame(valuesOf(outputs), before);
    tf.dispose(outputs);
    expect(tf.memory().numTensors).toBe(tensors);
  });

  it("weights that several nodes read, and save", async () => {
    const g = new GraphDef();
    const start = g.input("x", [-1, 5, C]);
    const both = parameters(g);
    const first = normalization(g, start, { ...moments(g, start, [2], "a"), ...both }, "a");
    const second = normalization(g, first, { ...moments(g, first, [2], "b"), ...both }, "b");
    g.op("Mul", "after", [second, both.gamma]);
    const model = await g.load();
    const before = valuesOf(model.execute(x()));
    expect((await fuse(model)).norms.length).toBe(2);
    expectSame(valuesOf(model.execute(x())), before);
    let saved: tf.io.ModelArtifacts | undefined;
    await model.save(
      tf.io.withSaveHandler(async (made) => {
        saved = made;
        return { modelArtifactsInfo: { dateSaved: new Date(), modelTopologyType: "JSON" } };
      }),
    );
    expect(saved?.modelTopology).toMatchObject({ node: g.nodes });
  });

  it("tables that an initializer fills", async () => {
    const g = new GraphDef();
    const types = { key_dtype: { type: "DT_INT32" }, value_dtype: { type: "DT_FLOAT" } };
    const initializer = new GraphDef(g);
    const entries = [
      initializer.integers("init/keys", [1, 2]),
      initializer.constant("init/values", [10, 20]),
    ];
    initializer.op("LookupTableImportV2", "import", [
      initializer.op("HashTableV2", "table", [], types),
      ...entries,
    ]);
    const start = g.input("x", [-1, 5, C]);
    const y = normalization(g, start, { ...moments(g, start, [2]), ...parameters(g) });
    const keys = g.input("keys", [-1], "int32");
    const found = g.op("LookupTableFindV2", "found", [
      g.op("HashTableV2", "table", [], types),
      keys,
      g.number("none", -1),
    ]);
    g.op("Mul", "after", [y, found]);
    const versions = { producer: 1087, minConsumer: 12 };
    const model = await g.load({ modelInitializer: { node: initializer.nodes, versions } });
    const run = async () =>
      valuesOf(await model.executeAsync({ x: x(), keys: tf.tensor([2], [1], "int32") }, "after"));
    const before = await run();
    expect((await fuse(model)).norms.length).toBe(1);
    expectSame(await run(), before, 2e-5);
    expect(before[0].some((value) => Math.abs(value) > 20)).toBe(true);
  });

  it("tensors in between that are kept", async () => {
    const model = await modelOf(layerNorm);
    await fuse(model);
    const input = x();
    const tensors = tf.memory().numTensors;
    tf.env().set("KEEP_INTERMEDIATE_TENSORS", true);
    try {
      tf.dispose(model.execute(input));
      expect(Object.keys(model.getIntermediateTensors())).toEqual(
        expect.arrayContaining(["before", "norm/add_1", "after"]),
      );
      model.disposeIntermediateTensors();
    } finally {
      tf.env().set("KEEP_INTERMEDIATE_TENSORS", false);
    }
    expect(tf.memory().numTensors).toBe(tensors);
  });

  it("a second call changes nothing", async () => {
    const model = await modelOf(layerNorm);
    const [first, meanwhile] = await Promise.all([fuse(model), fuse(model)]);
    const { executor } = model as unknown as { executor: object };
    const second: FusedModel = await fuse(model);
    expect(meanwhile).toBe(first);
    expect(second).toBe(first);
    expect((model as unknown as { executor: object }).executor).toBe(executor);
  });

  it("gradients are those of TensorFlow.js", async () => {
    const model = await modelOf(written.FusedBatchNormV3);
    const x = tf.tensor(normal(2 * 20 * C, 30), [2, 5, 4, C]);
    const gradient = tf.grad((one) => model.predict(one) as tf.Tensor);
    const before = valuesOf(gradient(x));
    expect((await fuse(model)).norms.length).toBe(1);
    expect(valuesOf(gradient(x))).toEqual(before);
  });

  it("on a backend without kernels it runs as it was", async () => {
    const model = await modelOf(layerNorm);
    await fuse(model);
    await use("cpu");
    const other = await modelOf(layerNorm);
    expect(valuesOf(model.execute(x()))).toEqual(valuesOf(other.execute(x())));
    expect((await fuse(other)).norms.length).toBe(1);
    expect(await kernelsOf(() => other.execute(x()))).toContain("SquaredDifference");
  });
});

describe("what is no model to fuse", () => {
  it.each([
    [undefined, /GraphModel.*got undefined/],
    ["model.json", /GraphModel.*got "model.json"/],
    [{ predict() {} }, /GraphModel/],
    [{ executor: { graph: {}, execute() {} } }, /GraphModel/],
    [tfl.sequential(), /got a LayersModel.*install\(\)/],
  ])("%s", async (model, message) => {
    await expect(fuse(model as never)).rejects.toThrow(TypeError);
    await expect(fuse(model as never)).rejects.toThrow(message);
  });

  it("a model that is disposed of, or not loaded", async () => {
    const model = await modelOf(written["layer norm as Keras 2 has it"]);
    model.dispose();
    await expect(fuse(model)).rejects.toThrow(/RangeError|disposed of; load it again/);
    const Model = model.constructor as new (handler: object) => GraphModel;
    await expect(fuse(new Model({}))).rejects.toThrow(/not loaded; await model\.load\(\)/);
  });
});
