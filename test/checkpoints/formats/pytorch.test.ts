/** PyTorch's and fastai's files: made by them (test/fixtures/checkpoints), from the wild, and damaged. */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import type { Checkpoint, Module } from "../../../src/checkpoints/checkpoint.js";
import { concatenated, writeZip } from "../../../src/checkpoints/encodings/zip.js";
import { pytorch } from "../../../src/checkpoints/formats/pytorch.js";
import { open } from "../../../src/checkpoints/open.js";
import { numbersOf, type Tensor } from "../../../src/checkpoints/tensors.js";
import { type Fixture, filesIn, fuzz } from "../support/fuzz.js";
import { itWithModel, modelFile } from "../support/shared-models.js";

const folder = fileURLToPath(new URL("../../fixtures/checkpoints/", import.meta.url));
const bytesOfFixture = (name: string) => new Uint8Array(readFileSync(folder + name));
const json = (name: string) => JSON.parse(readFileSync(folder + name, "utf8"));

async function opened(bytes: Uint8Array, name = "model.pt"): Promise<Checkpoint> {
  const files = filesIn({ [name]: bytes });
  expect(pytorch.matches(bytes.slice(0, 4096), files)).toBe(true);
  return pytorch.read(files);
}
const fixture = (name: string) => opened(bytesOfFixture(`pytorch/${name}`), name);
const message = (bytes: Uint8Array) =>
  opened(bytes).then(
    () => "opened",
    (error: Error) => error.message,
  );

interface Weight {
  shape: number[];
  strides?: number[];
  values: (number | boolean)[];
}

/** Bit for bit: nine digits tell a float32. */
async function expectWeight(tensor: Tensor | undefined, { shape, values, strides }: Weight, name: string) {
  expect(tensor?.shape, name).toEqual(shape);
  if (strides && tensor && Math.min(...shape) > 0) expect(tensor.strides, name).toEqual(strides);
  const read = Array.from(await numbersOf(tensor as Tensor), Number);
  const round = tensor?.dtype === "float64" || tensor?.dtype === "int64" ? Number : Math.fround;
  const expected = values.map(Number);
  if (tensor?.dtype === "float64")
    expect(read).toEqual(read.map((one, i) => (Math.abs(one - expected[i]) < 1e-9 ? one : expected[i])));
  else expect(read, name).toEqual(expected.map(round));
}

interface Network {
  files: Record<string, string>;
  weights: Record<string, Weight>;
  normalizations: { name: string; type: string; options: Record<string, unknown> }[];
}

async function expectNetwork(checkpoint: Checkpoint, { weights }: Network): Promise<void> {
  expect([...checkpoint.tensors.keys()].sort()).toEqual(Object.keys(weights).sort());
  for (const [name, weight] of Object.entries(weights)) {
    await expectWeight(checkpoint.tensors.get(name), weight, name);
  }
}

/** Every normalization that PyTorch saw in the network, with its options and tensors. */
function expectModules(checkpoint: Checkpoint, { normalizations }: Network, all: boolean): void {
  const modules = new Map(checkpoint.modules.map((module) => [module.name, module]));
  for (const { name, type, options } of normalizations) {
    if (type === "WeightNorm" || type === "SpectralNorm") continue;
    const module = modules.get(name) as Module;
    expect(module?.type, name).toBe(type);
    if (all) expect(module.config, name).toMatchObject(options);
    for (const [local, tensor] of Object.entries(module.tensors)) {
      expect(checkpoint.tensors.get(`${name}.${local}`)).toBe(tensor);
    }
  }
}

describe.each(["images", "features", "older", "rest", "volumes"])("network %s", (name) => {
  const network: Network = json(`pytorch/${name}.json`);
  it.each(Object.entries(network.files).filter(([format]) => format !== "safetensors"))(
    "%s",
    async (format, file) => {
      const checkpoint = await fixture(file);
      expect(checkpoint.framework).toBe("pytorch");
      const expected = format.startsWith("TorchScript")
        ? "TorchScript"
        : `PyTorch (${format.includes("legacy") ? "legacy" : "zip"})`;
      expect(checkpoint.format).toBe(expected);
      await expectNetwork(checkpoint, network);
      if (!format.includes("module") && !format.startsWith("TorchScript")) {
        expect(checkpoint.modules).toEqual([]);
        const state = format === "checkpoint" ? checkpoint.metadata._metadata : undefined;
        if (state) expect(state).toMatchObject({ "": { version: 1 } });
        return;
      }
      expectModules(checkpoint, network, format !== "TorchScript, traced");
    },
  );
});

