import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import type { Checkpoint } from "../../../src/checkpoints/checkpoint.js";
import { mxnet } from "../../../src/checkpoints/formats/mxnet.js";
import { open } from "../../../src/checkpoints/open.js";
import { type Fixture, filesIn, fuzz } from "../support/fuzz.js";
import { itWithModel, modelFile } from "../support/shared-models.js";

const folder = fileURLToPath(new URL("../../fixtures/checkpoints/mxnet/", import.meta.url));
const bytesOf = (name: string) => new Uint8Array(readFileSync(folder + name));
const network = (name: string) => JSON.parse(readFileSync(`${folder}${name}.json`, "utf8"));
const opened = (name: string) => open(folder + name);
/** A checkpoint of files in memory, the first opened. */
const given = (fixture: Fixture) => mxnet.read(filesIn(fixture));
const text = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));

async function expectWeights(checkpoint: Checkpoint, weights: object, names: Record<string, string> = {}) {
  expect([...checkpoint.tensors.keys()].sort()).toEqual(
    Object.keys(weights)
      .map((name) => names[name] ?? name)
      .sort(),
  );
  for (const [name, { shape, values }] of Object.entries(weights)) {
    const tensor = checkpoint.tensors.get(names[name] ?? name);
    expect(tensor?.shape).toEqual(shape);
    expect(await tensor?.read(), name).toEqual(Float32Array.from(values));
  }
}

const module = (checkpoint: Checkpoint, name: string) => {
  const found = checkpoint.modules.find((one) => one.name === name);
  if (found === undefined) throw new Error(`no module ${name}`);
  return found;
};

describe("Gluon", () => {
  const { weights, names, files, normalizations, version } = network("gluon");

  it.each(["Gluon save_parameters", "Gluon save_parameters (V3)"])(
    "%s: names by the blocks' structure, no modules",
    async (format) => {
      const checkpoint = await opened(files[format]);
      await expectWeights(checkpoint, weights);
      expect(checkpoint).toMatchObject({
        format: "MXNet",
        framework: "gluon",
        version: undefined,
        modules: [],
      });
      expect(checkpoint.metadata).toEqual({});
      expect(checkpoint.byteLength).toBe(bytesOf(files[format]).length);
    },
  );

  it("ParameterDict.save: names by the blocks' prefixes", async () => {
    // alone, since the folder has the exported symbol, whose variables have these names
    const checkpoint = await given({ "dictionary.params": bytesOf("dictionary.params") });
    await expectWeights(checkpoint, weights, names);
    expect(checkpoint.framework).toBe("gluon");
  });

  it.each(["MXNet export", "MXNet export, by its symbol"])(
    "%s: modules with the options that the layers had",
    async (format) => {
      const checkpoint = await opened(files[format]);
      await expectWeights(checkpoint, weights, names);
      expect(checkpoint).toMatchObject({ framework: "mxnet", version });
      expect(checkpoint.metadata).toMatchObject({
        epoch: 8,
        parameters: "exported-0008.params",
        symbol: "exported-symbol.json",
      });
      const norms = checkpoint.modules.filter(({ type }) => type.endsWith("Norm"));
      expect(norms.map(({ type }) => type)).toEqual(normalizations.map((one: { type: string }) => one.type));
      for (const [index, { name, type, options }] of normalizations.entries()) {
        const { config, tensors } = norms[index];
        expect(Number(config.eps)).toBeCloseTo(options.eps ?? options.epsilon, 9);
        expect(tensors.gamma.name).toBe(names[`${name}.gamma`]);
        expect(tensors.beta.name).toBe(names[`${name}.beta`]);
        if (type !== "BatchNorm") continue;
        expect(config).toMatchObject({ axis: "1", fix_gamma: options.fix_gamma ? "True" : "False" });
        expect(Number(config.momentum)).toBe(options.momentum);
        expect(Object.keys(tensors)).toEqual(["gamma", "beta", "moving_mean", "moving_var"]);
        expect(tensors.moving_var.name).toBe(names[`${name}.running_var`]);
      }
    },
  );

  it("group normalization has gamma and beta per group", async () => {
    const { tensors, config } = module(await opened("exported-symbol.json"), "net_groupnorm0_groupnorm0");
    expect(config).toMatchObject({ num_groups: "2" });
    expect(tensors.gamma.shape).toEqual([2]);
  });
});

