/** LSTM, GRU and plain recurrent layers, whose gates and biases each framework has in an order of its own: in, and out again. */

import type { LayerVariable } from "@tensorflow/tfjs-layers";
import type { Tensor } from "../../../checkpoints/tensors.js";
import type { WrittenTensor } from "../../../checkpoints/written.js";
import { sameShape } from "../../../shape.js";
import { type LayerWeights, permuted } from "../layer-weights.js";
import type { NamedTensors } from "../modules.js";
import { type Conversion, conversion, list, type Made, type Numbers } from "./conversion.js";

/** Gates of each framework, by Keras's order of them: where each of Keras's is in the other's. */
const GATES: Readonly<Record<string, Readonly<Record<number, readonly number[]>>>> = {
  // i, f, g, o and r, z, n
  pytorch: { 1: [0], 3: [1, 0, 2], 4: [0, 1, 2, 3] },
  // i, o, f, c and z, r, h
  onnx: { 1: [0], 3: [0, 1, 2], 4: [0, 2, 3, 1] },
};

/** LSTM, GRU and plain recurrent layers of PyTorch, Gluon, ONNX and Keras 1; undefined for what is none of these. */
export function ofRecurrent(
  layer: LayerWeights,
  { tensors, type, config = {} }: NamedTensors,
): Conversion | string | undefined {
  const { weights } = layer;
  const [kernel, recurrent, bias] = ["kernel", "recurrent_kernel", "bias"].map((role) => weights.get(role));
  if (kernel === undefined || recurrent === undefined) return undefined;
  if (Object.hasOwn(tensors, "W_h") || Object.hasOwn(tensors, "W_i")) {
    return ofGates(weights, tensors);
  }
  const backward = layer.direction === "backward";
  const find = (pattern: RegExp) => {
    const name = Object.keys(tensors).find((one) => pattern.test(one));
    return name === undefined ? undefined : tensors[name];
  };
  const end = backward ? "_reverse$" : "$";
  const side = backward ? "r" : "l";
  const isOnnx = /^(LSTM|GRU|RNN)$/.test(type ?? "") && find(/^R$/) !== undefined;
  const w = isOnnx ? find(/^W$/) : find(new RegExp(`^(weight_ih_l\\d+${end}|${side}\\d+_i2h_weight$)`));
  const r = isOnnx ? find(/^R$/) : find(new RegExp(`^(weight_hh_l\\d+${end}|${side}\\d+_h2h_weight$)`));
  if (w === undefined || r === undefined) return undefined;
  const units = (recurrent.shape as number[])[0];
  const inputs = (kernel.shape as number[])[0];
  const gates = (recurrent.shape as number[])[1] / units;
  const order = GATES[isOnnx ? "onnx" : "pytorch"][gates];
  const directions = isOnnx ? w.shape[0] : 1;
  const at = isOnnx && backward ? 1 : 0;
  const expected = [gates * units, inputs];
  const rows = isOnnx ? w.shape.slice(1) : w.shape;
  if (order === undefined || !sameShape(rows, expected))
    return `kernel ${list(rows)} in the file, [${inputs}, ${gates * units}] here`;
  const says = [`[${gates}·units, in] → [in, ${gates}·units]`];
  if (order.some((gate, i) => gate !== i)) {
    says.push(gates === 3 ? "gates r, z, n → z, r, n" : "gates i, o, f, c → i, f, c, o");
  }
  /** Of [gates, units, columns], or of one direction's, as [columns, gates, units]. */
  const turn = (values: Numbers, columns: number, direction = 0) => {
    const own = values.subarray(
      direction * gates * units * columns,
      (direction + 1) * gates * units * columns,
    );
    const ordered = new Float32Array(own.length);
    for (const [i, gate] of order.entries()) {
      ordered.set(own.subarray(gate * units * columns, (gate + 1) * units * columns), i * units * columns);
    }
    return permuted(ordered, [gates * units, columns], [1, 0]);
  };
  const made: Made[] = [
    { variable: kernel, tensors: [w], make: ([values]) => turn(values, inputs, at) },
    { variable: recurrent, tensors: [r], make: ([values]) => turn(values, units, at) },
  ];
  const given = isOnnx
    ? [find(/^B$/)]
    : [
        find(new RegExp(`^(bias_ih_l\\d+${end}|${side}\\d+_i2h_bias$)`)),
        find(new RegExp(`^(bias_hh_l\\d+${end}|${side}\\d+_h2h_bias$)`)),
      ];
  const biases = given.filter((one): one is Tensor => one !== undefined);
  const resetsAfter = gates === 3 && bias?.shape.length === 2;
  // without biases there is no telling, nor a difference that a layer's weights show
  const isAfter = !isOnnx || config.linear_before_reset === 1;
  if (gates === 3 && bias && isAfter !== resetsAfter) {
    return isAfter
      ? "the reset gate acts on the product there, before it here: make the layer with gru() of evenkeel/tfjs"
      : "the reset gate acts before the product there, on it here: make the layer with tf.layers.gru()";
  }
  if (bias) {
    if (biases.length === 0) return "no bias in the file";
    if (!resetsAfter) says.push("two biases added");
    made.push({
      variable: bias,
      tensors: biases,
      make: (values) => {
        const both = isOnnx
          ? [0, 1].map((i) => turn(values[0], 1, 2 * at + i))
          : values.map((one) => turn(one, 1));
        if (resetsAfter) return Float32Array.from([...both[0], ...both[1]]);
        return both[0].map((value, i) => value + (both[1]?.[i] ?? 0));
      },
    });
  } else if (biases.length > 0) return "biases in the file, none here: make the layer with useBias: true";
  return directions > 2 ? "more directions than two" : conversion(made, says);
}

