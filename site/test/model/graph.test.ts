import { typed } from "@evenkeel/report/format";
import { expect, it } from "vitest";
import type { Graph } from "../../src/model/examiner.ts";
import { commandOf, mendedName } from "../../src/model/examining.ts";
import { graphText } from "../../src/model/graph.tsx";

it("says in a few words what a graph holds", () => {
  const text = (norms: number, writtenOut: number, sick: number) =>
    graphText({ norms, writtenOut, sick } as Graph);
  expect(text(0, 0, 0)).toBe("no normalization");
  expect(text(3, 0, 0)).toBe("all well");
  expect(text(1024, 1024, 2)).toBe("1,024 written out, 2 ill");
  expect(text(3, 0, 1)).toBe("1 ill");
});

it("names the mended file after its own, and the command that writes it", () => {
  expect(mendedName("m/a model.ONNX")).toBe("a model.mended.onnx");
  const command = (file: string, opset?: number, forRuntime = false) =>
    commandOf(file, { opset, forRuntime }, typed);
  expect(command("m/a.onnx")).toBe("evenkeel doctor m/a.onnx --fix a.mended.onnx");
  expect(command("a b.onnx", 17, true)).toBe(
    "evenkeel doctor 'a b.onnx' --fix 'a b.mended.onnx' --for onnxruntime --opset 17",
  );
  expect(command("m/model.json")).toBe("evenkeel doctor m/model.json");
});
