/** Bytes to be written: those of a file that stay as they are, in ranges of it, and new ones in between. */
import { type Field, fieldsOf, lengthField } from "../checkpoints/encodings/protobuf.js";
import { FORMAT } from "../checkpoints/formats/onnx-tensors.js";
import type { Bytes } from "../checkpoints/source.js";

/** In memory, or of a file. */
export type Piece = Uint8Array | Bytes;

/** A file to be written: parts one after another, in memory or of the model's own files. */
export interface WrittenFile {
  readonly name: string;
  readonly parts: readonly Piece[];
  readonly byteLength: number;
}

export interface Written {
  /** The model first. Files beside it that it goes on reading are not among them: `model.external`. */
  readonly files: readonly WrittenFile[];
  /** How many nodes went, replaced ones and those that they alone read, and constants that were none of nodes. */
  readonly dropped: { readonly nodes: number; readonly constants: number };
}

export function lengthOf(pieces: readonly Piece[]): number {
  return pieces.reduce((sum, piece) => sum + piece.byteLength, 0);
}

/** What stands in a field's place. @returns undefined: it stays as it is; none: it goes */
export type Edit = (
  field: Field,
  /** The field as it is, its key included. */
  whole: Bytes,
) => Promise<readonly Piece[] | undefined> | readonly Piece[] | undefined;

/** A message with some fields edited, and others after them; all else byte for byte. Undefined where nothing is. */
export async function edited(
  message: Bytes,
  edit: Edit,
  after: readonly Piece[] = [],
): Promise<readonly Piece[] | undefined> {
  const base = message.offset ?? 0;
  const pieces: Piece[] = [];
  let keptFrom = 0;
  let isEdited = after.length > 0;
  const keepUntil = (end: number): void => {
    if (end > keptFrom) pieces.push(message.part(keptFrom, end));
  };
  const fields = await fieldsOf(FORMAT, message);
  for (const [i, field] of fields.entries()) {
    const start = field.offset - base;
    const end = (fields[i + 1]?.offset ?? base + message.byteLength) - base;
    const whole = message.part(start, end);
    const replaced = await edit(field, whole);
    if (replaced === undefined || (replaced.length === 1 && isSame(replaced[0], whole))) continue;
    isEdited = true;
    keepUntil(start);
    pieces.push(...replaced);
    keptFrom = end;
  }
  keepUntil(message.byteLength);
  return isEdited ? [...pieces, ...after] : undefined;
}

/** Whether a piece is the range of the file that another is. */
function isSame(piece: Piece, range: Bytes): boolean {
  return (
    !(piece instanceof Uint8Array) && piece.offset === range.offset && piece.byteLength === range.byteLength
  );
}

/** A field whose message is in pieces; undefined where it stays as it is. */
export function nested(number: number, pieces: readonly Piece[] | undefined): readonly Piece[] | undefined {
  return pieces && [lengthField(number, lengthOf(pieces)), ...pieces];
}

/** So many bytes are read at once. */
const STEP = 2 ** 22;

/**
 * What is to be written, in order, at most 4 MiB of it in memory.
 * @throws CheckpointError where a file has become shorter meanwhile
 */
export async function* bytesOfParts(parts: readonly Piece[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) {
    for (let at = 0; at < part.byteLength; at += STEP) {
      const end = Math.min(part.byteLength, at + STEP);
      yield part instanceof Uint8Array ? part.subarray(at, end) : await part.read(at, end);
    }
  }
}
