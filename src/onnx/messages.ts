/** Messages of ONNX (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3) for what is put into a model. */
import {
  bytesField,
  floatField,
  integerField,
  message,
  packedFloats,
  packedIntegers,
  textField,
} from "../checkpoints/encodings/protobuf.js";
import type { Float, Integer, NewConstant, NewNode, ValueInfo } from "../checkpoints/graphs/graph.js";
import { ONNX_TYPES } from "../checkpoints/graphs/types.js";
import { encodedTensors } from "../checkpoints/written.js";

/** TensorProto.DataType of a type; -1 where it is none. */
export function elementType(dtype = "undefined"): number {
  return ONNX_TYPES.indexOf(dtype, 1);
}

/** Values of a constant, row-major, little-endian, rounded to the nearest of its type, ties to even. */
export function rawValues(caller: string, { name, shape, dtype, values }: NewConstant): Uint8Array {
  const data =
    dtype === "int64"
      ? BigInt64Array.from(values as ArrayLike<number>, BigInt)
      : dtype === "int32"
        ? Int32Array.from(values)
        : Float64Array.from(values);
  const [{ bytes }] = encodedTensors(caller, [[name, { shape, dtype, data }]]);
  return bytes;
}

/** TensorProto, with its values in it. */
export function tensorMessage(caller: string, constant: NewConstant): Uint8Array {
  return message([...tensorHead(constant), bytesField(9, rawValues(caller, constant))]);
}

/** Shape, type and name of a TensorProto. */
function tensorHead({ name, shape, dtype }: NewConstant): Uint8Array[] {
  const lengths = shape.length > 0 ? [packedIntegers(1, shape)] : [];
  return [...lengths, integerField(2, elementType(dtype)), textField(8, name)];
}

/** TensorProto whose values lie in a file beside the model, from a byte on. */
export function externalTensorMessage(
  constant: NewConstant,
  { location, offset, length }: { location: string; offset: number; length: number },
): Uint8Array {
  const entries = Object.entries({ location, offset: String(offset), length: String(length) });
  return message([
    ...tensorHead(constant),
    ...entries.map(([key, value]) => bytesField(13, message([textField(1, key), textField(2, value)]))),
    integerField(14, 1),
  ]);
}

/** NodeProto. */
export function nodeMessage({ name, operator, domain, inputs, outputs, attributes }: NewNode): Uint8Array {
  return message([
    ...inputs.map((input) => textField(1, input)),
    ...outputs.map((output) => textField(2, output)),
    textField(3, name),
    textField(4, operator),
    ...Object.entries(attributes).map(([key, value]) => bytesField(5, attributeMessage(key, value))),
    ...(domain === "" ? [] : [textField(7, domain)]),
  ]);
}

/** NodeProto of a Constant: where a graph has no initializers. */
export function constantNodeMessage(caller: string, constant: NewConstant): Uint8Array {
  const tensor = bytesField(5, tensorMessage(caller, constant));
  const value = message([textField(1, "value"), tensor, integerField(20, 4)]);
  return message([
    textField(2, constant.name),
    textField(3, constant.name),
    textField(4, "Constant"),
    bytesField(5, value),
  ]);
}

/** AttributeProto: of a float (f, 1), an integer (i, 2), a text (s, 3), floats (6) or integers (7). */
function attributeMessage(name: string, value: Integer | Float | string): Uint8Array {
  const [field, type] =
    typeof value === "string"
      ? [textField(4, value), 3]
      : "float" in value
        ? typeof value.float === "number"
          ? [floatField(2, value.float), 1]
          : [packedFloats(7, value.float), 6]
        : typeof value.integer === "number"
          ? [integerField(3, value.integer), 2]
          : [packedIntegers(8, value.integer), 7];
  return message([textField(1, name), field, integerField(20, type)]);
}

/** As ONNX's releases have them: the file format's version with the first of the operators' that came with it. */
const IR_VERSIONS: readonly (readonly [opset: number, ir: number])[] = [
  [23, 11],
  [21, 10],
  [19, 9],
  [15, 8],
  [12, 7],
  [11, 6],
  [10, 5],
  [9, 4],
];

/** The version of the file format that came with a version of ONNX's operators; 0 of those before 9. */
export function irVersionOf(opset: number): number {
  return IR_VERSIONS.find(([from]) => opset >= from)?.[1] ?? 0;
}

/** OperatorSetIdProto. */
export function opsetMessage(domain: string, version: number): Uint8Array {
  return message([...(domain === "" ? [] : [textField(1, domain)]), integerField(2, version)]);
}

/** ValueInfoProto of a tensor; without a type where its elements' is not known, without a shape where its rank is not. */
export function valueMessage({ name, dtype, shape }: ValueInfo): Uint8Array {
  const type = elementType(dtype);
  if (type < 0) return message([textField(1, name)]);
  const tensor = [integerField(1, type)];
  if (shape) tensor.push(bytesField(2, message(shape.map((length) => bytesField(1, lengthMessage(length))))));
  return message([textField(1, name), bytesField(2, bytesField(1, message(tensor)))]);
}

/** TensorShapeProto.Dimension: a length, a name, or nothing. */
function lengthMessage(length: number | string): Uint8Array {
  if (typeof length === "number") return integerField(1, length);
  return length === "" ? new Uint8Array() : textField(2, length);
}