describe("MXNet", () => {
  const { weights, files, version, normalizations } = network("module");

  it.each(Object.entries(files as Record<string, string>))("%s: tensors and modules", async (_, file) => {
    const checkpoint = await opened(file);
    await expectWeights(checkpoint, weights);
    expect(checkpoint).toMatchObject({ format: "MXNet", framework: "mxnet" });
    expect(checkpoint.metadata.epoch).toBe(8);
    expect([...(checkpoint.metadata.auxiliary as string[])].sort()).toEqual(
      Object.keys(weights)
        .filter((name) => /_moving_(mean|var)$/.test(name))
        .sort(),
    );
    const [{ name, type, tensors }] = checkpoint.modules;
    expect([name, type, Object.keys(tensors)]).toEqual(["conv0", "Convolution", ["weight", "bias"]]);
    expect(Object.keys(module(checkpoint, "conv1").tensors)).toEqual(["weight"]);
    const norms = checkpoint.modules.filter((one) => /Norm|LRN/.test(one.type));
    expect(norms.map((one) => [one.name, one.type])).toEqual(
      normalizations.map((one: { name: string; type: string }) => [one.name, one.type]),
    );
    for (const [index, { options }] of normalizations.entries())
      expect(options).toMatchObject(norms[index].config);
    const batch = module(checkpoint, "bn_learned");
    expect(batch.config).toEqual({ eps: "2e-05", fix_gamma: "False", momentum: "0.8" });
    expect(Object.values(batch.tensors).map((one) => one.name)).toEqual([
      "bn_learned_gamma",
      "bn_learned_beta",
      "bn_learned_moving_mean",
      "bn_learned_moving_var",
    ]);
    expect(module(checkpoint, "bn_global").config).toMatchObject({ use_global_stats: "True" });
    expect(module(checkpoint, "lrn")).toMatchObject({ config: { alpha: "0.1", nsize: "3" }, tensors: {} });
  });

  it("the version is the symbol's, where it has one", async () => {
    expect((await opened("module-symbol.json")).version).toBe(version);
    expect((await opened("module_attr-symbol.json")).version).toBe("0.10.0");
    expect((await opened("module_param-symbol.json")).version).toBeUndefined();
  });

  it("mxnet#9624: a gamma that fix_gamma puts out of use is not 1 in the file, and is read as it stands", async () => {
    const { config, tensors } = module(await opened("module-0008.params"), "bn_default");
    expect(config).toEqual({});
    const gamma = await tensors.gamma.read();
    expect(gamma.every((value) => value !== 1)).toBe(true);
    expect(gamma).toEqual(Float32Array.from(weights.bn_default_gamma.values));
  });

  it("mxnet#12514: a BatchNorm without attributes opens, and no default is made up for it", async () => {
    for (const file of ["module-symbol.json", "module_attr-symbol.json", "module_param-symbol.json"]) {
      expect(module(await opened(file), "bn_default")).toMatchObject({ type: "BatchNorm", config: {} });
    }
  });

  it("of several epochs the symbol takes the last", async () => {
    const bytes = bytesOf("module-0008.params");
    const checkpoint = await given({
      "module-symbol.json": bytesOf("module-symbol.json"),
      "module-0009.params": bytes,
      "module-10000.params": bytes,
      "module-0010.params": bytes,
    });
    expect(checkpoint.metadata).toMatchObject({ epoch: 10000, parameters: "module-10000.params" });
  });

  it("a symbol of other parameters in the folder is not theirs", async () => {
    const checkpoint = await given({
      "gluon.params": bytesOf("gluon.params"),
      "other-symbol.json": bytesOf("module-symbol.json"),
    });
    expect(checkpoint).toMatchObject({ framework: "gluon", modules: [] });
  });

  it("weights behind casts of mixed precision are the operator's", async () => {
    const nodes = [
      { op: "null", name: "data", inputs: [] },
      { op: "null", name: "fc_weight", inputs: [] },
      { op: "amp_cast", name: "cast", attrs: { dtype: "float16" }, inputs: [[1, 0, 0]] },
      {
        op: "FullyConnected",
        name: "fc",
        attrs: { no_bias: "True" },
        inputs: [
          [0, 0, 0],
          [2, 0, 0],
        ],
      },
    ];
    const checkpoint = await given({
      "net-0000.params": list([dense([2, 3])], ["arg:fc_weight"]),
      "net-symbol.json": text({ nodes }),
    });
    expect(module(checkpoint, "fc").tensors).toEqual({ weight: checkpoint.tensors.get("fc_weight") });
  });

  it("a name with arg: and aux: keeps the prefix the second time", async () => {
    const checkpoint = await given({ "a.params": list([dense([1]), dense([2])], ["arg:x", "aux:x"]) });
    expect([...checkpoint.tensors].map(([name, { shape }]) => [name, shape])).toEqual([
      ["x", [1]],
      ["aux:x", [2]],
    ]);
  });
});

