/** What `written` gives, in memory. */
import { concatenated } from "../../src/checkpoints/encodings/zip.js";
import { bytesOfParts, type WrittenFile } from "../../src/onnx/write.js";

export async function bytesIn(file: WrittenFile): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const part of bytesOfParts(file.parts)) parts.push(part);
  const bytes = concatenated(parts);
  if (bytes.length !== file.byteLength)
    throw new Error(`${file.name}: ${bytes.length} of ${file.byteLength} bytes`);
  return bytes;
}
