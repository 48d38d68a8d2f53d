/**
 * Tensors in pickles: PyTorch's, of which the pickle has the call that rebuilds them of a storage (torch/_utils.py), in wrappers such as
 * Parameter or a subclass; and NumPy's arrays.
 *
 * Refused when they are read: quantized, sparse, nested and float8 tensors, and those without values (meta).
 */
import { MOST_AXES } from "../../shape.js";
import { kindOf, PickleGlobal, PickleRecord, type PickleValue } from "../encodings/pickle.js";
import { CheckpointError } from "../errors.js";
import { madeTensor, shortened, storedTensor, type Tensor } from "../tensors.js";
import { arrayIn, lengthsIn } from "./pickled-numpy.js";
import type { Contents } from "./pytorch-containers.js";

/** What makes a tensor of a storage, or of another tensor. */
const REBUILT = /^torch\._(utils|tensor)\._rebuild_/;
/** Those that are their first argument. */
const WRAPPERS = new Set([
  "torch._utils._rebuild_parameter",
  "torch._utils._rebuild_parameter_with_state",
  "torch._utils._rebuild_device_tensor_from_cpu_tensor",
  "torch._utils._rebuild_device_tensor_from_numpy",
  "torch.nn.parameter.Parameter",
  "torch.nn.parameter.Buffer",
  "torch.autograd.variable.Variable",
]);

/** How often a tensor may be wrapped. */
const MOST_WRAPPED = 8;

export function isTensor(value: PickleValue): value is PickleRecord {
  if (!(value instanceof PickleRecord)) return false;
  if (REBUILT.test(value.path)) return true;
  if (WRAPPERS.has(value.path)) return value.args[0] instanceof PickleRecord;
  return arrayIn(value) !== undefined;
}

/** What a wrapper wraps: a tensor, or the call that makes a subclass's. */
function wrappedIn({ path, name, args }: PickleRecord): PickleRecord | undefined {
  const [first, , given] = args;
  if (WRAPPERS.has(path) && first instanceof PickleRecord) return first;
  const subclass = /^_rebuild_from_type(_v2)?$/.test(name) && Array.isArray(given);
  return subclass ? new PickleRecord(first, given) : undefined;
}

/** The tensor that a record makes. */
export async function tensorIn(contents: Contents, record: PickleRecord, name: string): Promise<Tensor> {
  const { format, file } = contents;
  const fail = (problem: string, remedy?: string) =>
    new CheckpointError(file, format, `tensor "${shortened(name)}": ${problem}`, { remedy });
  const lengths = (value: PickleValue | undefined): number[] => {
    const list = lengthsIn(value);
    if (list !== undefined) return list;
    throw fail(`expected a tuple of at most ${MOST_AXES} integers, got ${kindOf(value ?? null)}`);
  };
  const listed = (shape: number[], dtype: string, problem: string): Tensor =>
    madeTensor({
      name,
      shape,
      dtype,
      at: { file, byteLength: 0 },
      read: () => Promise.reject(fail(problem, "convert it to a dense float32 tensor where it was written")),
    });
  let made = record;
  let wrapped = 0;
  for (let inner = wrappedIn(made); inner !== undefined; inner = wrappedIn(made)) {
    if (++wrapped > MOST_WRAPPED) throw fail(`expected a tensor in at most ${MOST_WRAPPED} wrappers`);
    made = inner;
  }
  const array = arrayIn(made);
  if (array !== undefined)
    return storedTensor(format, { ...array, name, bytes: contents.bytesOf(array.data) });
  const { args } = made;
  switch (made.name) {
    case "_rebuild_tensor":
    case "_rebuild_tensor_v2":
    case "_rebuild_tensor_v3":
    case "_rebuild_qtensor": {
      const { bytes, dtype, bigEndian } = await contents.storage(args[0] ?? null);
      const [, first, shape, strides] = args;
      if (typeof first !== "number") throw fail(`expected an offset, got ${kindOf(first ?? null)}`);
      // the third version has untyped storages
      const typed =
        made.name === "_rebuild_tensor_v3" && args[6] instanceof PickleGlobal ? args[6].name : dtype;
      return storedTensor(format, {
        name,
        shape: lengths(shape),
        strides: lengths(strides),
        first,
        dtype: typed,
        bytes,
        bigEndian,
      });
    }
    case "_rebuild_meta_tensor_no_storage": {
      const dtype = args[0] instanceof PickleGlobal ? args[0].name : "meta";
      return listed(lengths(args[1]), dtype, "it was saved on the meta device, without values");
    }
    case "_rebuild_sparse_tensor":
    case "_rebuild_sparse_csr_tensor": {
      const [layout, parts] = args;
      const named = layout instanceof PickleRecord ? layout.args[0] : undefined;
      const dtype = typeof named === "string" ? shortened(named.replace(/^torch\./, "")) : "sparse";
      const shape = (Array.isArray(parts) ? parts.slice(0, 5) : [])
        .map(lengthsIn)
        .find((one) => one !== undefined);
      return listed(shape ?? [], dtype, `values of type ${dtype} are not read`);
    }
    default:
      return listed(
        [],
        shortened(made.name),
        `tensors of ${shortened(made.path || kindOf(made.called))} are not read`,
      );
  }
}
