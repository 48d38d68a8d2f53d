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
