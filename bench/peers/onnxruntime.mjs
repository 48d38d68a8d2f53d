/** onnxruntime, native in Node or its wasm build: the argument says which. A model of one node, one thread. */
import { readFileSync } from "node:fs";
import { NotOffered, rotation, serve } from "../serve.mjs";
import { encodeModel } from "./onnx.mjs";

const library = process.argv[2];
const ort = await import(library);
ort.env.logLevel = "error";
if (library === "onnxruntime-web") ort.env.wasm.numThreads = 1;

/**
 * Operator, its version, and attributes.
 * @param {import("../serve.mjs").Task} task @returns {Omit<import("./onnx.mjs").Model, "inputs" | "constants">}
 */
function operatorOf({ norm, residual, layout, epsilon, groups }) {
  if (layout === "channelsLast") throw new NotOffered("ONNX supports channels first only");
  const axis = { int: -1 };
  const eps = { float: epsilon };
  const outputs = ["y"];
  const own = {
    domain: "com.microsoft",
    opset: 21,
    attributes: { epsilon: eps },
    outputs: ["y", "", "", "sum"],
  };
  if (norm === "layer" && residual) return { op: "SkipLayerNormalization", ...own };
  if (norm === "rms" && residual) return { op: "SkipSimplifiedLayerNormalization", ...own };
  if (norm === "layer")
    return { op: "LayerNormalization", opset: 17, attributes: { axis, epsilon: eps }, outputs };
  if (norm === "rms")
    return { op: "RMSNormalization", opset: 23, attributes: { axis, epsilon: eps }, outputs };
  if (norm === "batch-eval")
    return { op: "BatchNormalization", opset: 15, attributes: { epsilon: eps }, outputs };
  if (norm === "instance")
    return { op: "InstanceNormalization", opset: 21, attributes: { epsilon: eps }, outputs };
  if (norm === "group") {
    return {
      op: "GroupNormalization",
      opset: 21,
      attributes: { epsilon: eps, num_groups: { int: groups } },
      outputs,
    };
  }
  throw new NotOffered("ONNX has no training of batch normalization here");
}

await serve({
  about: `${library} ${JSON.parse(readFileSync(new URL(`./node_modules/${library}/package.json`, import.meta.url), "utf8")).version}`,
  async prepare(task, { x, residual, gamma, beta, mean, variance }, copies) {
    const { shape } = task;
    const operator = operatorOf(task);
    const given = Object.entries({ gamma, beta, mean, variance }).filter(([, values]) => values);
    const model = encodeModel({
      ...operator,
      inputs: task.residual ? { x: shape, residual: shape } : { x: shape },
      constants: Object.fromEntries(given),
    });
    const session = await ort.InferenceSession.create(model, {
      executionProviders: [library === "onnxruntime-web" ? "wasm" : "cpu"],
      intraOpNumThreads: 1,
      interOpNumThreads: 1,
    });
    const tensor = (/** @type {Float32Array} */ values) => new ort.Tensor("float32", values.slice(), shape);
    const feeds = Array.from({ length: copies }, () =>
      task.residual ? { x: tensor(x), residual: tensor(residual) } : { x: tensor(x) },
    );
    const next = rotation(copies);
    const forward = async () => {
      const results = await session.run(feeds[next()]);
      for (const result of Object.values(results)) result.dispose();
    };
    const results = async () => {
      const { y, sum } = await session.run(feeds[0]);
      return { y: y.data.slice(), sum: sum?.data.slice() };
    };
    return { passes: { forward }, results: { forward: results }, close: () => session.release() };
  },
});
