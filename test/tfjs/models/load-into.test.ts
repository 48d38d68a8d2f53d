/** Checkpoints into models: layouts against PyTorch's outputs, what matches what, and that nothing is loaded by halves. */
import { fileURLToPath } from "node:url";
import * as tf from "@tensorflow/tfjs-core";
import * as tfl from "@tensorflow/tfjs-layers";
import { beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import type { Checkpoint } from "../../../src/checkpoints/checkpoint.js";
import { open, writeSafetensors } from "../../../src/checkpoints/index.js";
import { type LoadOptions, layers, loadInto } from "../../../src/tfjs/index.js";
import { channelsLast } from "../../checkpoints/networks/network.js";
import described from "../../fixtures/architectures/layouts.json" with { type: "json" };
import { expectClose, largest, random } from "../../support/numerics.js";
import { use } from "../../support/tfjs-backends.js";
import { images, sequences } from "./layouts.js";

const fixture = (name: string) =>
  fileURLToPath(new URL(`../../fixtures/architectures/${name}`, import.meta.url));
type Tensors = Record<string, number[]>;

/** A file of these shapes, as PyTorch's names or others make it. */
async function file(shapes: Tensors, fill: (i: number) => number = random(3)): Promise<Checkpoint> {
  const tensors = Object.entries(shapes).map(([name, shape]) => {
    const length = shape.reduce((a, b) => a * b, 1);
    return [name, { shape, data: Float32Array.from({ length }, (_, i) => fill(i)) }] as const;
  });
  return open(writeSafetensors(tensors), { name: "net.safetensors" });
}

function sequential(...all: Parameters<tfl.Sequential["add"]>[0][]): tfl.Sequential {
  const model = tfl.sequential();
  for (const layer of all) model.add(layer);
  return model;
}

const values = (model: tfl.LayersModel) => model.weights.map((one) => [...one.read().dataSync()]);
const problem = async (model: tfl.LayersModel, checkpoint: Checkpoint, options?: LoadOptions) => {
  const before = values(model);
  const error = await loadInto(model, checkpoint, options).then(
    () => undefined,
    (thrown: Error) => thrown,
  );
  expect(values(model), "nothing is written").toEqual(before);
  return error?.message;
};
const dense = (name: string, units: number, inputs?: number) =>
  tfl.layers.dense({ name, units, ...(inputs && { inputShape: [inputs] }) });

describe("loadInto", () => {
  beforeAll(() => use("cpu"));
  beforeEach(() => {
    vi.spyOn(console, "warn").mockImplementation(() => {});
  });

  it("pytorch2keras#120: the running mean and variance go by their names, in whatever order the file has them", async () => {
    const model = sequential(tfl.layers.batchNormalization({ name: "bn", epsilon: 1e-5, inputShape: [1] }));
    const one = (value: number) => ({ shape: [1], data: [value] });
    const bytes = writeSafetensors(
      Object.entries({
        "bn.running_var": one(4),
        "bn.bias": one(1),
        "bn.running_mean": one(10),
        "bn.weight": one(3),
      }),
    );
    await loadInto(model, await open(bytes));
    const [y] = (model.predict(tf.tensor([[12]])) as tf.Tensor).dataSync();
    expect(y).toBeCloseTo(((12 - 10) / 2) * 3 + 1, 4);
  });

  const gru = { gru0: "gru.l0", gru1: "gru.l1" };
  it.each<[string, string, keyof typeof described, () => tfl.Sequential, LoadOptions]>([
    ["images", "images.safetensors", "images", images, {}],
    ["sequences", "sequences.safetensors", "sequences", sequences, { map: gru }],
    [
      "sequences in ONNX",
      "sequences.onnx",
      "sequences",
      sequences,
      { map: { "embedding/embeddings": "embedding.weight" } },
    ],
  ])("PyTorch's layouts: %s", async (_, name, key, make, options) => {
    const model = make();
    const loaded = await loadInto(model, await open(fixture(name)), options);
    expect(loaded.unmatched.layers).toEqual([]);
    const { input, output } = described[key];
    const y = model.predict(channelsLast(tf.tensor(input.values, input.shape))) as tf.Tensor;
    expect(y.shape).toEqual(output.shape);
    expectClose("output", y.dataSync() as Float32Array, output.values, () => 1e-5 * largest(output.values));
  });

  it("says what it did", async () => {
    const model = images();
    const { matched } = await loadInto(model, await open(fixture("images.safetensors")));
    expect(matched.find(({ layer }) => layer === "linear")).toEqual({
      layer: "linear",
      module: "linear",
      by: "name",
      weights: { "linear/kernel": "linear.weight", "linear/bias": "linear.bias" },
      conversions: ["kernel: features of flatten reordered, channels first → channels last"],
    });
  });

  it("names with wrappers' prefixes and other separators; counters are ignored", async () => {
    const model = sequential(
      dense("encoder/first", 3, 2),
      layers.batchNormalization({ name: "encoder/norm", epsilon: 1e-5 }),
    );
    const checkpoint = await file({
      "module._orig_mod.encoder.norm.weight": [3],
      "module._orig_mod.encoder.norm.bias": [3],
      "module._orig_mod.encoder.norm.running_mean": [3],
      "module._orig_mod.encoder.norm.running_var": [3],
      "module._orig_mod.encoder.norm.num_batches_tracked": [],
      "module._orig_mod.encoder.first.weight": [3, 2],
      "module._orig_mod.encoder.first.bias": [3],
      "module._orig_mod.head.weight": [5, 3],
    });
    const loaded = await loadInto(model, checkpoint);
    expect(loaded.matched.map(({ layer, by }) => [layer, by])).toEqual([
      ["encoder/first", "name"],
      ["encoder/norm", "name"],
    ]);
    expect(loaded.unmatched).toEqual({ layers: [], tensors: ["module._orig_mod.head.weight"] });
    expect(loaded.ignored).toEqual(["module._orig_mod.encoder.norm.num_batches_tracked"]);
  });

  it("tied weights, stored once (transformers#38870), go where a map says", async () => {
    const model = sequential(
      tfl.layers.embedding({ name: "wte", inputDim: 5, outputDim: 3, inputLength: 2 }),
      tfl.layers.dense({ name: "lm_head", units: 5, useBias: false }),
    );
    const checkpoint = await file({ "transformer.wte.weight": [5, 3] });
    expect(await problem(model, checkpoint)).toBe(
      "net.safetensors (safetensors): nothing fits lm_head (Dense: kernel [3, 5]). matched: wte ← transformer.wte (by name). " +
        "left over in the file: none; name modules in map: { layer: module }, or load what fits with partial: true. Nothing was loaded",
    );
    await loadInto(model, checkpoint, { map: { "lm_head/kernel": "transformer.wte.weight" } });
    const [embeddings, kernel] = model.weights.map((one) => one.read());
    expect([...kernel.dataSync()]).toEqual([...tf.transpose(embeddings).dataSync()]);
  });

  it("by order where no name tells, and only what fits with partial", async () => {
    const model = sequential(dense("a", 4, 2), dense("b", 3));
    const checkpoint = await file({
      "features.0.weight": [4, 2],
      "features.0.bias": [4],
      "features.2.weight": [3, 4],
      "features.2.bias": [3],
    });
    const { matched } = await loadInto(model, checkpoint);
    expect(matched.map(({ module, by }) => [module, by])).toEqual([
      ["features.0", "order"],
      ["features.2", "order"],
    ]);
    const longer = sequential(dense("a", 4, 2), dense("b", 3), dense("c", 7));
    expect(await problem(longer, checkpoint)).toContain("nothing fits c (Dense: kernel [3, 7], bias [7])");
    const partial = await loadInto(longer, checkpoint, { partial: true });
    expect(partial.unmatched.layers).toEqual(["c"]);
    expect(values(longer).slice(0, 4)).toEqual(values(model));
  });

  it("a module between those that fit by order is not passed over", async () => {
    const model = sequential(dense("a", 4, 2), dense("b", 3));
    const checkpoint = await file({
      "0.weight": [4, 2],
      "0.bias": [4],
      "1.weight": [9, 9],
      "2.weight": [3, 4],
      "2.bias": [3],
    });
    expect(await problem(model, checkpoint)).toContain(
      "1 lie between modules that fit by order. matched: a ← 0 (by order)",
    );
  });

  it("a name that matches what does not fit is an error, not a reason to look elsewhere", async () => {
    const checkpoint = await file({ "a.weight": [5, 2], "a.bias": [5], "z.weight": [4, 2], "z.bias": [4] });
    expect(await problem(sequential(dense("a", 4, 2)), checkpoint)).toContain(
      "nothing fits a (kernel [5, 2] in the file, [2, 4] here)",
    );
  });

  it("the epsilon that a file has, and the layer has not, is told", async () => {
    const checkpoint: Checkpoint = await file({
      "bn.weight": [3],
      "bn.bias": [3],
      "bn.running_mean": [3],
      "bn.running_var": [3],
    });
    const model = sequential(dense("unused", 3, 3), layers.batchNormalization({ name: "bn" }));
    const options = { partial: true };
    const first = await loadInto(model, checkpoint, options);
    expect(first.warnings).toEqual([
      "bn: epsilon 0.001 in the layer, 1e-5 by default where it was trained; the file does not say",
    ]);
    const tensors = Object.fromEntries(
      [...checkpoint.tensors].map(([name, tensor]) => [name.slice(3), tensor]),
    );
    const modules = [{ name: "bn", type: "BatchNorm1d", config: { eps: 2e-4 }, tensors }];
    const second = await loadInto(model, { ...checkpoint, modules }, options);
    expect(second.warnings).toEqual([
      "bn: epsilon 2e-4 in the file, 0.001 in the layer: make it with epsilon: 2e-4",
    ]);
    expect(console.warn).toHaveBeenCalledWith(`loadInto: ${second.warnings[0]}`);
    const right = sequential(dense("unused", 3, 3), layers.batchNormalization({ name: "bn", epsilon: 2e-4 }));
    expect((await loadInto(right, { ...checkpoint, modules }, options)).warnings).toEqual([]);
  });

  it("gamma that only one side has: ones are left out or filled in, others are an error", async () => {
    const statistics = { "bn.running_mean": [3], "bn.running_var": [3] };
    const model = () => sequential(layers.batchNormalization({ name: "bn", epsilon: 1e-5, inputShape: [3] }));
    const bare = model();
    const loaded = await loadInto(bare, await file(statistics));
    expect(loaded.matched[0].conversions).toContain("no gamma in the file: 1");
    expect(values(bare).slice(0, 2)).toEqual([
      [1, 1, 1],
      [0, 0, 0],
    ]);
    const without = sequential(
      layers.batchNormalization({ name: "bn", epsilon: 1e-5, scale: false, center: false, inputShape: [3] }),
    );
    const affine = { "bn.weight": [3], ...statistics };
    const ones = await loadInto(without, await file(affine, () => 1));
    expect(ones.matched[0].conversions).toContain("gamma is 1 everywhere in the file, and absent here");
    expect(await problem(without, await file(affine, () => 2))).toBe(
      "net.safetensors (safetensors): bn has no gamma, the file has one that is not 1 everywhere: make the layer with scale: true; " +
        "make the layers as they are in the file",
    );
  });

  it("a square kernel of a file that does not say whose it is needs a layout", async () => {
    const checkpoint = { ...(await file({ "a.w": [2, 2], "a.b": [2] })), framework: undefined };
    const model = sequential(dense("a", 2, 2));
    expect(await problem(model, checkpoint)).toBe(
      "net.safetensors (safetensors): the file does not say whose it is, and the kernels of a fit as PyTorch's and as Keras's; " +
        'say which: layout: "pytorch" or layout: "keras"',
    );
    await loadInto(model, checkpoint, { layout: "keras" });
    const asKeras = values(model)[0];
    await loadInto(model, checkpoint, { layout: "pytorch" });
    const [a, b, c, d] = asKeras;
    expect(values(model)[0]).toEqual([a, c, b, d]);
    // another kernel of the file may tell
    const more = {
      ...(await file({ "a.w": [2, 2], "a.b": [2], "b.w": [3, 2], "b.b": [3] })),
      framework: undefined,
    };
    const { conversions } = await loadInto(sequential(dense("a", 2, 2), dense("b", 3)), more);
    expect(conversions).toEqual([
      "the file does not say whose it is: kernels read in PyTorch's layout, the only one in which shapes fit",
    ]);
  });

  it("PyTorch's GRU is not TensorFlow.js's", async () => {
    const checkpoint = await file({
      "r.weight_ih_l0": [6, 3],
      "r.weight_hh_l0": [6, 2],
      "r.bias_ih_l0": [6],
      "r.bias_hh_l0": [6],
    });
    const model = sequential(
      tfl.layers.gru({ name: "r", units: 2, inputShape: [4, 3], recurrentInitializer: "glorotNormal" }),
    );
    expect(await problem(model, checkpoint)).toContain(
      "r (the reset gate acts on the product there, before it here: make the layer with gru() of evenkeel/tfjs)",
    );
  });

  it("what is no model, no option or no layer", async () => {
    const checkpoint = await file({ "a.weight": [4, 2], "a.bias": [4] });
    const model = sequential(dense("a", 4, 2));
    await expect(loadInto({} as tfl.LayersModel, checkpoint)).rejects.toThrow(
      "loadInto: model must be a LayersModel",
    );
    await expect(loadInto(model, checkpoint, { strict: false } as LoadOptions)).rejects.toThrow(
      'loadInto: no option is called "strict"',
    );
    await expect(loadInto(model, checkpoint, { map: { b: "a" } })).rejects.toThrow(
      'loadInto: map has "b", which is no layer with weights, nor one\'s weight; there are a',
    );
    await expect(loadInto(model, checkpoint, { map: { a: "c" } })).rejects.toThrow(
      'map names "c" for a, which is no module of the file; there are a',
    );
    await expect(loadInto(model, checkpoint, { map: { "a/kernel": "c" } })).rejects.toThrow(
      'map names the tensor "c" for a/kernel, which the file does not have; see checkpoint.tensors',
    );
    await expect(loadInto(model, checkpoint, { layout: "NCHW" as "keras" })).rejects.toThrow(
      'loadInto: layout must be "pytorch" or "keras", got "NCHW"',
    );
  });

  it("after flatten, features are reordered, but for a file of TensorFlow's or a model that permutes", async () => {
    const shape = { "fc.weight": [1, 12], "fc.bias": [1] };
    // [channels 2, height 2, width 3]
    const checkpoint = await file(shape, (i) => i);
    const flat = (...before: Parameters<typeof sequential>) =>
      sequential(...before, tfl.layers.flatten(), tfl.layers.dropout({ rate: 0.5 }), dense("fc", 1));
    const plain = flat(tfl.layers.inputLayer({ inputShape: [2, 3, 2] }));
    await loadInto(plain, checkpoint);
    expect(values(plain)[0]).toEqual([0, 6, 1, 7, 2, 8, 3, 9, 4, 10, 5, 11]);
    const permuted = flat(tfl.layers.permute({ dims: [3, 1, 2], inputShape: [2, 3, 2] }));
    await loadInto(permuted, checkpoint);
    expect(values(permuted)[0]).toEqual([...Array(12).keys()]);
    await loadInto(plain, {
      ...checkpoint,
      framework: "onnx",
      metadata: { producer_name: "tf2onnx" },
      modules: [
        {
          name: "fc",
          type: "Gemm",
          config: { transB: 1 },
          tensors: {
            B: checkpoint.tensors.get("fc.weight") as never,
            C: checkpoint.tensors.get("fc.bias") as never,
          },
        },
      ],
    });
    expect(values(plain)[0]).toEqual([...Array(12).keys()]);
  });

  it("Gluon's recurrent layers are PyTorch's by other names", async () => {
    const theirs = await open(fixture("sequences.safetensors"));
    const renamed = new Map(
      [...theirs.tensors.values()].map((tensor) => {
        const [, module, kind, side, layer, reverse] =
          /^(\w+)\.(weight|bias)_([ih])h_l(\d)(_reverse)?$/.exec(tensor.name) ?? [];
        if (module === undefined) return [tensor.name, tensor] as const;
        const name = `${module}0_${reverse ? "r" : "l"}${layer}_${side}2h_${kind}`;
        return [name, { ...tensor, name }] as const;
      }),
    );
    const [model, same] = [sequences(), sequences()];
    const map = (prefix: string) => ({ gru0: `${prefix}.l0`, gru1: `${prefix}.l1` });
    await loadInto(same, theirs, { map: map("gru") });
    const options = { map: { ...map("gru0"), both: "both0", rnn: "rnn0" } };
    await loadInto(model, { ...theirs, framework: "gluon", tensors: renamed }, options);
    expect(values(model)).toEqual(values(same));
  });
});