describe("beside each other", () => {
  const shard = bytesOfFixture("pytorch/images.state.pt");
  const text = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
  const names = Object.keys(json("pytorch/images.json").weights);
  const index = (weight_map: unknown) => ["pytorch_model.bin.index.json", text({ weight_map })] as const;

  it("pytorch_model.bin.index.json opens the files that it names, with config.json", async () => {
    const [first, ...rest] = names;
    const weight_map = Object.fromEntries([
      [first, "pytorch_model-00001-of-00002.bin"],
      ...rest.map((name) => [name, "pytorch_model-00002-of-00002.bin"]),
    ]);
    const checkpoint = await open(
      new Map([
        index(weight_map),
        ["pytorch_model-00001-of-00002.bin", shard],
        ["pytorch_model-00002-of-00002.bin", shard],
        ["config.json", text({ model_type: "resnet" })],
      ]),
    );
    expect(checkpoint).toMatchObject({
      format: "PyTorch (sharded)",
      framework: "pytorch",
      metadata: { config: { model_type: "resnet" } },
    });
    await expectNetwork(checkpoint, json("pytorch/images.json"));
  });

  it("says which shard is not there, or lacks a tensor", async () => {
    await expect(open(new Map([index({ "fc.weight": "a.bin" })]))).rejects.toThrow(
      'expected the file "a.bin" beside it, in which "fc.weight" lie; there is none; fetch it into the same folder',
    );
    await expect(open(new Map([index({ "fc.weight": "a.bin" }), ["a.bin", shard]]))).rejects.toThrow(
      'expected the tensor "fc.weight" in "a.bin", which does not have it',
    );
  });

  it("parts of torch.distributed.checkpoint are refused, with what joins them", async () => {
    await expect(open(shard, { name: "__0_0.distcp" })).rejects.toThrow(
      "__0_0.distcp (PyTorch (distributed)): parts of tensors by torch.distributed.checkpoint are not read; " +
        "join them by python -m torch.distributed.checkpoint.format_utils dcp_to_torch",
    );
  });

  it("config.json of a single file, in which Python wrote an infinity", async () => {
    const config = new TextEncoder().encode('{"norm_eps": 1e-6, "limits": [-Infinity, NaN, "NaN"]}');
    const { metadata } = await open(
      new Map([
        ["pytorch_model.bin", shard],
        ["config.json", config],
      ]),
    );
    expect(metadata.config).toEqual({ norm_eps: 1e-6, limits: [Number.NEGATIVE_INFINITY, null, "NaN"] });
  });
});