describe("arrays", () => {
  it("every type, scalars and empty arrays of version 3, and any name", async () => {
    const { tensors } = await opened("types.nd");
    const six = [0, 1, 2, 3, 4, 100];
    const read = async (name: string) => (await tensors.get(name)?.read()) as ArrayLike<number>;
    for (const type of ["float32", "float64", "float16", "uint8", "int32", "int8"]) {
      expect(tensors.get(type)?.dtype).toBe(type);
      expect(Array.from(await read(type))).toEqual(six);
    }
    expect(await read("int64")).toEqual(BigInt64Array.from(six, BigInt));
    expect(await read("bool")).toEqual(Uint8Array.of(0, 1, 1, 1, 1, 1));
    expect([tensors.get("scalar")?.shape, await read("scalar")]).toEqual([[], Float32Array.of(2.5)]);
    expect([tensors.get("empty")?.shape, await read("empty")]).toEqual([[0, 3], new Float32Array()]);
    expect(await read("__proto__")).toEqual(Float32Array.of(1, 2));
  });

  it("types that MXNet 1.9 does not save from Python: int16 to bfloat16", async () => {
    const { tensors } = await given({
      "a.nd": list([
        dense([1], 12, [0x80, 0x3f]),
        dense([1], 8, [0xfe, 0xff]),
        dense([1], 11, [1, 0, 0, 0, 0, 0, 0, 0]),
      ]),
    });
    expect([...tensors.values()].map(({ dtype }) => dtype)).toEqual(["bfloat16", "int16", "uint64"]);
    expect(await Promise.all([...tensors.values()].map((tensor) => tensor.read()))).toEqual([
      Float32Array.of(1),
      Int16Array.of(-2),
      BigUint64Array.of(1n),
    ]);
  });

  it("arrays without names are numbered, and of no framework", async () => {
    const { tensors, framework } = await opened("single.nd");
    expect(framework).toBeUndefined();
    expect(await tensors.get("0")?.read()).toEqual(Float32Array.of(0, 0, 1, 2, 0, 0, 3, 0));
  });

  it("sparse arrays are listed, and refused when they are read", async () => {
    const { tensors } = await opened("sparse.nd");
    expect([...tensors].map(([name, { shape, dtype }]) => [name, shape, dtype])).toEqual([
      ["rows", [4, 2], "row_sparse float32"],
      ["csr", [4, 2], "csr float32"],
      ["dense", [4, 2], "float32"],
    ]);
    await expect(tensors.get("rows")?.read()).rejects.toThrow(
      'sparse.nd (MXNet at byte 100): tensor "rows": values of type row_sparse float32 are not read; ' +
        "convert it to float32, float16 or bfloat16 where it was written",
    );
    expect(await tensors.get("dense")?.read()).toEqual(Float32Array.of(0, 0, 1, 2, 0, 0, 3, 0));
  });

  it("an array without a shape is listed", async () => {
    // version 2 without axes, version 3 with −1 of them
    const none = [words(0xf993fac9, 0, 0), words(0xf993faca, 0, 0xffffffff), words(0xf993fac8, 0), words(0)];
    const { tensors } = await given({ "a.nd": list([...none, dense([1])]) });
    expect([...tensors.values()].map(({ dtype }) => dtype)).toEqual([
      "none",
      "none",
      "none",
      "none",
      "float32",
    ]);
    await expect(tensors.get("0")?.read()).rejects.toThrow("values of type none are not read");
  });
});

