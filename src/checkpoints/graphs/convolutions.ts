/** Convolutions in float64, as ONNX has them: of any rank, with groups, strides, dilations and padding. */
import type { Values64 } from "../../formula/eager.js";
import { sizeOf } from "../../shape.js";
import { Operands, unknown } from "./operators.js";
import { ruleOf, settings } from "./shape-rules.js";
import { Sketches } from "./sketches.js";

type Lengths = readonly number[];

/** Products of one convolution, at most: some seconds; and places that are held. */
const MOST_PRODUCTS = 2 ** 31;
const MOST_PLACES = 2 ** 25;

/**
 * Conv: x [N, C, ...] and w [M, C / groups, ...kernel] to y [N, M, ...]; or ConvTranspose: w is [C, M / groups, ...kernel], and each value of
 * x is spread over a window of y. A third operand is added, by channel.
 */
export function convolution(isTransposed: boolean): (operands: Operands<Values64>) => readonly Values64[] {
  return (operands) => {
    const [x, w] = [operands.at(0), operands.at(1)];
    const shape = shapeOf(operands, x.shape, w.shape);
    const [small, large] = isTransposed ? [x.shape, shape] : [shape, x.shape];
    const groups = operands.number("group", 1);
    const kernel = w.shape.slice(2);
    const taps = sizeOf(kernel);
    const [from, to] = [sizeOf(x.shape.slice(2)), sizeOf(shape.slice(2))];
    const [rows, columns] = [x.shape[1] / groups, shape[1] / groups];
    const count = taps * sizeOf(small.slice(2));
    if (count > MOST_PLACES || count * rows * shape[0] * shape[1] > MOST_PRODUCTS) unknown();
    const places = placesOf(operands, small.slice(2), large.slice(2), kernel, isTransposed);
    const bias = operands.has(2) ? operands.at(2).data : undefined;
    const data = new Float64Array(sizeOf(shape));
    for (let image = 0; image < shape[0]; image++) {
      for (let channel = 0; channel < shape[1]; channel++) {
        const y = data.subarray((image * shape[1] + channel) * to).subarray(0, to);
        if (bias) y.fill(bias[channel]);
        const group = Math.floor(channel / columns);
        for (let row = 0; row < rows; row++) {
          const read = (image * groups + group) * rows + row;
          const values = x.data.subarray(read * from).subarray(0, from);
          const learned = isTransposed
            ? ((group * rows + row) * columns + (channel % columns)) * taps
            : (channel * rows + row) * taps;
          for (let tap = 0; tap < taps; tap++) {
            const weight = w.data[learned + tap];
            const place = places[tap];
            for (let i = 0; i < place.length; i++) {
              const other = place[i];
              if (other < 0) continue;
              if (isTransposed) y[other] += weight * values[i];
              else y[i] += weight * values[other];
            }
          }
        }
      }
    }
    return [{ shape, data }];
  };
}

function shapeOf({ node }: Operands<Values64>, ...shapes: readonly Lengths[]): Lengths {
  const inputs = shapes.map((shape) => ({ shape }));
  const call = { ops: new Sketches(), node, inputs, known: () => undefined };
  return ruleOf(node)?.(new Operands(call), unknown)[0]?.shape ?? unknown();
}

/** For each weight of a kernel, where in the larger array each place of the smaller one has it; −1 in the padding. */
function placesOf(
  operands: Operands<Values64>,
  small: Lengths,
  large: Lengths,
  kernel: Lengths,
  isTransposed: boolean,
): Int32Array[] {
  const rank = small.length;
  const strides = settings(operands, "strides", rank, 1);
  const dilations = settings(operands, "dilations", rank, 1);
  const stated = settings(operands, "pads", 2 * rank, 0);
  const auto = operands.text("auto_pad", "NOTSET");
  const isSame = auto.startsWith("SAME");
  if (isTransposed && (isSame || operands.hasAttribute("output_shape"))) unknown();
  const before = small.map((count, axis) => {
    if (!isSame) return auto === "VALID" ? 0 : stated[axis];
    const reach = (kernel[axis] - 1) * dilations[axis] + 1;
    const all = Math.max(0, (count - 1) * strides[axis] + reach - large[axis]);
    return auto === "SAME_LOWER" ? Math.ceil(all / 2) : Math.floor(all / 2);
  });
  return Array.from({ length: sizeOf(kernel) }, (_, tap) => {
    const offset = coordinates(tap, kernel);
    return Int32Array.from({ length: sizeOf(small) }, (_, i) => {
      let place = 0;
      for (const [axis, at] of coordinates(i, small).entries()) {
        const here = at * strides[axis] + offset[axis] * dilations[axis] - before[axis];
        if (here < 0 || here >= large[axis]) return -1;
        place = place * large[axis] + here;
      }
      return place;
    });
  });
}

function coordinates(index: number, shape: Lengths): number[] {
  const all = new Array<number>(shape.length);
  let rest = index;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    all[axis] = rest % shape[axis];
    rest = Math.floor(rest / shape[axis]);
  }
  return all;
}