describe("whole modules", () => {
  it("gives each module its class, its plain attributes and its tensors, and no name to the network itself", async () => {
    const { modules } = await fixture("images.module.pt");
    expect(modules.map(({ name, type }) => `${name} ${type}`)).toEqual([
      "conv1 Conv2d",
      "batch BatchNorm2d",
      "relu1 ReLU",
      "conv2 Conv2d",
      "group GroupNorm",
      "relu2 ReLU",
      "conv3 Conv2d",
      "instance InstanceNorm2d",
      "relu3 ReLU",
      "pool AdaptiveAvgPool2d",
      "flatten Flatten",
      "linear1 Linear",
      "layer LayerNorm",
      "linear2 Linear",
    ]);
    expect(modules[1].config).toEqual({
      training: false,
      num_features: 4,
      eps: 1e-3,
      momentum: 0.3,
      affine: true,
      track_running_stats: true,
    });
    expect(Object.keys(modules[1].tensors)).toEqual([
      "weight",
      "bias",
      "running_mean",
      "running_var",
      "num_batches_tracked",
    ]);
  });

  it("calls a network of one layer by its class", async () => {
    const { modules, tensors } = await fixture("layer.module.legacy.pt");
    expect(modules.map(({ name, type, config }) => [name, type, config.eps])).toEqual([
      ["BatchNorm1d", "BatchNorm1d", 0.5],
    ]);
    expect(await tensors.get("weight")?.read()).toEqual(Float32Array.of(2, 3));
  });

  it("lists a module that stands in two places under both, its tensors in one place", async () => {
    const { tensors } = await fixture("shared.module.pt");
    expect([...tensors.keys()]).toEqual(["0.weight", "0.bias", "2.weight", "2.bias"]);
    expect(tensors.get("0.weight")?.at).toEqual(tensors.get("2.weight")?.at);
  });

  it("reads the constants that a scripted module's class declares", async () => {
    const { modules } = await fixture("images.script.pt");
    const named = new Map(modules.map((module) => [module.name, module]));
    expect(named.get("group")).toMatchObject({
      type: "GroupNorm",
      config: { num_groups: 2, num_channels: 6, eps: 1e-5, affine: true, training: false },
    });
    expect(named.get("layer")?.config).toMatchObject({ normalized_shape: [5], eps: 1e-4 });
    expect(named.get("conv3")?.config).toMatchObject({
      padding: [1, 1],
      padding_mode: "zeros",
      transposed: false,
    });
  });

  it("reads of a traced module what its operator is called with", async () => {
    const { modules } = await fixture("images.trace.pt");
    const options = (name: string) => modules.find((module) => module.name === name)?.config;
    expect(options("batch")).toEqual({ momentum: 0.3, eps: 1e-3, training: false });
    expect(options("group")).toEqual({ num_groups: 2, training: false });
    expect(options("layer")).toEqual({ normalized_shape: [5], eps: 1e-4, training: false });
  });
});

describe("tensors", () => {
  const views: Record<string, Weight> = json("pytorch/views.json");

  it.each([
    "views.pt",
    "views.legacy.pt",
    "views.protocol5.pt",
    "views.legacy.protocol1.pt",
    "views.pkl",
    "views.big-endian.pt",
    "views.deflated.pt",
    "views.zip64.pt",
  ])("%s: strides, offsets, every type (burn#5383, burn#4897)", async (file) => {
    const { tensors, framework } = await fixture(file);
    expect(framework).toBe("pytorch");
    expect([...tensors.keys()]).toEqual(Object.keys(views));
    for (const [name, weight] of Object.entries(views)) await expectWeight(tensors.get(name), weight, name);
    expect(tensors.get("tied")?.at).toEqual(tensors.get("base")?.at);
    // a plain pickle has a storage for each tensor that is another object
    if (file !== "views.pkl") expect(tensors.get("transposed")?.at).toEqual(tensors.get("base")?.at);
    expect(tensors.get("offset")?.at).not.toEqual(tensors.get("base")?.at);
    expect(Object.hasOwn(Object.prototype, "0")).toBe(false);
  });

  it("reads float16 and bfloat16 as what they are", async () => {
    const { weights }: Network = json("pytorch/volumes.json");
    for (const [dtype, error] of [
      ["float16", 2 ** -11],
      ["bfloat16", 2 ** -8],
    ] as const) {
      const { tensors } = await fixture(`volumes.${dtype}.pt`);
      for (const [name, { values }] of Object.entries(weights)) {
        expect(tensors.get(name)?.dtype).toBe(dtype);
        const read = await numbersOf(tensors.get(name) as Tensor);
        read.forEach((value, i) => {
          expect(Math.abs(value - Number(values[i]))).toBeLessThanOrEqual(
            error * Math.abs(Number(values[i])),
          );
        });
      }
    }
  });

  it("keeps the prefixes of DataParallel and torch.compile", async () => {
    const { weights }: Network = json("pytorch/volumes.json");
    for (const [file, prefix] of [
      ["volumes.parallel.pt", "module."],
      ["volumes.compiled.pt", "_orig_mod."],
    ]) {
      expect([...(await fixture(file)).tensors.keys()]).toEqual(
        Object.keys(weights).map((name) => prefix + name),
      );
    }
  });

  it("lists what it does not read, and refuses that by name alone", async () => {
    const { tensors } = await fixture("unread.pt");
    const told = [];
    for (const { name, dtype, shape, read } of tensors.values()) {
      told.push([
        name,
        dtype,
        shape.join("x"),
        await read().then(
          () => "read",
          (error: Error) => error.message,
        ),
      ]);
    }
    expect(told).toEqual([
      [
        "quantized",
        "quint8",
        "2",
        expect.stringContaining('tensor "quantized": values of type quint8 are not read; convert it'),
      ],
      [
        "sparse",
        "sparse_coo",
        "2x2",
        expect.stringContaining('tensor "sparse": values of type sparse_coo are not read; convert it'),
      ],
      ["rows", "sparse_csr", "2x2", expect.stringContaining("values of type sparse_csr are not read")],
      [
        "meta",
        "float32",
        "2x3",
        'unread.pt (PyTorch (zip)): tensor "meta": it was saved on the meta device, without values; convert it to a dense float32 tensor where it was written',
      ],
      ["small", "float8_e4m3fn", "2", expect.stringContaining("values of type float8_e4m3fn are not read")],
      ["whole", "uint16", "2", "read"],
      [
        "nested",
        "_rebuild_nested_tensor",
        "",
        expect.stringContaining("tensors of torch._utils._rebuild_nested_tensor are not read"),
      ],
      ["read", "float32", "2", "read"],
    ]);
  });
});

