/** Examinations made of nothing: a network of so many layers, well, ill or mended. */
import type { Examination, ExaminedNorm } from "../../src/doctor/examination.js";

const WRITTEN_OUT = "it is written out in 9 nodes, and opset 17 has LayerNormalization";

export function normOf(index: number, more: Partial<ExaminedNorm> = {}): ExaminedNorm {
  return {
    norm: "layerNorm",
    name: `/encoder/layer.${index}/attention/output/LayerNorm`,
    graph: "",
    x: `/encoder/layer.${index}/Add_output_0`,
    y: `/encoder/layer.${index}/LayerNorm/Add_1_output_0`,
    shape: [null, null, 384],
    dtype: "float32",
    axes: [2],
    channels: null,
    groups: null,
    epsilon: 1e-5,
    isOperator: false,
    nodes: 9,
    cancels: false,
    statisticsType: "float32",
    measured: {
      min: -3 - index,
      max: 4 + index ** 1.5,
      mean: 0.1,
      leastSpread: 0.2 + index / 10,
      spread: 0.5 + index / 4,
      mostSpread: 1 + index,
      headroom: 1e36 / (1 + index) ** 2,
      notFinite: 0,
    },
    ...more,
  };
}

export function examinationOf(layers = 24, more: Partial<Examination> = {}): Examination {
  const norms = Array.from({ length: layers }, (_, i) => normOf(i));
  return {
    evenkeel: "0.1.0",
    file: "models/all-MiniLM-L6-v2/model.onnx",
    format: "onnx",
    producer: "pytorch 2.8.0",
    byteLength: 90_400_000,
    nodes: 720,
    opsets: [{ domain: "", version: 13 }],
    norms,
    activations: { gelu: layers / 2 },
    ills: [
      {
        kind: "written out although the opset has it",
        severity: "slow",
        sick: false,
        norms: norms.map((_, i) => i + 1),
        texts: norms.map(() => WRITTEN_OUT),
        mended: null,
      },
    ],
    hints: [],
    runtime: { name: "onnxruntime-node", version: "1.30.0" },
    machine: { processor: "AMD EPYC", cores: 2, runtime: "Node 20.20.2" },
    inputs: [
      { name: "input_ids", dtype: "int64", shape: [2, 16] },
      { name: "attention_mask", dtype: "int64", shape: [2, 16] },
    ],
    notRun: null,
    mends: [],
    check: null,
    written: [],
    seconds: 1.5,
    ...more,
  };
}

/** The same network in float16, with statistics that overflow, after mending; one mend was taken back. */
export function mendedExamination(layers = 24): Examination {
  const norms = Array.from({ length: layers }, (_, i) =>
    normOf(i, {
      dtype: "float16",
      statisticsType: "float16",
      measured: { ...(normOf(i).measured as NonNullable<ExaminedNorm["measured"]>), headroom: 8 / (1 + i) },
    }),
  );
  const numbers = norms.map((_, i) => i + 1);
  return examinationOf(layers, {
    norms,
    ills: [
      {
        kind: "float16 statistics",
        severity: "wrong numbers",
        sick: true,
        norms: numbers.slice(8),
        texts: numbers
          .slice(8)
          .map((i) => `squares of its values up to ${300 + i} reach 98000, and float16 ends at 65504`),
        mended: true,
      },
      {
        kind: "written out although the opset has it",
        severity: "slow",
        sick: false,
        norms: numbers,
        texts: numbers.map(() => WRITTEN_OUT),
        mended: true,
      },
    ],
    mends: numbers.map((i) => ({
      title: "LayerNormalization (opset 17) in place of 9 nodes",
      graph: "",
      replaces: 9,
      state: i === 3 ? ("taken back" as const) : ("mended" as const),
      ...(i === 3 && { why: "it is farther from float64 than before, and moves an output" }),
      before: i > 8 ? ("Infinity" as const) : 1.2e-3,
      after: 2.1e-4,
      narrowly: { before: 1.4, after: 3.9e-4 },
    })),
    check: {
      by: "whole",
      samples: ["ordinary inputs", "a mean of 10⁴", "one huge value", "a tiny spread", "zeros"].map(
        (text, i) => ({
          kind: text,
          text,
          outputs: [
            {
              name: "last_hidden_state",
              dtype: "float16",
              largest: 4.2,
              difference: i === 2 ? 0.3 : 4e-4,
              tolerance: 1.95e-3,
              mended: i === 2 ? 384 : 0,
            },
          ],
        }),
      ),
      speed: { before: 8.42, after: 6.31, runs: 77, verdict: "faster" },
    },
    written: [{ name: "mended.onnx", byteLength: 90_300_000 }],
  });
}