/** Keras 1 has a tensor for each gate, named by its letter, unless it was told to consume less of a GPU. */
function ofGates(weights: LayerWeights["weights"], tensors: NamedTensors["tensors"]): Conversion | string {
  const gates = Object.hasOwn(tensors, "W_i") ? ["i", "f", "c", "o"] : ["z", "r", "h"];
  const made: Made[] = [];
  for (const [role, part] of Object.entries({ kernel: "W", recurrent_kernel: "U", bias: "b" })) {
    const variable = weights.get(role);
    const names = gates.map((gate) => `${part}_${gate}`);
    if (variable === undefined) return `${names.join(", ")} in the file, no ${role} here`;
    const shape = variable.shape as number[];
    const columns = shape[shape.length - 1] / gates.length;
    const rows = shape.slice(0, -1);
    const own = names.flatMap((name) => (Object.hasOwn(tensors, name) ? [tensors[name]] : []));
    const fits = own.length === gates.length && own.every((one) => sameShape(one.shape, [...rows, columns]));
    if (!fits) {
      return `${role} ${own.map((one) => list(one.shape)).join(", ")} in the file, each ${list([...rows, columns])} here`;
    }
    const make = (values: Numbers[]) => {
      const joined = new Float32Array(values.reduce((sum, { length }) => sum + length, 0));
      for (const [gate, one] of values.entries()) {
        for (let at = 0; at < one.length; at++) {
          const row = Math.floor(at / columns);
          joined[(row * gates.length + gate) * columns + (at % columns)] = one[at];
        }
      }
      return joined;
    };
    made.push({ variable, tensors: own, make });
  }
  return conversion(made, [`gates ${gates.join(", ")} joined`]);
}

/** Gates z, r, n are r, z, n there; those of an LSTM are in the same order. */
export function recurrentInTorch(
  { name, weights, direction }: LayerWeights,
  module: string,
): (readonly [string, WrittenTensor])[] {
  const end = `_l0${direction === "backward" ? "_reverse" : ""}`;
  const read = (role: string) => Float32Array.from(weights.get(role)?.read().dataSync() ?? []);
  const [units, rows] = (weights.get("recurrent_kernel") as LayerVariable).shape as number[];
  const order = rows === 3 * units ? [1, 0, 2] : [...Array(rows / units).keys()];
  const bias = read("bias");
  const biases = bias.length / rows;
  if (rows === 3 * units && biases === 1) {
    throw new RangeError(
      `stateDictOf: ${name} resets before its product, PyTorch's GRU after it: make the layer with gru() of evenkeel/tfjs`,
    );
  }
  /** [columns, gates, units] as [gates, units, columns]. */
  const turned = (values: Float32Array, columns: number) => {
    const transposed = permuted(values, [columns, rows], [1, 0]);
    const result = new Float32Array(values.length);
    const length = units * columns;
    for (const [i, gate] of order.entries()) {
      result.set(transposed.subarray(gate * length, (gate + 1) * length), i * length);
    }
    return result;
  };
  const tensor = (called: string, data: Float32Array, columns?: number): readonly [string, WrittenTensor] => [
    `${module}.${called}${end}`,
    { shape: columns === undefined ? [rows] : [rows, columns], data: turned(data, columns ?? 1) },
  ];
  const [kernel, inner] = [read("kernel"), read("recurrent_kernel")];
  const matrices = [tensor("weight_ih", kernel, kernel.length / rows), tensor("weight_hh", inner, units)];
  if (biases === 0) return matrices;
  const second = biases === 2 ? bias.slice(rows) : new Float32Array(rows);
  return [...matrices, tensor("bias_ih", bias.slice(0, rows)), tensor("bias_hh", second)];
}