describe("checkpoints", () => {
  it("gives the model, the optimizer beside it, and what else is there", async () => {
    const { weights }: Network = json("pytorch/volumes.json");
    const checkpoint = await fixture("inert.pt");
    await expectNetwork(checkpoint, { weights } as Network);
    expect([...checkpoint.others.keys()]).toEqual([
      "optimizer.state.0.step",
      "optimizer.state.0.exp_avg",
      "model_ema.linear.bias",
      "history",
      "rng",
    ]);
    expect(Array.from(await numbersOf(checkpoint.others.get("history") as Tensor))).toEqual([
      0, 3, 1, 4, 2, 5,
    ]);
    const { _metadata, ...metadata } = checkpoint.metadata;
    expect(_metadata).toMatchObject({ batch: { version: 2 } });
    expect(metadata).toEqual({
      optimizer: { param_groups: [{ lr: 0.1, betas: [0.9, 0.999] }] },
      args: { lr: 0.1, out: "runs/1" },
      windows: "C:\\runs",
      best: 0.75,
      count: 7,
      yes: true,
      device: "cpu",
      dtype: "torch.float16",
      size: [2, 3],
      epoch: 5,
      name: "tiny",
      nothing: null,
      big: 2 ** 80,
      set: [1, 2],
      counter: { a: 2, b: 1 },
      default: { a: [1] },
      partial: expect.anything(),
      enum: "http.HTTPStatus(200)",
      method: expect.stringMatching(/getattr\(abc, upper\)$/),
      long: [0, 1, 2],
      complex: expect.stringMatching(/complex\(1, 2\)$/),
    });
  });

  it("keeps the optimizer of a checkpoint apart", async () => {
    const { tensors, others, metadata } = await fixture("volumes.checkpoint.pt");
    expect([...tensors.keys()]).toEqual(Object.keys(json("pytorch/volumes.json").weights));
    expect([...others.keys()].slice(0, 3)).toEqual([
      "optimizer_state_dict.state.0.step",
      "optimizer_state_dict.state.0.exp_avg",
      "optimizer_state_dict.state.0.exp_avg_sq",
    ]);
    expect(metadata).toMatchObject({
      epoch: 3,
      loss: 0.25,
      optimizer_state_dict: { param_groups: [{ lr: 0.05 }] },
    });
  });
});

/** Bytes of texts with a character for each, and of others. */
const pickled = (...parts: (string | Uint8Array)[]) =>
  concatenated(
    parts.map((part) =>
      typeof part === "string" ? Uint8Array.from(part, (character) => character.charCodeAt(0)) : part,
    ),
  );
