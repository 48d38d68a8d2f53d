import { statSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { baseOf, named, pathOf, problemOf } from "../../src/model/reading.ts";
import { address, fetched, samples } from "../../src/model/samples.ts";
import { read } from "../../src/ui/address.ts";

/** A File as a page has it of a folder. */
const fileAt = (path: string, text = ""): File =>
  Object.defineProperty(new File([text], baseOf(path)), "webkitRelativePath", {
    value: path.includes("/") ? path : "",
  });

it("names files by their paths, each once, in an order that does not depend on how they came", () => {
  const files = ["m/b.bin", "m/model.json", "a.pt", "m/B.bin"].map((path) => fileAt(path));
  expect(files.map(pathOf)).toEqual(["m/b.bin", "m/model.json", "a.pt", "m/B.bin"]);
  const paths = ["a.pt", "m/B.bin", "m/b.bin", "m/model.json"];
  expect(named(files).map(([path]) => path)).toEqual(paths);
  expect(named(files.toReversed()).map(([path]) => path)).toEqual(paths);
  const [first, second] = [fileAt("a.pt", "1"), fileAt("a.pt", "2")];
  expect(named([first, second])).toEqual([["a.pt", second]]);
});

it("says what went wrong in the library's words, and else in the browser's under the file's name", () => {
  const own = Object.assign(new Error("a.pt (PyTorch at byte 3): expected 8 bytes"), {
    name: "CheckpointError",
  });
  expect(problemOf(own, "a.pt")).toBe("a.pt (PyTorch at byte 3): expected 8 bytes");
  for (const cause of [
    "Array buffer allocation failed",
    "Invalid array length",
    "Invalid string length",
    "out of memory",
  ]) {
    expect(problemOf(new RangeError(cause), "a.pt")).toBe(
      `a.pt: it needs more memory than the browser gives a page (${cause}); inspect it on the command line`,
    );
  }
  expect(problemOf(new TypeError("x is not a function"), "a.pt")).toBe("a.pt: x is not a function");
  expect(problemOf("gone", "a.pt")).toBe("a.pt: gone");
});

it("has samples that are small, and that an address names", () => {
  const sizes = samples.map(
    ({ file }) =>
      statSync(fileURLToPath(new URL(`../../../test/fixtures/checkpoints/${file}`, import.meta.url))).size,
  );
  expect(sizes.reduce((sum, size) => sum + size)).toBeLessThan(50_000);
  for (const { name, file, url } of samples) {
    expect(read(`#sample=${name}`, address)).toEqual({ sample: name, view: "norms" });
    expect(url).toContain(file);
  }
  expect(read("#sample=onnx&view=graph", address)).toEqual({ sample: "onnx", view: "graph" });
  expect(read("#sample=none-such&view=none", address)).toEqual({ sample: "", view: "norms" });
  expect(read("", address)).toEqual({ sample: "", view: "norms" });
});

it("says that a sample does not come", async () => {
  const fetching = globalThis.fetch;
  const answers = [
    () => Promise.reject(new TypeError("no network")),
    async () => new Response("", { status: 404 }),
  ];
  try {
    for (const answer of answers) {
      globalThis.fetch = answer;
      await expect(fetched(samples[0])).rejects.toThrow(
        "normalizations.keras: it cannot be loaded; try again where there is a network",
      );
    }
    globalThis.fetch = async () => new Response("bytes");
    const file = await fetched(samples[0]);
    expect([file.name, await file.text()]).toEqual(["normalizations.keras", "bytes"]);
  } finally {
    globalThis.fetch = fetching;
  }
});
