/** Types of data that operators give. */
import type { Node } from "./graph.js";
import { ofDialect } from "./operators.js";

/** By TensorProto.DataType of ONNX. */
export const ONNX_TYPES: readonly string[] = (
  "undefined,float32,uint8,int8,uint16,int16,int32,int64,string,bool,float16,float64,uint32,uint64,complex64,complex128,bfloat16," +
  "float8_e4m3fn,float8_e4m3fnuz,float8_e5m2,float8_e5m2fnuz,uint4,int4,float4_e2m1fn,float8_e8m0fnu,uint2,int2"
).split(",");

type Types = (node: Node, of: (input: number) => string | undefined) => readonly (string | undefined)[];

const always =
  (...types: string[]): Types =>
  () =>
    types;

const ofInput =
  (input: number): Types =>
  (node, of) =>
    node.outputs.map(() => of(input));

function stated(node: Node, name: string): string | undefined {
  const value = node.attributes.get(name)?.value;
  // 0 says nothing
  if (typeof value === "number") return value === 0 ? undefined : ONNX_TYPES[value];
  return typeof value === "string" ? value : undefined;
}

/** As a setting says, else as the first operand. */
const statedOr: Types = (node, of) => [node.attributes.has("dtype") ? stated(node, "dtype") : of(0)];

const setting =
  (name: string, absent?: string): Types =>
  (node) =>
    node.outputs.map(() => stated(node, name) ?? absent);

function table(all: Readonly<Record<string, Types>>): Record<string, Types> {
  return Object.fromEntries(
    Object.entries(all).flatMap(([names, types]) => names.split(" ").map((name) => [name, types])),
  );
}

/** Those that do not give the type of their first operand. */
const onnx = table({
  "Equal Greater GreaterOrEqual Less LessOrEqual And Or Xor Not IsNaN IsInf": always("bool"),
  "Shape Size NonZero ArgMax ArgMin NonMaxSuppression": always("int64"),
  Where: ofInput(1),
  Cast: setting("to"),
  "CastLike DequantizeLinear": ofInput(1),
  OneHot: ofInput(2),
  TopK: (_, of) => [of(0), "int64"],
  MaxPool: (_, of) => [of(0), "int64"],
  Dropout: (_, of) => [of(0), "bool"],
  ConstantOfShape: (node) => [node.attributes.get("value")?.constant?.dtype ?? "float32"],
  "RandomNormal RandomUniform": setting("dtype", "float32"),
  "RandomNormalLike RandomUniformLike Bernoulli EyeLike": statedOr,
  QuantizeLinear: (node, of) => [stated(node, "output_dtype") ?? (node.inputs[2] ? of(2) : "uint8")],
  DynamicQuantizeLinear: always("uint8", "float32", "uint8"),
  "MatMulInteger ConvInteger": always("int32"),
  "QLinearMatMul QLinearConv": (_, of) => [of(7)],
  "LayerNormalization SimplifiedLayerNormalization": (node, of) => [
    of(0),
    ...node.outputs.slice(1).map(() => "float32"),
  ],
  BatchNormalization: (_, of) => [of(0), of(3), of(4), of(3), of(4)],
});

const microsoft = table({
  "SkipLayerNormalization SkipSimplifiedLayerNormalization": (_, of) => [of(0), "float32", "float32", of(0)],
  "DynamicQuantizeMatMul MatMulIntegerToFloat": (_, of) => [of(2) ?? "float32"],
  EmbedLayerNormalization: (_, of) => [of(2), "int32", of(2)],
  QuantizeLinear: (_, of) => [of(2) ?? "uint8"],
  "DequantizeLinear QAttention": ofInput(1),
});

const tensorflow = table({
  "Equal NotEqual Greater GreaterEqual Less LessEqual LogicalAnd LogicalOr LogicalNot IsNan All Any":
    always("bool"),
  Cast: setting("DstT"),
  "Shape Size": setting("out_type", "int32"),
  Rank: always("int32"),
  "ArgMax ArgMin": setting("output_type", "int64"),
  Where: always("int64"),
  "SelectV2 Select Split Fill": ofInput(1),
  TopKV2: (_, of) => [of(0), "int32"],
  OneHot: ofInput(2),
  "Conv2DBackpropInput Conv3DBackpropInputV2": ofInput(2),
  "ResizeBilinear ResizeBicubic": always("float32"),
  "RandomUniform RandomStandardNormal TruncatedNormal": setting("dtype", "float32"),
  Concat: ofInput(1),
  "FusedBatchNormV2 FusedBatchNormV3": (_, of) => [of(0), of(1), of(1), of(1), of(1), of(1)],
});

const first = ofInput(0);

/** The type of each output, as far as it is known; asked only of operators whose outputs are. */
export function typesOf(
  node: Node,
  of: (input: number) => string | undefined,
): readonly (string | undefined)[] {
  return (ofDialect(node, { onnx, microsoft, tensorflow }) ?? first)(node, of);
}