const text = (value: string) => `X${String.fromCharCode(value.length)}\0\0\0${value}`;
const storage = (key: string) => `(${text("storage")}ctorch\nFloatStorage\n${text(key)}${text("cpu")}K\x02tQ`;
const rebuilt = (key: string) =>
  `ctorch._utils\n_rebuild_tensor_v2\n(${storage(key)}K\0K\x02\x85K\x01\x85\x89)tR`;
const pair = (first: number, second: number) => new Uint8Array(Float32Array.of(first, second).buffer);
/** An archive of a pickle, with two values in each of its storages. */
const archive = (pickle: string, ...more: [string, Uint8Array][]) =>
  writeZip([
    ["m/data.pkl", pickled(`\x80\x02${pickle}.`)],
    ["m/data/0", pair(1, 2)],
    ["m/data/1", pair(3, 4)],
    ...more,
  ]);

describe("archives written by hand", () => {
  const names = async (bytes: Uint8Array) => {
    const { tensors, others } = await opened(bytes);
    return [[...tensors.keys()], [...others.keys()]];
  };
  const state = (key: string) => `}(${text("w")}${rebuilt(key)}u`;

  it("keeps the paths of several models, and averages apart from them", async () => {
    const two = `}(${text("generator")}${state("0")}${text("critic")}${state("1")}${text("generator_ema")}${state("0")}u`;
    expect(await names(archive(two))).toEqual([["generator.w", "critic.w"], ["generator_ema.w"]]);
    const average = `}${text("ema")}${state("0")}s`;
    expect(await names(archive(average))).toEqual([["ema.w"], []]);
  });

  it("leaves a state dict's own tensors to it, whatever they are called", async () => {
    const named = `}(${text("optimizer.w")}${rebuilt("0")}${text("model")}${rebuilt("1")}${text("ema")}${rebuilt("1")}u`;
    expect(await names(archive(named))).toEqual([["optimizer.w", "model", "ema"], []]);
  });

  it("reads the wrappers of tensors, of all times", async () => {
    const wrapped = {
      parameter: `ctorch._utils\n_rebuild_parameter\n(${rebuilt("0")}\x88)tR`,
      "parameter with state": `ctorch._utils\n_rebuild_parameter_with_state\n(${rebuilt("0")}\x88)}tR`,
      "parameter of 0.3": `ctorch.nn.parameter\nParameter\n(${rebuilt("0")}tR(\x88\x89)tb`,
      subclass:
        `ctorch._tensor\n_rebuild_from_type_v2\n(ctorch._utils\n_rebuild_tensor_v2\n` +
        `cfastai.torch_core\nTensorBase\n(${storage("0")}K\0K\x02\x85K\x01\x85\x89)t}tR`,
      "subclass of 1.7":
        `ctorch._tensor\n_rebuild_from_type\n(ctorch._utils\n_rebuild_tensor_v2\n` +
        `cn\nT\n(${storage("0")}K\0K\x02\x85K\x01\x85\x89)t}tR`,
      "size as torch.Size": `ctorch._utils\n_rebuild_tensor\n(${storage("0")}K\0ctorch\nSize\nK\x02\x85\x85RK\x01\x85tR`,
    };
    const all = Object.entries(wrapped).map(([name, one]) => text(name) + one);
    const { tensors } = await opened(archive(`}(${all.join("")}u`));
    expect([...tensors.keys()]).toEqual(Object.keys(wrapped));
    for (const [name, tensor] of tensors) expect(await tensor.read(), name).toEqual(Float32Array.of(1, 2));
  });

  it("TorchScript: constants of the code are beside the weights", async () => {
    const scripted = `c__torch__\nNet\n)\x81}(${text("w")}${rebuilt("0")}${text("training")}\x89ub`;
    const { format, tensors, others, modules } = await opened(
      archive(
        scripted,
        ["m/constants.pkl", pickled(`\x80\x02(${rebuilt("0")}t.`)],
        ["m/constants/0", pair(5, 6)],
        [
          "m/code/__torch__.py",
          pickled('class Net(Module):\n  eps : Final[float] = 1.\n  mode : Final[str] = "a"\n'),
        ],
      ),
    );
    expect([format, [...tensors.keys()], [...others.keys()]]).toEqual([
      "TorchScript",
      ["w"],
      ["CONSTANTS.0"],
    ]);
    expect(await others.get("CONSTANTS.0")?.read()).toEqual(Float32Array.of(5, 6));
    expect(modules).toEqual([
      {
        name: "Net",
        type: "Net",
        config: { eps: 1, mode: "a", training: false },
        tensors: { w: tensors.get("w") },
      },
    ]);
  });

  it("reads of an archive what is asked for", async () => {
    const large = writeZip([
      ["m/data.pkl", pickled(`\x80\x02}(${text("a")}${rebuilt("0")}${text("b")}${rebuilt("1")}u.`)],
      ["m/data/0", new Uint8Array(2 ** 23)],
      ["m/data/1", pair(3, 4)],
    ]);
    let read = 0;
    const { tensors } = await open({
      byteLength: large.length,
      slice(start, end) {
        read += end - start;
        return large.slice(start, end).buffer;
      },
    });
    expect(await tensors.get("b")?.read()).toEqual(Float32Array.of(3, 4));
    expect(read).toBeLessThan(2 ** 18);
  });
});

