/**
 * `Ops` (src/formula/ops.ts) of jax-js. Its arrays are reference-counted and its functions consume their arguments: here each use
 * takes its own reference, and intermediate arrays are released at the end.
 */
import { lax, nn, numpy as np } from "@jax-js/jax";
import { composedNormalize } from "../formula/composed.js";
import type { NarrowType, NormalizeOperands, NormalizeResult, Operand, Ops } from "../formula/ops.js";
import type { FusedNorm } from "../formula/plan.js";
import { roundedTo } from "../formula/rounding.js";

/** An array of jax-js. */
export type JaxArray = np.Array;

export class JaxOps implements Ops<JaxArray> {
  private readonly made: JaxArray[] = [];

  /** Releases intermediate arrays and these inputs; the caller holds references to the results. */
  release(inputs: readonly JaxArray[]): void {
    for (const array of [...this.made, ...inputs]) array.dispose();
    this.made.length = 0;
  }

  shape(x: JaxArray): readonly number[] {
    return x.shape;
  }

  constant(values: ArrayLike<number>, shape: readonly number[]): JaxArray {
    return this.keep(np.array(Float32Array.from(values)).reshape([...shape]));
  }

  add(a: Operand<JaxArray>, b: Operand<JaxArray>): JaxArray {
    return this.keep(np.add(ref(a), ref(b)));
  }

  sub(a: Operand<JaxArray>, b: Operand<JaxArray>): JaxArray {
    return this.keep(np.subtract(ref(a), ref(b)));
  }

  mul(a: Operand<JaxArray>, b: Operand<JaxArray>): JaxArray {
    return this.keep(np.multiply(ref(a), ref(b)));
  }

  div(a: Operand<JaxArray>, b: Operand<JaxArray>): JaxArray {
    if (typeof b === "number") return this.keep(np.divide(ref(a), b));
    // jax-js's gradient squares b, which overflows float32 from 2·10¹⁹ on; b/constant is 1
    const constant = this.stop(this.where(b, b, 1));
    return this.keep(np.divide(np.divide(ref(a), constant.ref), np.divide(b.ref, constant.ref)));
  }

  max(a: Operand<JaxArray>, b: Operand<JaxArray>): JaxArray {
    return this.keep(np.maximum(ref(a), ref(b)));
  }

  min(a: Operand<JaxArray>, b: Operand<JaxArray>): JaxArray {
    return this.keep(np.minimum(ref(a), ref(b)));
  }

  greater(a: Operand<JaxArray>, b: Operand<JaxArray>): JaxArray {
    return this.keep(np.greater(ref(a), ref(b)).astype(np.float32));
  }

  where(condition: JaxArray, a: Operand<JaxArray>, b: Operand<JaxArray>): JaxArray {
    return this.keep(np.where(np.notEqual(condition.ref, 0), ref(a), ref(b)));
  }

  abs(x: JaxArray): JaxArray {
    return this.keep(np.abs(x.ref));
  }

  exp(x: JaxArray): JaxArray {
    return this.keep(np.exp(x.ref));
  }

  sqrt(x: JaxArray): JaxArray {
    return this.keep(np.sqrt(x.ref));
  }

  tanh(x: JaxArray): JaxArray {
    return this.keep(np.tanh(x.ref));
  }

  sigmoid(x: JaxArray): JaxArray {
    return this.keep(nn.sigmoid(x.ref));
  }

  erf(x: JaxArray): JaxArray {
    return this.keep(lax.erf(x.ref));
  }

  pow(x: JaxArray, exponent: number): JaxArray {
    return this.keep(np.power(x.ref, exponent));
  }

  rounded(x: JaxArray, type: NarrowType): JaxArray {
    const values = this.stop(x);
    return this.add(x, this.stop(this.sub(roundedTo(this, values, type), values)));
  }

  sum(x: JaxArray, axes: readonly number[]): JaxArray {
    return this.keep(np.sum(x.ref, [...axes], { keepdims: true }));
  }

  largest(x: JaxArray, axes: readonly number[]): JaxArray {
    return this.keep(np.max(this.stop(x).ref, [...axes], { keepdims: true }));
  }

  sorted(x: JaxArray): JaxArray {
    return this.keep(np.sort(this.stop(x).ref));
  }

  matMul(a: JaxArray, b: JaxArray): JaxArray {
    return this.keep(np.matmul(a.ref, b.ref));
  }

  reshape(x: JaxArray, shape: readonly number[]): JaxArray {
    return this.keep(x.ref.reshape([...shape]));
  }

  transpose(x: JaxArray, order: readonly number[]): JaxArray {
    return this.keep(np.transpose(x.ref, [...order]));
  }

  slice(x: JaxArray, axis: number, from: number, to: number): JaxArray {
    const places = x.shape.map((_, one): [] | [number, number] => (one === axis ? [from, to] : []));
    return this.keep(x.ref.slice(...places));
  }

  concat(parts: readonly JaxArray[], axis: number): JaxArray {
    return this.keep(
      np.concatenate(
        parts.map((part) => part.ref),
        axis,
      ),
    );
  }

  stop(x: JaxArray): JaxArray {
    return this.keep(lax.stopGradient(x.ref) as JaxArray);
  }

  normalize(norm: FusedNorm, x: JaxArray, operands?: NormalizeOperands<JaxArray>): NormalizeResult<JaxArray> {
    return composedNormalize(this, norm, x, operands);
  }

  private keep(array: JaxArray): JaxArray {
    this.made.push(array);
    return array;
  }
}

function ref(operand: Operand<JaxArray>): JaxArray | number {
  return typeof operand === "number" ? operand : operand.ref;
}
