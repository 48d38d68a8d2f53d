/**
 * A one-node ONNX model as protobuf bytes (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto): field numbers
 * are given with their names below.
 */

/**
 * @typedef {object} Model
 * @property {string} op
 * @property {string} [domain]
 * @property {number} opset
 * @property {Record<string, { float: number } | { int: number }>} attributes
 * @property {Record<string, number[]>} inputs float32, by name, with their shapes
 * @property {Record<string, Float32Array>} constants one-dimensional; they follow the inputs
 * @property {string[]} outputs "" leaves one out
 */

/** @param {Model} model @returns {Uint8Array} ModelProto */
export function encodeModel({ op, domain = "", opset, attributes, inputs, constants, outputs }) {
  const node = message(
    ...[...Object.keys(inputs), ...Object.keys(constants)].map((name) => text(1, name)), // input
    ...outputs.map((name) => text(2, name)), // output
    text(4, op), // op_type
    ...Object.entries(attributes).map(([name, value]) => bytes(5, attribute(name, value))), // attribute
    text(7, domain), // domain
  );
  const graph = message(
    bytes(1, node), // node
    text(2, op), // name
    ...Object.entries(constants).map(([name, values]) => bytes(5, tensor(name, values))), // initializer
    ...Object.entries(inputs).map(([name, shape]) => bytes(11, valueInfo(name, shape))), // input
    ...outputs.filter(Boolean).map((name) => bytes(12, valueInfo(name))), // output
  );
  const domains = domain ? { "": opset, [domain]: 1 } : { "": opset };
  return message(
    integer(1, 10), // ir_version
    bytes(7, graph), // graph
    ...Object.entries(domains).map(([name, version]) =>
      bytes(8, message(text(1, name), integer(2, version))),
    ), // opset_import
  );
}

/** @param {string} name @param {{ float: number } | { int: number }} value AttributeProto */
const attribute = (name, value) =>
  "float" in value
    ? message(text(1, name), float(2, value.float), integer(20, 1)) // name, f, type FLOAT
    : message(text(1, name), integer(3, value.int), integer(20, 2)); // name, i, type INT

/** @param {string} name @param {Float32Array} values TensorProto */
const tensor = (name, values) =>
  message(
    integer(1, values.length), // dims
    integer(2, FLOAT), // data_type
    text(8, name), // name
    bytes(9, new Uint8Array(values.buffer, values.byteOffset, values.byteLength)), // raw_data
  );

/** @param {string} name @param {number[]} [shape] ValueInfoProto of a float32 tensor */
function valueInfo(name, shape) {
  const dims = shape?.map((length) => bytes(1, message(integer(1, length)))); // dim { dim_value }
  const type = message(integer(1, FLOAT), ...(dims ? [bytes(2, message(...dims))] : [])); // elem_type, shape
  return message(text(1, name), bytes(2, message(bytes(1, type)))); // name, type { tensor_type }
}

const FLOAT = 1;
const [VARINT, LENGTH, FIXED32] = [0, 2, 5];

/** @param {...Uint8Array} fields */
const message = (...fields) => Uint8Array.from(Buffer.concat(fields));
/** @param {number} field @param {number} value */
const integer = (field, value) => Uint8Array.of(...varint((field << 3) | VARINT), ...varint(value));
/** @param {number} field @param {number} value */
const float = (field, value) =>
  Uint8Array.of(...varint((field << 3) | FIXED32), ...new Uint8Array(Float32Array.of(value).buffer));
/** @param {number} field @param {string} value */
const text = (field, value) => bytes(field, Buffer.from(value));
/** @param {number} field @param {Uint8Array} value */
const bytes = (field, value) =>
  message(Uint8Array.of(...varint((field << 3) | LENGTH), ...varint(value.length)), value);

/** Negative numbers take ten bytes, as 64-bit two's complement. @param {number} value */
function varint(value) {
  const out = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  for (; rest > 127n; rest >>= 7n) out.push(Number(rest & 127n) | 128);
  return [...out, Number(rest)];
}