describe("pickles that are not PyTorch's", () => {
  it.each([0, 2, 5])("arrays of an unknown class, protocol %i", async (protocol) => {
    const { format, framework, tensors } = await fixture(`estimator.protocol${protocol}.pkl`);
    expect([format, framework]).toEqual(["pickle", undefined]);
    expect([...tensors.keys()]).toEqual(["coef_"]);
    const coefficients = tensors.get("coef_") as Tensor;
    expect([coefficients.dtype, coefficients.shape, await coefficients.read()]).toEqual([
      "float64",
      [2, 2],
      Float64Array.of(0.5, 2.5, 1.5, 3.5),
    ]);
  });

  it("refuses one without arrays", async () => {
    expect(await message(bytesOfFixture("pytorch/numbers.pkl"))).toBe(
      "model.pt (pickle): expected tensors or arrays, there are none in the pickle; save the model's state_dict() with torch.save, or its arrays with numpy.savez",
    );
  });

  it("refuses the tar archives of 2016, and TorchScript before 1.4", async () => {
    const tar = new Uint8Array(1024);
    tar.set(new TextEncoder().encode("sys_info"));
    tar.set(new TextEncoder().encode("ustar"), 257);
    expect(await message(tar)).toBe(
      "model.pt (PyTorch (tar)): the tar archives of 2016 are not read; load it with PyTorch and save it again with torch.save",
    );
    expect(
      await message(
        writeZip([
          ["model/version", Uint8Array.of(49)],
          ["model/model.json", Uint8Array.of(123, 125)],
        ]),
      ),
    ).toBe(
      "model.pt (PyTorch (zip)): expected an entry data.pkl, there is none; a model.json is there, of TorchScript before 1.4; load it with PyTorch 1.4 or later and save it again",
    );
  });

  it("does not claim the files of others", () => {
    const claims = (bytes: Uint8Array) => pytorch.matches(bytes, filesIn({ file: bytes }));
    const text = (value: string) => new TextEncoder().encode(value);
    // safetensors with a header of 640 bytes begins as a pickle of protocol 2 does
    const header = concatenated([Uint8Array.of(0x80, 2, 0, 0, 0, 0, 0, 0), text("{".padEnd(640))]);
    expect(
      [
        header,
        text('{"a": 1}'),
        text("\x89HDF\r\n\x1a\n"),
        writeZip([["metadata.json", text("{}")]]),
        writeZip([["a.npy", text("x")]]),
      ].map(claims),
    ).toEqual([false, false, false, false, false]);
  });
});

