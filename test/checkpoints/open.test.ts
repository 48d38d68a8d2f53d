import { describe, expect, it } from "vitest";
import { CheckpointError } from "../../src/checkpoints/errors.js";
import { writeSafetensors } from "../../src/checkpoints/formats/safetensors.js";
import { open } from "../../src/checkpoints/open.js";

const text = (value: string) => new TextEncoder().encode(value);
const file = writeSafetensors([["a", { shape: [2], data: [1, 2] }]]);

describe("open", () => {
  it("tells the format by the bytes, not by the name", async () => {
    const { format, file: name } = await open(new File([file as BlobPart], "model.h5"));
    expect([format, name]).toEqual(["safetensors", "model.h5"]);
    expect((await open(file, { name: "mine" })).file).toBe("mine");
  });

  it("refuses an empty file", async () => {
    await expect(open(new Uint8Array(), { name: "a.pt" })).rejects.toThrow(
      "a.pt (unknown): the file is empty; fetch or write it again",
    );
  });

  it("names the formats where the bytes are of none", async () => {
    const error = await open(Uint8Array.of(1, 2, 3), { name: "a" }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(CheckpointError);
    expect(error).toMatchObject({ name: "CheckpointError", format: "unknown", offset: undefined });
    expect(String(error)).toMatch(
      /^CheckpointError: a \(unknown\): expected one of .*safetensors.*, its first bytes are 01 02 03; convert it where it was written, to safetensors for example$/,
    );
  });

  it("knows a pointer of Git LFS and a web page", async () => {
    const pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n";
    await expect(open(text(pointer), { name: "a.bin" })).rejects.toThrow(
      "a.bin (unknown): expected a checkpoint, got a pointer of Git LFS to one; run git lfs pull, or download the file itself",
    );
    await expect(open(text("\n<!DOCTYPE html><html>"), { name: "a.bin" })).rejects.toThrow(
      "a.bin (unknown): expected a checkpoint, got a web page; download the file itself, not the page that shows it",
    );
  });

  it.each([
    [
      "Entry not found",
      "a server's refusal; check the address and the permission, and download the file itself",
    ],
    ["GGUF\x03\0\0\0", "GGUF of llama.cpp; open the safetensors that it was converted from"],
    ["\x1c\0\0\0TFL3", "TensorFlow Lite; open the model that it was converted from"],
    ["\x08\x06\x12\x20 com.github.apple.coremltools", "Core ML; open the model that it was converted from"],
    ['{"com.apple.CoreML": 1}', "Core ML; open the model that it was converted from"],
    ['<?xml version="1.0"?>\n<net name="a">', "OpenVINO; open the model that it was converted from"],
    ["node {\n", "a graph as text; write it in binary: tf.io.write_graph(..., as_text=False)"],
    [
      "\x80\x04\x95\0\x8c\x13joblib.numpy_pickle\x94",
      "joblib; load it with joblib, and save its arrays with numpy.savez",
    ],
    ["x\x9c\x01", "zlib, as of joblib; load it with joblib, and save its arrays with numpy.savez"],
    ["\x1f\x8b\x08\0", "gzip; unpack it, and open what is in it"],
    [`x.txt${"\0".repeat(252)}ustar`, "a tar archive; unpack it, and open what is in it"],
    ["PK\x03\x04", "a ZIP archive of something else; unpack it, and open what is in it"],
    ["\x89PNG\r\n", "an image; there is no network in it to read"],
    ["PAR1", "a table; there is no network in it to read"],
    [
      '{"a": 1}',
      "JSON that describes none; open the file of the weights, or the index that lists where they lie",
    ],
  ])("says what %j begins", async (beginning, what) => {
    const bytes = Uint8Array.from(beginning, (character) => character.charCodeAt(0));
    await expect(open(bytes, { name: "a" })).rejects.toThrow(
      `a (unknown): expected a checkpoint, got ${what}`,
    );
  });

  it("sends from a file of TensorFlow.js's weights to its model", async () => {
    await expect(open(Uint8Array.of(1, 2, 3), { name: "group1-shard1of2.bin" })).rejects.toThrow(
      "its first bytes are 01 02 03; open the model.json beside it, whose weights it holds",
    );
  });

  it("checks its options", async () => {
    await expect(open(file, { nmae: "a" } as object)).rejects.toThrow(
      'open: no option is called "nmae"; did you mean "name"? There are name',
    );
  });

  it.each([1, 2, 7, 8, 9, 16, 100])("refuses %i bytes of anything with a CheckpointError", async (length) => {
    for (const fill of [0, 0x7b, 0x80, 0x0a, 0xff, 0x50]) {
      await expect(open(new Uint8Array(length).fill(fill))).rejects.toThrow(CheckpointError);
    }
  });
});
