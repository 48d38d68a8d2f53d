/**
 * A normalization's whole formula as one TensorFlow.js operation, on the wasm backend's own memory: its program (src/program) runs on the
 * kernels, forward and backward. Differentiated again, the formula is composed of tf operations instead, which have gradients of any order.
 */
import * as tf from "@tensorflow/tfjs-core";
import type { ApplyOptions, ApplyResult, Normalization } from "../../formula/normalization.js";
import { run } from "../../formula/run.js";
import type { WasmKernels } from "../../kernels/wasm/wasm.js";
import { atOnce, type Reduce } from "../../moments.js";
import { execute, programOf, type Runnable, type Slot } from "../../program/program.js";
import { isDifferentiatedAgain } from "../elementary.js";
import { merging, refuseSecond } from "../merging.js";
import { tfOps } from "../ops.js";
import { fusedKernels } from "./fused.js";
import { addressOf, outputOn, type WasmBackend } from "./wasm-backend.js";

const PROGRAM = "EvenkeelProgram";

/** What the operation runs: on which buffers its inputs are, and which it gives. */
interface ProgramAttributes {
  readonly program: Runnable;
  readonly reduce?: Reduce;
  readonly brought: readonly Slot[];
  readonly given: readonly Slot[];
}

/**
 * Parts of the engine that it does not declare: an operation with several outputs, gradients of what may not depend on all, and the list
 * of operations that a gradient goes back through.
 */
interface Engine {
  readonly state: { activeTape: unknown };
  runKernelFunc(operation: {
    forwardFunc(backend: unknown, save: (tensors: tf.Tensor[]) => void): tf.Tensor[];
    backwardsFunc(dys: tf.Tensor | tf.Tensor[], saved: tf.Tensor[]): Record<string, () => tf.Tensor>;
    inputs: tf.NamedTensorMap;
  }): tf.Tensor[];
  gradients(
    f: () => tf.Tensor,
    xs: tf.Tensor[],
    dy: tf.Tensor | undefined,
    allowNone: boolean,
  ): { value: tf.Tensor; grads: (tf.Tensor | null)[] };
}

/** Options of a call in TensorFlow.js. */
export interface CallOptions extends ApplyOptions<tf.Tensor> {
  /** What `merge` is made of. */
  readonly reduce?: Reduce;
}

/**
 * Runs a normalization as one operation.
 * @param inputs float32
 * @param weightOf its weights by name, float32
 * @param check called where the shapes are new
 */
export function runProgram(
  normalization: Normalization,
  inputs: readonly tf.Tensor[],
  weightOf: (name: string) => tf.Tensor,
  options: CallOptions,
  check: () => void,
): ApplyResult<tf.Tensor> {
  const { mask, residual, training, moveState, warn, reduce } = options;
  const differentiable = tf.engine().state.gradientDepth > 0;
  const program = programOf(
    normalization,
    {
      inputs: inputs.map(({ shape }) => shape),
      mask: mask?.shape,
      residual: residual?.shape,
      training,
      differentiable,
      movesState: moveState !== undefined,
      merges: reduce !== undefined,
    },
    check,
  );
  for (const message of program.warnings) warn?.(message);
  const names = Object.keys(program.weights);
  const list = [...inputs, ...names.map(weightOf)];
  const brought = [...program.inputs, ...names.map((name) => program.weights[name])];
  if (residual && program.residual) {
    list.push(residual);
    brought.push(program.residual);
  }
  if (mask && program.mask) {
    list.push(mask);
    brought.push(program.mask);
  }
  const states = Object.keys(program.state);
  const results = [program.y, ...(program.sum ? [program.sum] : []), ...program.more];
  const given = [...results, ...states.map((name) => program.state[name])];
  const outputs = differentiable
    ? (tf.engine() as unknown as Engine).runKernelFunc({
        inputs: list as unknown as tf.NamedTensorMap,
        forwardFunc(_, save) {
          // the sum is both: given, and what the backward pass calls x
          const at = program.saved.map(({ buffer }) => given.findIndex((slot) => slot.buffer === buffer));
          const kept = program.saved.filter((_, i) => at[i] < 0);
          const all = operation(list, { program, brought, given: [...given, ...kept], reduce });
          const own = all.slice(given.length);
          const saved = at.map((place) => (place < 0 ? (own.shift() as tf.Tensor) : all[place]));
          save([...list, ...saved]);
          return all.slice(0, given.length);
        },
        backwardsFunc(dys, saved) {
          const upstream = (Array.isArray(dys) ? dys : [dys]).slice(0, results.length);
          const own = saved.slice(0, list.length);
          if (program.merges) refuseSecond();
          // a backend that was chosen since then may have no kernels
          const gradients =
            isDifferentiatedAgain() || !fusedKernels(tf.backend())
              ? composedGradients(normalization, own, inputs.length, names, upstream, options)
              : programGradients(saved, upstream);
          // no gradient of state and masks is asked for, but there has to be one
          return Object.fromEntries(own.map((x, i) => [i, () => gradients[i] ?? tf.zerosLike(x)]));
        },
      })
    : operation(list, { program, brought, given, reduce });

  /** Gradients of the list, by the backward program. */
  function programGradients(saved: readonly tf.Tensor[], upstream: readonly tf.Tensor[]) {
    const [dy, ...others] = upstream;
    const dSum = program.sum && others.shift();
    const back = program.backward({ sum: dSum !== undefined, more: others.map(() => true) });
    const handed: [Slot | undefined, tf.Tensor | undefined][] = [
      [back.dy, dy],
      [back.dSum, dSum],
      ...others.map((gradient, i): [Slot | undefined, tf.Tensor] => [back.dMore[i], gradient]),
    ];
    const there = handed.filter((pair): pair is [Slot, tf.Tensor] => pair[0] !== undefined);
    const byPlace = [...back.inputs, ...names.map((name) => back.weights[name]), back.residual];
    const slots = byPlace.flatMap((slot, i) => (slot && i < list.length ? [{ slot, i }] : []));
    const moved = Object.keys(back.state);
    const all = operation([...saved, ...there.map(([, gradient]) => gradient)], {
      program: back,
      brought: [...brought, ...program.saved, ...there.map(([slot]) => slot)],
      // of the shape of what it is a gradient of, which may be flat
      given: [
        ...slots.map(({ slot: { buffer }, i }) => ({ buffer, shape: list[i].shape })),
        ...moved.map((name) => back.state[name]),
      ],
      reduce,
    });
    if (moved.length > 0) {
      moveState?.(Object.fromEntries(moved.map((name, i) => [name, all[slots.length + i]])));
    }
    const gradients: tf.Tensor[] = [];
    for (const [at, { i }] of slots.entries()) gradients[i] = all[at];
    return gradients;
  }

  const rest = outputs.slice(1);
  const sum = program.sum && rest.shift();
  const more = rest.splice(0, program.more.length);
  return {
    y: outputs[0],
    ...(sum && { sum }),
    ...(more.length > 0 && { more }),
    ...(states.length > 0 && { state: Object.fromEntries(states.map((name, i) => [name, rest[i]])) }),
  };
}

