/**
 * TensorFlow.js as the package @tensorflow/tfjs has it, of which the lab has the parts: core and layers in one, operations as
 * methods of tensors, and Evenkeel's layers beside the others. For networks of the user's own, which find no second copy.
 */
import * as core from "@tensorflow/tfjs-core";
import * as builtIn from "@tensorflow/tfjs-layers";
import * as evenkeel from "evenkeel/tfjs";

export * from "@tensorflow/tfjs-core";
export * from "@tensorflow/tfjs-layers";

export const layers = { ...builtIn.layers, ...evenkeel.layers };

type Operation = (...args: unknown[]) => unknown;

/** Operations on a list, of which the tensor is the first. */
const ON_LISTS = ["concat", "stack"];
/** What @tensorflow/tfjs-core ends the names of its operations with. */
const OPERATION = /__op$/;

for (const [name, operation] of Object.entries(core) as [string, Operation][]) {
  if (typeof operation !== "function" || !OPERATION.test(operation.name)) continue;
  chain(
    name,
    ON_LISTS.includes(name) ? (x, others, ...args) => operation([x, ...[others].flat()], ...args) : operation,
  );
}
chain("flatten", (x) => core.reshape(x as core.Tensor, [(x as core.Tensor).size]));
chain("asScalar", (x) => core.reshape(x as core.Tensor, []));
chain("toFloat", (x) => core.cast(x as core.Tensor, "float32"));
chain("toInt", (x) => core.cast(x as core.Tensor, "int32"));
chain("toBool", (x) => core.cast(x as core.Tensor, "bool"));

function chain(name: string, operation: Operation): void {
  if (name in core.Tensor.prototype) return;
  Object.defineProperty(core.Tensor.prototype, name, {
    value(this: core.Tensor, ...args: unknown[]) {
      return operation(this, ...args);
    },
    configurable: true,
    writable: true,
  });
}
