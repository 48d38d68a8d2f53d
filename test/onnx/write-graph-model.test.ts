/** Graph models of TensorFlow.js with mends, run in TensorFlow.js. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import "@tensorflow/tfjs-backend-cpu";
import { loadGraphModel } from "@tensorflow/tfjs-converter";
import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, it } from "vitest";
import { CheckpointError } from "../../src/checkpoints/errors.js";
import type { Mend, NewNode } from "../../src/checkpoints/graphs/graph.js";
import { type Model, openModel } from "../../src/onnx/model.js";
import { written } from "../../src/onnx/write.js";
import { mutated, random } from "../checkpoints/support/fuzz.js";
import { newConstant } from "../support/onnx-models.js";
import { bytesIn } from "./support.js";

const folder = fileURLToPath(new URL("../fixtures/checkpoints/tensorflowjs/graph/", import.meta.url));
const json = new Uint8Array(readFileSync(`${folder}model.json`));
const given = () => openModel(`${folder}model.json`);

const node = (
  operator: string,
  inputs: string,
  name: string,
  attributes: NewNode["attributes"] = {},
): NewNode => ({
  name,
  operator,
  domain: "",
  inputs: inputs.split(" "),
  outputs: [name],
  attributes,
});

/** In place of the node of a name. */
function mend({ graph }: Model, name: string, nodes: readonly NewNode[], rest: Partial<Mend> = {}): Mend {
  const found = graph.nodes.filter((one) => one.name === name);
  return {
    title: `mend of ${name}`,
    graph,
    replaces: found,
    nodes,
    at: found[0],
    constants: [],
    opsets: {},
    outputs: [name],
    ...rest,
  };
}

/** The outputs that TensorFlow.js computes of model.json and shards. */
async function predicted(model: Uint8Array, shards: readonly Uint8Array[], x: tf.Tensor, output?: string) {
  const { modelTopology, weightsManifest, signature } = JSON.parse(new TextDecoder().decode(model));
  const weightData = Uint8Array.from(shards.flatMap((shard) => [...shard])).buffer;
  const weightSpecs = weightsManifest.flatMap((group: { weights: unknown[] }) => group.weights);
  const network = await loadGraphModel({
    load: async () => ({ modelTopology, weightSpecs, weightData, signature }),
  });
  const y = network.execute(x, output) as tf.Tensor;
  return Array.from(await y.data());
}