describe("fastai", () => {
  const network: Network = json("fastai/network.json");
  const read = (name: string) => opened(bytesOfFixture(`fastai/${name}`), name);

  it("learn.export: the Learner's model, its modules named within it", async () => {
    const checkpoint = await read("export.pkl");
    expect(checkpoint.framework).toBe("fastai");
    await expectNetwork(checkpoint, network);
    expectModules(checkpoint, network, true);
    expect(checkpoint.modules[0]).toMatchObject({ name: "0", type: "ConvLayer" });
    expect(checkpoint.metadata).toMatchObject({ lr: 0.2 });
  });

  it("learn.save, with the optimizer and without", async () => {
    for (const file of ["model.pth", "model-opt.pth"]) {
      const checkpoint = await read(file);
      await expectNetwork(checkpoint, network);
      expect(checkpoint.framework).toBe("pytorch");
      expect([...checkpoint.others.keys()].every((name) => name.startsWith("opt."))).toBe(true);
    }
  });

  it("learn.export of fastai 1: a dict with the model", async () => {
    const first: Network = json("fastai/version1.json");
    const checkpoint = await read("version1.pkl");
    expect(checkpoint.framework).toBe("fastai");
    await expectNetwork(checkpoint, first);
    expectModules(checkpoint, first, true);
    expect(checkpoint.modules.map(({ name, type }) => `${name} ${type}`)).toEqual([
      "0 BatchNorm1d",
      "1 Linear",
      "2 ReLU",
      "3 BatchNorm1d",
      "4 Dropout",
      "5 Linear",
    ]);
    expect(checkpoint.metadata).toMatchObject({ train_bn: true, cls: "fastai.basic_train.Learner" });
  });
});

describe("hostile pickles", () => {
  const tensor = "ctorch._utils\n_rebuild_meta_tensor_no_storage\n(ctorch\nfloat32\nK\x01\x85K\x01\x85\x89tR";

  it("walks a hundred thousand levels", async () => {
    const deep = 100_000;
    const { tensors } = await opened(pickled("\x80\x02", "]".repeat(deep), tensor, "a".repeat(deep), "."));
    expect([...tensors.keys()].map((name) => name.length)).toEqual([2 * deep - 1]);
  });

  it("walks shared and cyclic references once", async () => {
    // twenty lists, each of ten times the one before; and one that holds itself
    const laughs = Array.from(
      { length: 20 },
      (_, i) => `]q${String.fromCharCode(i + 1)}(${`h${String.fromCharCode(i)}`.repeat(10)}e`,
    );
    const { tensors } = await opened(pickled("\x80\x02]q\x00", tensor, "a", ...laughs, "h\x14a."));
    expect(tensors.size).toBe(1);
  });

  it("bounds modules that are shared in each other", async () => {
    const module = (children: string) =>
      `cn\nM\n)\x81}(X\x0b\x00\x00\x00_parameters}X\x08\x00\x00\x00_modules}(${children}uub`;
    const parts = Array.from({ length: 30 }, (_, i) => {
      const last = `h${String.fromCharCode(i)}`;
      return `${module(i === 0 ? "" : `X\x01\x00\x00\x00a${last}X\x01\x00\x00\x00b${last}`)}q${String.fromCharCode(i + 1)}0`;
    });
    expect(await message(pickled("\x80\x02", ...parts, "h\x1e."))).toBe(
      "model.pt (pickle): expected names and options of at most 33554432 characters in all, got more; the file seems damaged: fetch or write it again",
    );
  });

  it("names a missing storage, and one that is too short", async () => {
    const bytes = bytesOfFixture("pytorch/images.state.legacy.pt");
    expect(await message(bytes.slice(0, -4))).toMatch(
      /^model\.pt \(PyTorch \(legacy\) at byte \d+\): expected \d+ bytes of storage \d+, there are \d+; /,
    );
    const entry =
      "(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x02tQ";
    const state = pickled(
      "\x80\x02}X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n(",
      entry,
      "K\x00K\x02\x85K\x01\x85\x89}tRs.",
    );
    expect(await message(writeZip([["m/data.pkl", state]]))).toBe(
      "model.pt (PyTorch (zip)): expected an entry data/0, there is none; the file seems damaged: fetch or write it again",
    );
    expect(
      await message(
        writeZip([
          ["m/data.pkl", state],
          ["m/data/0", new Uint8Array(7)],
        ]),
      ),
    ).toBe(
      'model.pt/m/data/0 (PyTorch (zip) at byte 0): tensor "w": expected 8 bytes for [2] of float32, there are 7; the file seems damaged: fetch or write it again',
    );
  });

  it("encodes the text of Python 2's arrays once, however many share it", async () => {
    const length = 2 ** 20;
    const shared = pickled(
      "\x80\x02X",
      new Uint8Array(Uint32Array.of(length).buffer),
      "a".repeat(length),
      "q\x000",
    );
    const type = "cnumpy\ndtype\nU\x02u1\x85R";
    const array = `cnumpy.core.multiarray\n_reconstruct\n)R(K\x01K\x01\x85${type}\x89h\x00tb`;
    const before = process.memoryUsage().arrayBuffers;
    const { tensors } = await opened(pickled(shared, "](", array.repeat(500), "e."));
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(100 * length);
    expect(tensors.size).toBe(500);
    expect(await tensors.get("499")?.read()).toEqual(Uint8Array.of(97));
  });

  it("reads views in legacy storages", async () => {
    const storage = (view: string) =>
      `(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x00kX\x03\x00\x00\x00cpuK\x04${view}tQ`;
    const file = (view: string) =>
      pickled(
        "\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}.",
        `\x80\x02}X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor\n(${storage(view)}K\x01K\x01\x85K\x01\x85tRs.`,
        "\x80\x02]X\x01\x00\x00\x00ka.",
        new Uint8Array(BigInt64Array.of(4n).buffer),
        new Uint8Array(Float32Array.of(1, 2, 3, 4).buffer),
      );
    const value = async (view: string) => (await opened(file(view))).tensors.get("w")?.read();
    expect(await value("")).toEqual(Float32Array.of(2));
    expect(await value("N")).toEqual(Float32Array.of(2));
    expect(await value("(X\x01\x00\x00\x00vK\x01K\x02t")).toEqual(Float32Array.of(3));
    expect(await message(file("(X\x01\x00\x00\x00vG\x3f\xe0\0\0\0\0\0\0K\x02t"))).toBe(
      "model.pt (PyTorch (legacy)): expected the id of a storage, got a list; the file seems damaged: fetch or write it again",
    );
    expect(await message(file("(X\x01\x00\x00\x00vK\x03K\x02t"))).toBe(
      "model.pt (PyTorch (legacy)): expected a view within the 16 bytes of storage k, got 12 to 20; the file seems damaged: fetch or write it again",
    );
  });
});

