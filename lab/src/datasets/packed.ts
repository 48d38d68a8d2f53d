/**
 * What a trial sees as one buffer, so that it can be kept in a file or sent to another machine:
 *
 *     "evenkeel" | format | length of the facts | facts and lengths of the arrays, JSON in UTF-8 | each array
 *
 * Both numbers are uint32. Every part begins at a multiple of 8 bytes, what is between them is 0. Numbers are in the
 * machine's own order of bytes: a machine of the other order finds a format that it does not know.
 */
import { reason } from "../errors.js";
import { apart, type TrialArrays, type TrialData, type TrialFacts, together } from "./dataset.js";

const MAGIC = new TextEncoder().encode("evenkeel");
const FORMAT = 1;
/** Bytes before the facts. */
const HEAD = 16;

/** The arrays in their order, and what each is made of. */
const KINDS = {
  x: Float32Array,
  scaled: Uint8Array,
  y: Float32Array,
  starts: Int32Array,
  strata: Int32Array,
  groups: Int32Array,
  time: Float64Array,
  heldOut: Int32Array,
} satisfies { [Name in keyof Required<TrialArrays>]: unknown };
type Name = keyof typeof KINDS;
const NAMES = Object.keys(KINDS) as Name[];

interface Header {
  facts: TrialFacts;
  lengths: Partial<Record<Name, number>>;
}

const aligned = (bytes: number): number => Math.ceil(bytes / 8) * 8;

/** A copy of the data in one buffer; the same data give the same bytes. */
export function pack(data: TrialData): Uint8Array<ArrayBuffer> {
  const { facts, arrays } = apart(data);
  const present = NAMES.flatMap((name) => {
    const array = arrays[name];
    return array === undefined ? [] : { name, array };
  });
  const lengths = Object.fromEntries(present.map(({ name, array }) => [name, array.length]));
  const header = new TextEncoder().encode(JSON.stringify({ facts, lengths } satisfies Header));
  const first = aligned(HEAD + header.length);
  const bytes = new Uint8Array(present.reduce((at, { array }) => at + aligned(array.byteLength), first));
  bytes.set(MAGIC);
  new Uint32Array(bytes.buffer, MAGIC.length, 2).set([FORMAT, header.length]);
  bytes.set(header, HEAD);
  let at = first;
  for (const { array } of present) {
    bytes.set(new Uint8Array(array.buffer, array.byteOffset, array.byteLength), at);
    at += aligned(array.byteLength);
  }
  return bytes;
}

/**
 * The data again; their arrays are views of `bytes` where these begin at a multiple of 8, else copies.
 * @throws Error for what `pack` did not write, or is not whole
 */
export function unpack(bytes: Uint8Array): TrialData {
  const head = bytes.slice(0, HEAD);
  if (bytes.length < HEAD || MAGIC.some((byte, i) => head[i] !== byte)) {
    throw malformed(`expected ${HEAD} bytes or more that begin with "evenkeel", got ${bytes.length} others`);
  }
  const [format, length] = new Uint32Array(head.buffer, MAGIC.length);
  if (format !== FORMAT) {
    throw malformed(`expected format ${FORMAT}, got ${format}; run the same version of Evenkeel everywhere`);
  }
  const { facts, lengths } = headerOf(bytes.slice(HEAD, HEAD + length), length);
  const first = aligned(HEAD + length);
  const bytesOf = (name: Name) => (lengths[name] ?? 0) * KINDS[name].BYTES_PER_ELEMENT;
  const whole = NAMES.reduce((sum, name) => sum + aligned(bytesOf(name)), first);
  if (bytes.length !== whole) throw malformed(`expected ${whole} bytes, got ${bytes.length}`);
  const arrays: Record<string, ArrayBufferView> = {};
  let at = first;
  for (const name of NAMES) {
    const count = lengths[name];
    if (count === undefined) continue;
    const from = bytes.byteOffset + at;
    const isAligned = from % KINDS[name].BYTES_PER_ELEMENT === 0;
    arrays[name] = isAligned
      ? new KINDS[name](bytes.buffer as ArrayBuffer, from, count)
      : new KINDS[name](bytes.slice(at, at + bytesOf(name)).buffer);
    at += aligned(bytesOf(name));
  }
  return together(facts, arrays as unknown as TrialArrays);
}

function headerOf(bytes: Uint8Array, length: number): Header {
  if (bytes.length !== length) {
    throw malformed(`expected facts of ${length} bytes, got ${bytes.length}: the end is missing`);
  }
  let header: Partial<Header> | null;
  try {
    header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    throw malformed(`the facts are no JSON: ${reason(error)}`);
  }
  const { facts, lengths } = header ?? {};
  if (typeof facts?.form?.input !== "object" || !Array.isArray(facts.classes) || !lengths) {
    throw malformed("expected facts and the lengths of arrays");
  }
  for (const [name, count] of Object.entries(lengths)) {
    if (!Object.hasOwn(KINDS, name)) throw malformed(`there is no array ${JSON.stringify(name)}`);
    if (!Number.isSafeInteger(count) || count < 0) {
      throw malformed(`${name}: expected a length from 0, got ${JSON.stringify(count)}`);
    }
  }
  for (const name of ["x", "scaled", "y", "strata"] as const) {
    if (lengths[name] === undefined) throw malformed(`${name} is missing`);
  }
  if ((lengths.starts === undefined) !== (facts.ahead === undefined)) {
    throw malformed("windows need both their starts and how far ahead their targets are");
  }
  return { facts, lengths };
}

const malformed = (problem: string): Error => new Error(`unpack: this is no packed data: ${problem}`);
