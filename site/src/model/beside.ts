/** Files of a network that were dropped, and the mended network made of their ranges. */
import type { ModelFile } from "@evenkeel/lab/doctor/runtime";
import type { Model, WrittenFile } from "evenkeel/onnx";

/** Files by their paths: a copy in a worker has lost its folder. */
export type Named = readonly (readonly [path: string, file: File])[];

/** Files that a network's tensors lie in, as far as they were dropped, and the names of those that were not. */
export function besideOf(
  model: Pick<Model, "file" | "external">,
  files: Named,
): { beside: ModelFile[]; missing: string[] } {
  const found = finder(model, files);
  const beside: ModelFile[] = [];
  const missing: string[] = [];
  for (const name of model.external) {
    const file = found(name);
    if (file === undefined) missing.push(name);
    else {
      beside.push({
        name,
        byteLength: file.size,
        slice: (start, end) => file.slice(start, end).arrayBuffer(),
      });
    }
  }
  return { beside, missing };
}

/** A written file. What it has of the dropped ones are ranges of these: nothing of them is in memory. */
export async function blobOf(
  { parts }: WrittenFile,
  model: Pick<Model, "file">,
  files: Named,
): Promise<Blob> {
  const found = finder(model, files);
  const blobs: BlobPart[] = [];
  for (const part of parts) {
    if (part instanceof Uint8Array) blobs.push(part as Uint8Array<ArrayBuffer>);
    else {
      const { file, offset, byteLength } = part;
      const whole = offset === undefined ? undefined : found(file);
      blobs.push(
        whole === undefined || offset === undefined
          ? ((await part.read()) as Uint8Array<ArrayBuffer>)
          : whole.slice(offset, offset + byteLength),
      );
    }
  }
  return new Blob(blobs);
}

/** Files by the names that the network has for them: their paths from its folder. */
function finder({ file: own }: Pick<Model, "file">, files: Named): (name: string) => File | undefined {
  const all = new Map(files);
  const folder = own.slice(0, own.lastIndexOf("/") + 1);
  return (name) =>
    name === own
      ? all.get(own)
      : all.get(
          folder +
            name
              .split("/")
              .filter((part) => part !== ".")
              .join("/"),
        );
}
