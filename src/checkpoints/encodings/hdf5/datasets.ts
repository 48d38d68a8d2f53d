/**
 * HDF5's datasets as tensors: values in the header and in a row lie in the file; chunks are gathered when they are read, and what was never
 * written is the fill value (specification, IV.B). Refused when they are read: other types than numbers and bool, filters that
 * are not read, values in external files, virtual storage.
 */
import { sizeOf } from "../../../shape.js";
import { CheckpointError } from "../../errors.js";
import { bytesInMemory } from "../../source.js";
import {
  dtypes,
  fitsStored,
  madeTensor,
  reverseEach,
  shortened,
  storedTensor,
  type Tensor,
  type Values,
} from "../../tensors.js";
import { chunksOf } from "./chunks.js";
import { NEWER, type Structures } from "./fields.js";
import { type Filter, filtersOf, unfiltered, unreadFilter } from "./filters.js";
import { fieldsOf, MESSAGE, type Message } from "./headers.js";
import { type Layout, layoutOf } from "./layouts.js";
import { type Dataspace, type Datatype, dataspaceOf, datatypeOf, fillOf } from "./types.js";

export interface Dataset {
  readonly shape: readonly number[];
  readonly dtype: string;
  /** @param dtype another type of as many bytes, where an attribute tells what opaque values are */
  tensor(name: string, dtype?: string): Tensor;
}

interface Stored {
  readonly structures: Structures;
  readonly space: Dataspace;
  readonly type: Datatype;
  readonly fill?: Uint8Array;
  readonly filters: readonly Filter[];
  readonly layout: Layout;
  readonly external: boolean;
}

/** Of an object with a layout; undefined of any other, which is a group. */
export function datasetOf(structures: Structures, messages: readonly Message[]): Dataset | undefined {
  const one = (type: number) => fieldsOf(messages, type)[0];
  const layout = one(MESSAGE.layout);
  if (layout === undefined) return undefined;
  const [dataspace, datatype] = [one(MESSAGE.dataspace), one(MESSAGE.datatype)];
  if (dataspace === undefined || datatype === undefined)
    throw layout.fail("expected a dataset's type and shape");
  const space = dataspaceOf(dataspace);
  const type = datatypeOf(datatype);
  const stored: Stored = {
    structures,
    space,
    type,
    fill: fillOf(one(MESSAGE.fill), one(MESSAGE.oldFill)),
    filters: filtersOf(one(MESSAGE.filters)),
    layout: layoutOf(layout, space.shape.length),
    external: one(MESSAGE.external) !== undefined,
  };
  return {
    shape: space.shape,
    dtype: type.dtype,
    tensor: (name, dtype = type.dtype) => tensorOf(stored, name, dtype),
  };
}

function tensorOf(stored: Stored, name: string, dtype: string): Tensor {
  const { structures, type, layout } = stored;
  const { format, bytes } = structures;
  const { shape } = stored.space;
  const { bigEndian } = type;
  const whole = sizeOf(shape) * type.size;
  if (layout.kind === "compact") {
    const offset = bytes.offset === undefined ? undefined : bytes.offset + layout.address;
    const inHeader = bytesInMemory(bytes.file, layout.bytes, offset);
    return storedTensor(format, { name, shape, dtype, bytes: inHeader, bigEndian });
  }
  if (layout.kind === "contiguous" && layout.address !== undefined && !stored.external) {
    const lying = bytes.part(layout.address, layout.address + (layout.byteLength ?? whole));
    return storedTensor(format, { name, shape, dtype, bytes: lying, bigEndian });
  }
  const refused = (problem: string, remedy: string) =>
    new CheckpointError(bytes.file, format, `tensor "${shortened(name)}": ${problem}`, { remedy });
  return madeTensor({
    name,
    shape,
    dtype,
    at: { file: bytes.file, byteLength: whole },
    async read() {
      if (layout.kind === "refused") throw refused(`${layout.what} is not read`, NEWER);
      if (stored.external) throw refused("values in external files are not read", "write them into the file");
      const known = Object.hasOwn(dtypes, dtype) ? dtypes[dtype] : undefined;
      if (known?.bytes !== type.size) {
        throw refused(`values of type ${dtype} are not read`, "convert it to float32 where it was written");
      }
      const values = await gathered(stored, refused);
      if (bigEndian) reverseEach(values, type.size);
      return known.decode(values) as Values;
    },
  });
}

type Refused = (problem: string, remedy: string) => CheckpointError;

/** All values, in the order of the shape: the chunks', and the fill value where none was written. */
async function gathered(
  { structures, space, type, filters, layout, fill }: Stored,
  refused: Refused,
): Promise<Uint8Array> {
  const { shape } = space;
  const { size } = type;
  const chunk = layout.kind === "chunked" ? layout.chunk : [];
  const chunkBytes = sizeOf(chunk) * size;
  const chunks =
    layout.kind === "chunked"
      ? await chunksOf(structures.again(), space, layout, chunkBytes, filters.length > 0)
      : [];
  const unread = unreadFilter(filters);
  if (unread !== undefined)
    throw refused(`filter ${unread} is not read`, "write it with gzip or without compression");
  const whole = sizeOf(shape) * size;
  const there = chunks.reduce((sum, { byteLength }) => sum + byteLength, 0);
  if (!fitsStored(whole, there)) {
    throw refused(
      `expected values that its ${there} stored bytes can hold, got ${whole} bytes`,
      "write all of it",
    );
  }
  const values = new Uint8Array(whole);
  if (fill?.length === size && fill.some((byte) => byte !== 0)) {
    for (let at = 0; at < whole; at += size) values.set(fill, at);
  }
  for (const { address, byteLength, mask, at } of chunks) {
    const fail = (problem: string) => structures.fail(problem, address);
    if (!fitsStored(chunkBytes, byteLength)) {
      throw fail(`expected a chunk of ${chunkBytes} bytes, ${byteLength} cannot hold it`);
    }
    const stored = await structures.bytes.read(address, address + byteLength);
    copyChunk(
      await unfiltered(stored, filters, mask, size, chunkBytes, fail),
      chunk,
      at,
      values,
      shape,
      size,
    );
  }
  return values;
}

/** Rows of a chunk to where they belong; what reaches beyond the shape is left out. */
function copyChunk(
  from: Uint8Array,
  chunk: readonly number[],
  at: readonly number[],
  to: Uint8Array,
  shape: readonly number[],
  size: number,
): void {
  const rank = shape.length;
  if (rank === 0) {
    to.set(from);
    return;
  }
  const lengths = shape.map((length, axis) => Math.min(chunk[axis], length - at[axis]));
  const row = lengths[rank - 1] * size;
  const rows = sizeOf(lengths.slice(0, -1));
  const index = lengths.map(() => 0);
  for (let done = 0; done < rows; done++) {
    let source = 0;
    let target = 0;
    for (let axis = 0; axis < rank; axis++) {
      source = source * chunk[axis] + index[axis];
      target = target * shape[axis] + at[axis] + index[axis];
    }
    to.set(from.subarray(source * size, source * size + row), target * size);
    for (let axis = rank - 2; axis >= 0; axis--) {
      index[axis]++;
      if (index[axis] < lengths[axis]) break;
      index[axis] = 0;
    }
  }
}