describe("files from the wild", () => {
  const read = (name: string) => opened(new Uint8Array(readFileSync(modelFile(name))), name);
  const finite = async (checkpoint: Checkpoint) => {
    for (const tensor of checkpoint.tensors.values()) {
      expect((await numbersOf(tensor)).every(Number.isFinite), tensor.name).toBe(true);
    }
  };
  const all = {
    "facenet-pnet.pt": [13, 0],
    "facenet-rnet.pt": [16, 0],
    "burn-mnist.pt": [20, 0],
    "burn-batch_norm2d.pt": [5, 0],
    "burn-group_norm.pt": [2, 0],
    "burn-layer_norm.pt": [2, 0],
    "burn-complex_nested.pt": [23, 0],
    "burn-simple_legacy.pt": [3, 0],
    "burn-legacy_shared_storage.pt": [3, 0],
    "burn-bfloat16.pt": [1, 0],
    "burn-scalar.pt": [1, 0],
    "burn-checkpoint.pt": [4, 1],
    "burn-mixed_types.pt": [4, 0],
    "executorch-KeywordSpotting-model.pth": [56, 0],
  };
  for (const [name, counts] of Object.entries(all)) {
    itWithModel(`pytorch/${name}`)(name, async () => {
      const checkpoint = await read(`pytorch/${name}`);
      expect([checkpoint.tensors.size, checkpoint.others.size]).toEqual(counts);
      await finite(checkpoint);
    });
  }
});

const small = readdirSync(`${folder}pytorch`)
  .filter(
    (name) => /\.(pt|pkl)$/.test(name) && !/zip64|float16|compiled|parallel|images\.state\.pt/.test(name),
  )
  .map((name): Fixture => ({ [name]: bytesOfFixture(`pytorch/${name}`) }));
fuzz("PyTorch", [...small, { "export.pkl": bytesOfFixture("fastai/export.pkl") }], (files) =>
  pytorch.read(files),
);