describe("refusals", () => {
  const refused = (bytes: Uint8Array) => expect(given({ "a.params": bytes })).rejects;

  it("a file that is cut off", async () => {
    await refused(bytesOf("gluon.params").slice(0, 1000)).toThrow(
      "a.params (MXNet at byte 712): expected the values of [6, 4, 3, 3] of float32, the file ends after 288 bytes; " +
        "the file seems damaged: fetch or write it again",
    );
  });

  it("more arrays than the file can hold", async () => {
    await refused(Uint8Array.from([...words(0x112, 0, 0, 0), ...words(0xffffffff, 0xff)])).toThrow(
      "expected 1099511627775 arrays, the 0 bytes that follow cannot hold them",
    );
  });

  it("types, storage types, axes and names that there are not", async () => {
    await refused(list([dense([1], 13)])).toThrow("expected a type from 0 to 12, got 13");
    await refused(list([words(0xf993fac9, 3)])).toThrow("expected a storage type of 0, 1 or 2, got 3");
    await refused(list([words(77)])).toThrow("expected an array of at most 32 axes, got 77");
    await refused(list([dense([1]), dense([1])], ["a"])).toThrow("expected 2 names or none, got 1");
    await refused(list([dense([1]), dense([1])], ["a", "a"])).toThrow(
      'expected each name once, got "a" again',
    );
  });

  it("a symbol without parameters, and one that is none", async () => {
    await expect(given({ "net-symbol.json": bytesOf("module-symbol.json") })).rejects.toThrow(
      "net-symbol.json (MXNet): expected the parameters of this symbol beside it, such as net-0000.params, there are none; " +
        "put them into its folder, or open both files as a list",
    );
    const nodes = [{ op: "_copy", name: "a", inputs: [[0, 0, 0]] }];
    await expect(given({ "net-symbol.json": text({ nodes }) })).rejects.toThrow(
      "expected node 0 of the symbol to have an op, a name, and inputs before it",
    );
  });
});

itWithModel("mxnet/apache-legacy_ndarray.v0")("apache-legacy_ndarray.v0: version 0, no names", async () => {
  const { tensors, framework } = await open(modelFile("mxnet/apache-legacy_ndarray.v0"));
  expect(framework).toBeUndefined();
  expect([...tensors].map(([name, { shape }]) => [name, shape])).toEqual(
    Array.from({ length: 6 }, (_, index) => [String(index), [128]]),
  );
  const first = Float32Array.from({ length: 128 }, (_, index) => index);
  for (const tensor of tensors.values()) expect(await tensor.read()).toEqual(first);
});

fuzz(
  "MXNet",
  [
    ...readdirSync(folder)
      .filter((name) => /\.(nd|params)$/.test(name))
      .map((name) => ({ [name]: bytesOf(name) })),
    ...["module", "module_attr", "module_param", "exported"].map((name) => ({
      [`${name}-symbol.json`]: bytesOf(`${name}-symbol.json`),
      [`${name}-0008.params`]: bytesOf(`${name}-0008.params`),
    })),
  ],
  mxnet.read,
);

function words(...values: number[]): Uint8Array {
  return new Uint8Array(Uint32Array.from(values).buffer);
}

/** An array of version 2. */
function dense(shape: readonly number[], type = 0, values?: readonly number[]): Uint8Array {
  const size = shape.reduce((product, length) => product * length, 4);
  return Uint8Array.from([
    ...words(0xf993fac9, 0, shape.length, ...shape.flatMap((length) => [length, 0]), 1, 0, type),
    ...(values ?? new Array(size).fill(0)),
  ]);
}

function list(arrays: readonly Uint8Array[], names: readonly string[] = []): Uint8Array {
  const encoded = names.map((name) => new TextEncoder().encode(name));
  return Uint8Array.from([
    ...words(0x112, 0, 0, 0, arrays.length, 0),
    ...arrays.flatMap((array) => [...array]),
    ...words(names.length, 0),
    ...encoded.flatMap((name) => [...words(name.length, 0), ...name]),
  ]);
}
