import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { CheckpointError } from "../../src/checkpoints/errors.js";
import { openModel } from "../../src/onnx/model.js";

const folder = fileURLToPath(new URL("../fixtures/checkpoints/", import.meta.url));
const bytes = (name: string) => new Uint8Array(readFileSync(join(folder, name)));

describe("a model", () => {
  it("of ONNX: what it is, and what it needs beside it", async () => {
    const model = await openModel(join(folder, "onnx/external.onnx"));
    expect(model).toMatchObject({
      file: join(folder, "onnx/external.onnx"),
      format: "onnx",
      irVersion: 10,
      external: ["external.data"],
      producer: "make_onnx.py",
      byteLength: bytes("onnx/external.onnx").length + bytes("onnx/external.data").length,
    });
    expect([...model.opsets]).toEqual([["", 17]]);
    expect(model.graphs[0]).toBe(model.graph);
  });

  it("of several files is the first; files that are missing are named", async () => {
    const model = await openModel(new Map([["a.onnx", bytes("onnx/external.onnx")]]));
    expect([model.file, model.external]).toEqual(["a.onnx", ["external.data"]]);
    await expect(model.graph.constants.get("W")?.read()).rejects.toThrow(
      '"external.data", which is not beside the model',
    );
  });

  it("of TensorFlow.js, with all files that its manifest names", async () => {
    const model = await openModel(join(folder, "tensorflowjs/graph"));
    expect(model).toMatchObject({
      format: "tensorflowjs",
      irVersion: 0,
      external: ["group1-shard1of1.bin"],
      producer: "TensorFlow.js Converter v4.22.0, 2.15.1",
    });
    expect(model.opsets.size).toBe(0);
    expect(model.graph.dialect).toBe("tensorflow");
  });

  it.each([
    ["layers of TensorFlow.js", "tensorflowjs/layers/model.json", "expected a graph model"],
    ["a checkpoint", "onnx/torch.json", "expected an ONNX model, or a graph model of TensorFlow.js"],
  ])("is none of %s", async (_, file, problem) => {
    const error = await openModel(join(folder, file)).catch((one: unknown) => one);
    expect(error).toBeInstanceOf(CheckpointError);
    expect(String(error)).toContain(problem);
  });

  it("is none of nothing", async () => {
    await expect(openModel(new Uint8Array(), { name: "a.onnx" })).rejects.toThrow(
      "a.onnx (ONNX): expected a model with a graph (field 7), there is none",
    );
    await expect(openModel(3 as never)).rejects.toThrow(TypeError);
    await expect(openModel(new Uint8Array(), { nam: "a" } as never)).rejects.toThrow("openModel: ");
  });
});
