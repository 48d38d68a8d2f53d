/** What Parquet and Arrow store, as cells; what they need for a whole table in common. */
import { printable } from "@evenkeel/report/format";
import { UsageError } from "../../errors.js";
import type { Decision, RawColumn, Value } from "../table.js";

export const DAY = 86_400_000;
/** Bytes of an integer that is read exactly. */
const MOST_DIGITS = 64;

export const numberOrNone = (value: number): Value => (Number.isNaN(value) ? null : value);

/** A date; none where it is beyond those that there are. */
export const dateOf = (ms: number): Value => (Math.abs(ms) <= 8.64e15 ? ms : null);

/** An integer; as text, with all its digits, beyond 2⁵³. */
export function integerOf(value: bigint): number | string {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : String(value);
}

/** Integers of a column as cells: where one is an identifier beyond 2⁵³, all are text. */
export function integersOf<T>(values: T[]): { cells: T[] | string[]; type: "number" | "text" } {
  return values.some((value) => typeof value === "string")
    ? { cells: values.map((value) => (value === null ? null : String(value))) as string[], type: "text" }
    : { cells: values, type: "number" };
}

/** By its text, since a power of ten is not exact. */
export function decimalOf(unscaled: bigint | number, scale: number): number {
  return Number(`${unscaled}e${-scale}`);
}

/** A decimal's scale, if it can be one. */
export function scaleOf(scale: number): number {
  if (!(Math.abs(scale) <= 1000)) throw new Error(`decimals of scale ${scale}`);
  return scale;
}

/** The integer in big-endian two's complement. */
export function bigEndian(bytes: Uint8Array): bigint {
  if (bytes.length > MOST_DIGITS) throw new Error(`a number of ${bytes.length} bytes`);
  let value = 0n;
  for (const byte of bytes) value = (value << 8n) | BigInt(byte);
  return BigInt.asIntN(8 * bytes.length, value);
}

export function float16(bits: number): number {
  const sign = bits >> 15 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = (bits & 1023) / 1024;
  if (exponent === 0) return sign * 2 ** -14 * fraction;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * 2 ** (exponent - 15) * (1 + fraction);
}

/** Bytes that are no text. */
export class NoText extends Error {}

const lenient = new TextDecoder("utf-8", { ignoreBOM: true });
const strict = new TextDecoder("utf-8", { ignoreBOM: true, fatal: true });

/** The text that `bytes` are; throws NoText where the file does not say that they are one (`declared`), and they are not. */
export function textOfBytes(bytes: Uint8Array, declared: boolean): string {
  if (declared) return lenient.decode(bytes);
  let value: string;
  try {
    value = strict.decode(bytes);
  } catch {
    throw new NoText();
  }
  // biome-ignore lint/suspicious/noControlCharactersInRegex: no text has them
  if (/[\0-\x08\x0e-\x1f]/.test(value)) throw new NoText();
  return value;
}

/** Bytes that texts may take in memory; `spend` throws UsageError where there are no more. */
export class Budget {
  private left: number;

  constructor(
    private readonly file: string,
    private readonly bytes: number,
  ) {
    this.left = bytes;
  }

  readonly spend = (bytes: number): void => {
    this.left -= bytes;
    if (this.left < 0) {
      throw new UsageError(
        `${this.file}: expected at most ${this.bytes.toLocaleString("en-US")} bytes once its texts are unpacked, got more; where it is to be trusted, allow more with --max-bytes`,
      );
    }
  };
}

/** Columns and decisions as they are made; a decision about several columns is told once. */
export class Collected {
  readonly columns: RawColumn[] = [];
  readonly decisions: Decision[] = [];
  private readonly named = new Map<Decision, Set<string>>();

  tell(decision: Decision): void {
    let told = this.decisions.find(({ what, why }) => what === decision.what && why === decision.why);
    if (told === undefined) {
      told = { ...decision, columns: [] };
      this.decisions.push(told);
    }
    const named = this.named.get(told) ?? new Set();
    this.named.set(told, named);
    for (const name of decision.columns) {
      if (!named.has(name)) told.columns.push(name);
      named.add(name);
    }
  }

  leftOut(name: string, why: string): void {
    this.tell({ columns: [printable(name)], what: "left out", why });
  }
}

/** What is wrong with a file, without the words of an engine about its own functions. */
export function whyOf(error: unknown): string {
  const ours = error instanceof Error && !(error instanceof TypeError || error instanceof RangeError);
  return ours ? printable(error.message.slice(0, 300)) : "its bytes are damaged";
}

/** What pandas writes beside a table: which columns are its index, and which are categories. */
export class Pandas {
  private readonly index = new Set<string>();
  private readonly categories = new Set<string>();

  constructor(metadata: string | undefined) {
    let about: unknown;
    try {
      about = JSON.parse(metadata ?? "null");
    } catch {
      return;
    }
    const { index_columns, columns } = (about ?? {}) as { index_columns?: unknown; columns?: unknown };
    // a range is no column of the file
    for (const name of Array.isArray(index_columns) ? index_columns : []) {
      if (typeof name === "string") this.index.add(name);
    }
    for (const column of Array.isArray(columns) ? columns : []) {
      const { field_name, name, pandas_type } = (column ?? {}) as Record<string, unknown>;
      if (pandas_type === "categorical") this.categories.add(String(field_name ?? name));
    }
  }

  /** An index stands before the columns, as in pandas, and not after them, as in the file. */
  indexFirst<T extends { name: string }>(columns: readonly T[]): T[] {
    const isIndex = ({ name }: T) => this.index.has(name) || /^__index_level_\d+__$/.test(name);
    return [...columns.filter(isIndex), ...columns.filter((column) => !isIndex(column))];
  }

  isCategorical({ name }: { name: string }): boolean {
    return this.categories.has(name);
  }
}