describe("a graph model", () => {
  it("without changes is the same bytes, and other files are not written", async () => {
    const { files, dropped } = await written(await given());
    expect(files.map(({ name }) => name)).toEqual(["model.json"]);
    expect(Buffer.compare(await bytesIn(files[0]), json)).toBe(0);
    expect(dropped).toEqual({ nodes: 0, constants: 0 });
  });

  it("with mends gives what TensorFlow.js computes: nodes, attributes and constants are read again", async () => {
    const type = { type: "DT_FLOAT" };
    const topology = {
      versions: { producer: 1 },
      node: [
        { name: "x", op: "Placeholder", attr: { dtype: type } },
        { name: "axis", op: "Const", attr: { dtype: { type: "DT_INT32" } } },
        { name: "scale", op: "Const", attr: { dtype: type } },
        { name: "mean", op: "Mean", input: ["x", "axis"], attr: { T: type, keep_dims: { b: true } } },
        { name: "d", op: "Sub", input: ["x", "mean"], attr: { T: type } },
        { name: "y", op: "Mul", input: ["d", "scale"], attr: { T: type } },
      ],
    };
    const listed = [
      { name: "axis", shape: [1], dtype: "int32" },
      { name: "scale", shape: [2], dtype: "float32" },
    ];
    const before = new TextEncoder().encode(
      JSON.stringify({ modelTopology: topology, weightsManifest: [{ paths: ["a.bin"], weights: listed }] }),
    );
    const shard = new Uint8Array(12);
    new Int32Array(shard.buffer)[0] = 1;
    new Float32Array(shard.buffer, 4).set([3, -2]);
    const model = await openModel(
      new Map([
        ["model.json", before],
        ["a.bin", shard],
      ]),
    );
    const nodes = [
      node("Sum", "x last", "sum", { keep_dims: { integer: 1 }, T: "float32", Tidx: "int32" }),
      node("Mul", "sum half", "mean", { T: "float32" }),
    ];
    const constants = [newConstant("last", [-1], [1], "int64"), newConstant("half", 0.5)];
    const { files, dropped } = await written(model, { mends: [mend(model, "mean", nodes, { constants })] });
    expect(files.map(({ name }) => name)).toEqual(["model.json", "mended-shard1of1.bin"]);
    // the mean and its axis
    expect(dropped).toEqual({ nodes: 2, constants: 0 });
    const [mended, more] = [await bytesIn(files[0]), await bytesIn(files[1])];
    const x = tf.tensor([1, 3, 5, -2, 0.5, 4], [3, 2]);
    const expected = await predicted(before, [shard], x);
    expect(await predicted(mended, [shard, more], x)).toEqual(expected);
    expect(expected[0]).toBe(-3);
  });

  it("keeps all else as it is written", async () => {
    const topology =
      '{"node": [{"name":"x","op":"Placeholder","attr":{"f":{"f":1.0E-3 }}},\n {"name":"h","op":"Neg","input":["x"]}, {"op":"Abs","name":"y","input":["h"]}],\t"versions":{}}';
    const text = `{ "modelTopology" : ${topology}, "more": NaN}`;
    const model = await openModel(new Map([["model.json", new TextEncoder().encode(text)]]));
    const own = mend(model, "y", [node("Exp", "x", "y")], { constants: [newConstant("c", [1])] });
    const { files } = await written(model, { mends: [own], name: "other.json" });
    expect(new TextDecoder().decode(await bytesIn(files[0]))).toBe(
      `{"weightsManifest": [{"paths":["mended-shard1of1.bin"],"weights":[{"name":"c","shape":[1],"dtype":"float32"}]}],  ` +
        `"modelTopology" : {"node": [{"name":"c","op":"Const","attr":{"dtype":{"type":"DT_FLOAT"},"value":{"tensor":{"dtype":"DT_FLOAT","tensorShape":{"dim":[{"size":"1"}]}}}}},\n ` +
        `{"name":"x","op":"Placeholder","attr":{"f":{"f":1.0E-3 }}},\n ` +
        `{"name":"y","op":"Exp","input":["x"],"attr":{}}],\t"versions":{}}, "more": NaN}`,
    );
  });

  it("keeps what others wait for, and what is observed", async () => {
    const nodes = [
      { name: "x", op: "Placeholder" },
      { name: "first", op: "Neg", input: ["x"] },
      { name: "second", op: "Abs", input: ["x"] },
      { name: "third", op: "Exp", input: ["x"] },
      { name: "y", op: "AddN", input: ["first", "second", "third"] },
      { name: "z", op: "Sqrt", input: ["x", "^first"] },
    ];
    const text = JSON.stringify({ modelTopology: { node: nodes } });
    const model = await openModel(new Map([["model.json", new TextEncoder().encode(text)]]));
    const { files } = await written(model, {
      mends: [mend(model, "y", [node("Neg", "x", "y")])],
      observe: ["second"],
    });
    const again = await openModel(new Map([["model.json", await bytesIn(files[0])]]));
    expect(again.graph.nodes.map(({ name }) => name)).toEqual(["x", "first", "second", "y", "z"]);
    await expect(written(model, { observe: ["w"] })).rejects.toThrow('got "w", which is none');
  });

  it("mends the body of a function where it is", async () => {
    const body = (name: string) => ({
      signature: { name, inputArg: [{ name: "a", type: "DT_FLOAT" }], outputArg: [{ name: "out" }] },
      nodeDef: [
        { name: "h", op: "Neg", input: ["a"] },
        { name: "r", op: "Abs", input: ["h:y:0"] },
      ],
      ret: { out: "r:y:0" },
    });
    const topology = {
      node: [{ name: "x", op: "Placeholder" }],
      library: { function: [body("f"), body("g")] },
    };
    const text = JSON.stringify({ modelTopology: topology });
    const model = await openModel(new Map([["model.json", new TextEncoder().encode(text)]]));
    const graph = model.graphs[2];
    const own = { ...mend({ ...model, graph }, "r", [node("Exp", "a", "r")]) };
    const { files } = await written(model, { mends: [own] });
    const { library } = JSON.parse(new TextDecoder().decode(await bytesIn(files[0]))).modelTopology;
    expect(library.function[0]).toEqual(body("f"));
    expect(library.function[1].nodeDef).toEqual([{ name: "r", op: "Exp", input: ["a"], attr: {} }]);
  });

  it("refuses a node whose value is of another name", async () => {
    const model = await given();
    const own = mend(model, "Identity", [{ ...node("Neg", "x", "Identity"), name: "other" }]);
    await expect(written(model, { mends: [own] })).rejects.toThrow(
      'written: a node of TensorFlow gives a value of its own name, got "other" for "Identity"',
    );
  });

  it("that is damaged is written or refused, and what is written opens", async () => {
    const next = random(7);
    let wrote = 0;
    for (let i = 0; i < Number(process.env.FUZZ ?? 400); i++) {
      const bytes = mutated(json, next);
      try {
        const model = await openModel(new Map([["model.json", bytes]]));
        const [found] = model.graph.nodes.filter(({ inputs }) => inputs.length > 0);
        const own = found && mend(model, found.name, [node("Identity", found.inputs[0], found.name)]);
        const { files } = await written(model, { mends: own ? [own] : [] });
        const again = await openModel(new Map([["model.json", await bytesIn(files[0])]]));
        if (own) expect(again.graph.nodes.find(({ name }) => name === found.name)?.operator).toBe("Identity");
        wrote++;
      } catch (error) {
        if (error instanceof CheckpointError) continue;
        if (error instanceof RangeError && error.message.startsWith("written: ")) continue;
        throw new Error(`mutation ${i}`, { cause: error });
      }
    }
    expect(wrote).toBeGreaterThan(10);
  });
});
