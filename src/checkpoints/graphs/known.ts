/** What is known of one node and of one value: what shapes and evaluation share. */
import { sizeOf } from "../../shape.js";
import { CheckpointError } from "../errors.js";
import { castTo } from "./exact.js";
import type { Attribute, Constant, Node } from "./graph.js";
import { meaningOf } from "./meaning.js";
import { type Call, isReal, isShape, Operands, unlessUnknown } from "./operators.js";
import { ruleOf } from "./shape-rules.js";
import { fillOf, type Sketch, Sketches } from "./sketches.js";

/** What is known of one value. */
export interface Entry {
  readonly sketch?: Sketch;
  readonly dtype?: string;
}

/** A constant's values in float64; undefined where they are no numbers, or damaged. */
export async function float64Of(constant: Constant): Promise<Float64Array | undefined> {
  if (!isReal(constant.dtype) && !/^(bool|u?int\d+)$/.test(constant.dtype)) return undefined;
  try {
    const values = await constant.read();
    if (values.length !== sizeOf(constant.shape)) return undefined;
    if (values instanceof Float64Array) return values;
    if (!(values instanceof BigInt64Array || values instanceof BigUint64Array))
      return new Float64Array(values);
    const data = new Float64Array(values.length);
    for (let i = 0; i < data.length; i++) data[i] = Number(values[i]);
    return data;
  } catch (error) {
    if (error instanceof CheckpointError) return undefined;
    throw error;
  }
}

/** A node of a function as one call of it has it. */
export function bound(node: Node, call: Node, defaults: ReadonlyMap<string, Attribute>): Node {
  let attributes: Map<string, Attribute> | undefined;
  for (const [name, { reference }] of node.attributes) {
    if (reference === "") continue;
    attributes ??= new Map(node.attributes);
    const said = call.attributes.get(reference) ?? defaults.get(reference);
    if (said === undefined) attributes.delete(name);
    else attributes.set(name, said);
  }
  return attributes ? { ...node, attributes } : node;
}

const sketches = new Sketches();

/**
 * Shapes that a node gives, by its meaning or a rule of shapes alone; undefined where they are not known.
 * @param open a length that is not known, for a place of the output
 */
export function sketchOf(
  node: Node,
  inputs: readonly (Entry | undefined)[],
  setting: (name: string) => Float64Array | undefined,
  open: (place: number) => number,
): readonly Sketch[] | undefined {
  const call: Call<Sketch> = {
    ops: sketches,
    node,
    inputs: inputs.map((entry) => entry?.sketch),
    known: (input) => {
      const data = inputs[input]?.sketch?.data;
      return data && Array.from(data);
    },
    dtype: (input) => inputs[input]?.dtype,
    setting,
    cast: (x, to) => {
      const fill = fillOf(x);
      if (fill === undefined) return { shape: x.shape };
      const one = castTo({ shape: [], data: Float64Array.of(fill) }, to);
      return one ? sketches.expand({ shape: [], data: one.data }, x.shape) : { shape: x.shape };
    },
    expand: sketches.expand,
  };
  const given = sketchesOf(call, open);
  return given?.every(({ shape }) => isShape(shape)) ? given : undefined;
}

function sketchesOf(call: Call<Sketch>, open: (place: number) => number): readonly Sketch[] | undefined {
  const { node } = call;
  const meant = meaningOf(call);
  if (meant !== undefined && meant.length >= node.outputs.length) return meant;
  const rule = ruleOf(node);
  const ruled = rule && unlessUnknown(() => rule(new Operands(call), open));
  // outputs without a meaning come last
  return meant ? [...meant, ...(ruled?.slice(meant.length) ?? [])] : ruled;
}
