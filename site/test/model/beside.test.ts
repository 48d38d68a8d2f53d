import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { bytesOfParts, find, mendsOf, openModel, written } from "evenkeel/onnx";
import { expect, it } from "vitest";
import { besideOf, blobOf, type Named } from "../../src/model/beside.ts";

const bytesAt = (name: string) =>
  readFileSync(fileURLToPath(new URL(`../../../test/fixtures/checkpoints/onnx/${name}`, import.meta.url)));

/** A file that tells what is read of it. */
class Watched extends File {
  read = 0;
  override slice(start = 0, end = this.size): Blob {
    const part = super.slice(start, end);
    const { arrayBuffer } = part;
    part.arrayBuffer = () => {
      this.read += part.size;
      return arrayBuffer.call(part);
    };
    return part;
  }
}

it("makes the mended file of ranges of the dropped ones, none of which is read for it", async () => {
  const own = new Watched([bytesAt("external.onnx")], "external.onnx");
  const files: Named = [
    ["m/external.onnx", own],
    ["m/external.data", new File([bytesAt("external.data")], "external.data")],
    // of the same name elsewhere
    ["external.data", new File(["another"], "external.data")],
  ];
  const model = await openModel(new Map(files));
  const mends = await mendsOf(model, await find(model));
  expect(mends.length).toBeGreaterThan(0);
  const { files: wrote } = await written(model, { mends, name: "mended.onnx" });
  own.read = 0;
  const blobs = await Promise.all(wrote.map((file) => blobOf(file, model, files)));
  expect(own.read).toBe(0);
  for (const [i, { parts, byteLength }] of wrote.entries()) {
    expect(blobs[i].size).toBe(byteLength);
    const expected: Uint8Array[] = [];
    for await (const some of bytesOfParts(parts)) expected.push(some);
    expect(Buffer.from(await blobs[i].arrayBuffer())).toEqual(Buffer.concat(expected));
  }
});

it("finds the files beside it by their paths from its folder, and says which are missing", async () => {
  const files: Named = [
    ["m/a.onnx", new File([], "a.onnx")],
    ["m/weights/a.data", new File(["0123"], "a.data")],
    ["b.data", new File([], "b.data")],
  ];
  const { beside, missing } = besideOf({ file: "m/a.onnx", external: ["./weights/a.data", "b.data"] }, files);
  expect(missing).toEqual(["b.data"]);
  expect(beside.map(({ name, byteLength }) => [name, byteLength])).toEqual([["./weights/a.data", 4]]);
  expect(Buffer.from(await beside[0].slice(1, 3)).toString()).toBe("12");
});
