/** Memory that threads share, where the host has it: Node, and pages that are isolated. */
import { apart, type TrialArrays, type TrialData, together } from "./dataset.js";

/** What a trial needs, in memory that threads share, so that no trial has a copy; what is there already stays. */
export function shared(data: TrialData): TrialData {
  const { facts, arrays } = apart(data);
  const moved = Object.entries(arrays).map(([name, values]) => [name, share(values)]);
  return together(facts, Object.fromEntries(moved) as TrialArrays);
}

function share<T extends Float32Array | Float64Array | Int32Array | Uint8Array>(values: T): T {
  if (values.buffer instanceof SharedArrayBuffer) return values;
  const bytes = new Uint8Array(new SharedArrayBuffer(values.byteLength));
  bytes.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  return new (values.constructor as new (buffer: SharedArrayBuffer) => T)(bytes.buffer);
}