/** Gradients of the list as compositions that can be differentiated again. */
function composedGradients(
  normalization: Normalization,
  list: readonly tf.Tensor[],
  inputs: number,
  names: readonly string[],
  upstream: readonly tf.Tensor[],
  { training, moveState, reduce, ...options }: CallOptions,
): (tf.Tensor | null)[] {
  const held = Object.fromEntries(names.map((name, i) => [name, list[inputs + i]]));
  const rest = list.slice(inputs + names.length);
  const loss = () => {
    const [first, second] = rest;
    const residual = options.residual && first;
    const mask = options.mask && (residual ? second : first);
    const result = run(tfOps, normalization, list.slice(0, inputs), held, {
      training,
      moveState,
      mask,
      residual,
      merge: reduce && merging(reduce),
    });
    const outputs = [result.y, ...(result.sum && residual ? [result.sum] : []), ...(result.more ?? [])];
    return tf.addN(outputs.map((output, i) => tf.sum(tf.mul(output, upstream[i]))));
  };
  const engine = tf.engine() as unknown as Engine;
  const { state } = engine;
  const { activeTape } = state;
  try {
    return engine.gradients(loss, [...list], undefined, true).grads;
  } finally {
    // outside of any other gradient, which is where a backward pass runs, it ends the tape
    state.activeTape = activeTape;
  }
}

function operation(list: readonly tf.Tensor[], attributes: ProgramAttributes): tf.Tensor[] {
  register();
  const inputs = list as unknown as tf.NamedTensorMap;
  return tf
    .engine()
    .runKernel(PROGRAM, inputs, attributes as unknown as tf.NamedAttrMap) as unknown as tf.Tensor[];
}

let registered = false;

function register(): void {
  if (registered) return;
  registered = true;
  tf.registerKernel({
    kernelName: PROGRAM,
    backendName: "wasm",
    kernelFunc({ inputs, attrs, backend }) {
      const kernels = fusedKernels(backend as object) as WasmKernels;
      return onMemory(
        kernels,
        backend as WasmBackend,
        Object.values(inputs) as tf.TensorInfo[],
        attrs as unknown as ProgramAttributes,
      );
    },
  });
}

function onMemory(
  kernels: WasmKernels,
  backend: WasmBackend,
  inputs: readonly tf.TensorInfo[],
  { program, brought, given, reduce }: ProgramAttributes,
): tf.TensorInfo[] {
  const arrays: number[] = [];
  brought.forEach(({ buffer }, i) => {
    arrays[buffer] = addressOf(backend, inputs[i]);
  });
  const outputs = new Map<number, tf.TensorInfo>();
  const shapes = new Map(given.map(({ buffer, shape }) => [buffer, shape]));
  try {
    const make = (buffer: number) => {
      const shape = shapes.get(buffer);
      if (shape === undefined) return undefined;
      const output = outputOn(backend, shape);
      outputs.set(buffer, output);
      return addressOf(backend, output);
    };
    execute(kernels, program, arrays, make, reduce && { reduce: atOnce(reduce) });
  } catch (error) {
    for (const { dataId } of outputs.values()) backend.disposeData(dataId);
    throw error;
  }
  return given.map(({ buffer }, i) => {
    const output = outputs.get(buffer) as tf.TensorInfo;
    // one array may be several tensors, as a reshaped one is
    if (given.findIndex((slot) => slot.buffer === buffer) < i) backend.incRef(output.dataId);
    return output;
  });
}
