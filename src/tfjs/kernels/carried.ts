/**
 * Operations of ours as nodes of TensorFlow.js's graph models. Such a node is an Einsum: the operation that a graph hands a list of
 * tensors and an attribute on as they are. Its equation is then what to run, and all else about the node is TensorFlow.js's own: its place
 * in the order, control flow, what is disposed of.
 */
import * as tf from "@tensorflow/tfjs-core";

/** What runs in place of a summation: one tensor of several, with no other left behind. */
export class Carried {
  constructor(readonly run: (tensors: readonly tf.Tensor[]) => tf.Tensor) {}
}

const carriers = new WeakSet<tf.KernelFunc>();

/** Makes this backend run what is carried. To be called before each run, since `install` registers a kernel for summations too. */
export function carryOn(backendName: string): void {
  const own: tf.KernelConfig | undefined = tf.getKernel(tf.Einsum, backendName);
  if (own && carriers.has(own.kernelFunc)) return;
  const kernelFunc: tf.KernelFunc = (params) => {
    const { equation } = (params.attrs ?? {}) as { equation?: unknown };
    // the engine passes tensors, not just their infos
    if (equation instanceof Carried) return equation.run(Object.values(params.inputs) as tf.Tensor[]);
    if (own) return own.kernelFunc(params);
    throw new Error(
      `evenkeel: TensorFlow.js has no kernel 'Einsum' for backend '${backendName}'; install() of evenkeel/tfjs adds it`,
    );
  };
  if (own) tf.unregisterKernel(tf.Einsum, backendName);
  tf.registerKernel({ ...own, kernelName: tf.Einsum, backendName, kernelFunc });
  carriers.add(kernelFunc);
}
