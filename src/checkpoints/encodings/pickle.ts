/**
 * Python's pickles, protocols 0 to 5 (Lib/pickletools.py, PEP 307, 3154, 574), read as data. Numbers, strings and containers become
 * ours; all else that a pickle names, calls or builds becomes a `PickleRecord` of what was named, with the arguments that it was
 * given. Nothing is looked up or run, whatever the pickle names. Byte strings stay where they are until they are read.
 *
 * The pickle is read in one loop over its opcodes, without recursion. Shared and cyclic references are kept as they are: whoever walks
 * the result must bound the walk.
 */
import { CheckpointError } from "../errors.js";
import { type Bytes, bytesInMemory } from "../source.js";
import { viewOf } from "./zip.js";

/** A dict is a Map, a list and a tuple an array, an integer beyond 2⁵³ a bigint, a byte string `Bytes`. */
export type PickleValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | PickleValue[]
  | PickleSet
  | PickleDict
  | PickleGlobal
  | PickleRecord
  | Bytes;
export interface PickleDict extends Map<PickleValue, PickleValue> {}
export interface PickleSet extends Set<PickleValue> {}

/** A class or function that the pickle names: a name and no more. */
export class PickleGlobal {
  constructor(
    readonly module: string,
    readonly name: string,
  ) {
    this.path = `${module}.${name}`;
  }

  readonly path: string;
}

/** What a call in the pickle would have made. */
export class PickleRecord {
  /** What was set on it afterwards: mostly the dict of its attributes. */
  state: PickleValue = null;
  /** What was appended or added to it, as to a subclass of list or set. */
  items?: PickleValue[];
  /** What was set in it, as in a subclass of dict. */
  entries?: PickleDict;

  constructor(
    /** What was called; mostly a `PickleGlobal`. */
    readonly called: PickleValue,
    readonly args: PickleValue[],
  ) {}

  get module(): string {
    return this.called instanceof PickleGlobal ? this.called.module : "";
  }

  get name(): string {
    return this.called instanceof PickleGlobal ? this.called.name : "";
  }

  /** module.name; "" where something else was called than a name. */
  get path(): string {
    return this.called instanceof PickleGlobal ? this.called.path : "";
  }

  /** Its attributes; empty where it has none. Of a class with slots the state is a pair, of which the first is the dict. */
  get attributes(): PickleDict {
    const state = Array.isArray(this.state) ? this.state[0] : this.state;
    return state instanceof Map ? state : NONE;
  }
}

const NONE: PickleDict = new Map();

const persistent = new PickleGlobal("", "persistent id");
/** A buffer that protocol 5 leaves to lie outside of the pickle, where no file has it. */
const outOfBand = new PickleGlobal("", "out-of-band buffer");

export interface Pickle {
  readonly value: PickleValue;
  /** Where it ends: pickles may follow each other. */
  readonly end: number;
  /** Modules of Python whose classes or functions it names. */
  readonly modules: ReadonlySet<string>;
}

/** Of a pickle in memory at a time. */
const WINDOW = 2 ** 16;
/** A file may be compressed a thousandfold, so that its size bounds too little: what a pickle may hold in any case. */
const MOST_OPCODES = 2 ** 24;
const MOST_OBJECTS = 2 ** 21;
/** Of an integer: its conversion takes quadratic time. */
const MOST_DIGITS = 1024;
/** Bytes of a string. */
const MOST_TEXT = 2 ** 28;
/** Of the name of a class with its module's. */
const MOST_NAME = 512;

/**
 * @param format for errors
 * @param outside what stands for a persistent id, by which a pickle names what lies outside of it
 * @throws CheckpointError for what is no pickle
 */
export async function unpickle(
  format: string,
  bytes: Bytes,
  start = 0,
  outside: (id: PickleValue) => PickleValue = (id) => new PickleRecord(persistent, [id]),
): Promise<Pickle> {
  const reader = new Reader(format, bytes, start);
  const { fail } = reader;
  const modules = new Set<string>();
  // sparse where a pickle leaves indices out
  const memo: PickleValue[] = [];
  let stored = 0;
  let stack: PickleValue[] = [];
  /** Stacks below the marks. */
  const below: PickleValue[][] = [];
  let objects = 0;

  const counted = <T>(value: T): T => {
    objects++;
    if (objects > MOST_OBJECTS) throw fail(`expected at most ${MOST_OBJECTS} objects, got more`);
    return value;
  };
  const push = (value: PickleValue): void => {
    stack.push(value);
  };
  const pop = (): PickleValue => {
    const value = stack.pop();
    if (value === undefined) throw fail("expected a value on the stack, it is empty");
    return value;
  };
  const top = (): PickleValue => {
    const value = stack.at(-1);
    if (value === undefined) throw fail("expected a value on the stack, it is empty");
    return value;
  };
  const popToMark = (): PickleValue[] => {
    const above = stack;
    const under = below.pop();
    if (under === undefined) throw fail("expected a mark on the stack, there is none");
    stack = under;
    return above;
  };
  const popMany = (count: number): PickleValue[] => {
    if (stack.length < count) throw fail(`expected ${count} values on the stack, there are ${stack.length}`);
    return stack.splice(stack.length - count, count);
  };
  const text = (value: PickleValue): string => {
    if (typeof value === "string") return value;
    throw fail(`expected a string, got ${kindOf(value)}`);
  };
  const tuple = (value: PickleValue): PickleValue[] => {
    if (Array.isArray(value)) return value;
    throw fail(`expected a tuple of arguments, got ${kindOf(value)}`);
  };
  const global = (module: string, name: string): PickleGlobal => {
    if (module.length + name.length > MOST_NAME) {
      throw fail(`expected a name of at most ${MOST_NAME} characters, got "${module.slice(0, 40)}..."`);
    }
    modules.add(module);
    return counted(new PickleGlobal(module, name));
  };
  const remember = (index: number): void => {
    if (memo[index] === undefined) stored++;
    memo[index] = top();
  };
  const recall = (index: number): void => {
    const value = memo[index];
    if (value === undefined) throw fail(`expected a value that was stored as ${index}, there is none`);
    push(value);
  };
  const indexed = (line: string): number => {
    if (/^\d{1,10}$/.test(line)) return Number(line);
    throw fail(`expected an index, got "${line.slice(0, 40)}"`);
  };
  const append = (target: PickleValue, values: PickleValue[]): void => {
    if (target instanceof Set) for (const value of values) target.add(value);
    else if (Array.isArray(target) || target instanceof PickleRecord) {
      if (target instanceof PickleRecord) target.items ??= [];
      const list = Array.isArray(target) ? target : (target.items as PickleValue[]);
      for (const value of values) list.push(value);
    } else throw fail(`expected a list or set to add to, got ${kindOf(target)}`);
  };
  const setItems = (target: PickleValue, values: PickleValue[]): void => {
    if (target instanceof PickleRecord) target.entries ??= new Map();
    const dict = target instanceof PickleRecord ? target.entries : target;
    if (!(dict instanceof Map)) throw fail(`expected a dict to set items of, got ${kindOf(target)}`);
    if (values.length % 2 !== 0) throw fail("expected a value for each key");
    for (let i = 0; i < values.length; i += 2) dict.set(values[i], values[i + 1]);
  };
  // arguments may be shared by many calls, which each copy them
  let copied = 0;
  const copying = (length: number): void => {
    copied += length;
    if (copied > 2 * bytes.byteLength) throw fail("expected calls that copy less than the pickle holds");
  };
  const call = (called: PickleValue, args: PickleValue[]): void =>
    push(counted(built(bytes.file, called, args, copying) ?? new PickleRecord(called, args)));

  for (let opcodes = 0; ; opcodes++) {
    if (opcodes > MOST_OPCODES) throw fail(`expected at most ${MOST_OPCODES} opcodes, got more`);
    while (!reader.ready()) await reader.fill();
    const opcode = String.fromCharCode(reader.byte());
    switch (opcode) {
      case ".":
        return { value: pop(), end: reader.at, modules };
      case "\x80": {
        const protocol = reader.byte();
        if (protocol > 5) throw fail(`expected a protocol up to 5, got ${protocol}`);
        break;
      }
      case "\x95":
        // a frame is for reading ahead
        reader.uint64();
        break;

      case "(":
        below.push(counted(stack));
        stack = [];
        break;
      case "0":
        if (stack.length > 0) stack.pop();
        else popToMark();
        break;
      case "1":
        popToMark();
        break;
      case "2":
        push(top());
        break;

      case "N":
        push(null);
        break;
      case "\x88":
        push(true);
        break;
      case "\x89":
        push(false);
        break;
      case "I": {
        const line = reader.line();
        push(line === "00" ? false : line === "01" ? true : integer(line, fail));
        break;
      }
      case "L":
        push(integer(reader.line().replace(/L$/, ""), fail));
        break;
      case "J":
        push(reader.int32());
        break;
      case "K":
        push(reader.byte());
        break;
      case "M":
        push(reader.uint16());
        break;
      case "\x8a":
        push(littleEndian(reader.bytes(reader.byte(), MOST_DIGITS)));
        break;
      case "\x8b":
        push(littleEndian(reader.bytes(reader.uint32(), MOST_DIGITS)));
        break;
      case "F": {
        const line = reader.line();
        const value = /^-?inf/.test(line)
          ? line.startsWith("-")
            ? Number.NEGATIVE_INFINITY
            : Number.POSITIVE_INFINITY
          : Number(line);
        push(value);
        break;
      }
      case "G":
        push(reader.float64());
        break;

      case "S": {
        const quoted = /^(["'])(.*)\1$/s.exec(reader.line().trim());
        if (quoted === null) throw fail("expected a string in quotes");
        push(ownText(bytes.file, unescaped(quoted[2])));
        break;
      }
      case "T":
        push(counted(reader.stringOrBytes(reader.uint32())));
        break;
      case "U":
        push(counted(reader.stringOrBytes(reader.byte())));
        break;
      case "V":
        push(rawUnicode(reader.line()));
        break;
      case "X":
        push(reader.text(reader.uint32()));
        break;
      case "\x8c":
        push(reader.text(reader.byte()));
        break;
      case "\x8d":
        push(reader.text(reader.uint64()));
        break;
      case "B":
        push(counted(reader.lying(reader.uint32())));
        break;
      case "C":
        push(counted(reader.lying(reader.byte())));
        break;
      case "\x8e":
      case "\x96":
        push(counted(reader.lying(reader.uint64())));
        break;
      case "\x97":
        push(counted(new PickleRecord(outOfBand, [])));
        break;
      case "\x98":
        // the buffer becomes read-only
        break;

      case "]":
      case ")":
        push(counted([]));
        break;
      case "l":
      case "t":
        push(counted(popToMark()));
        break;
      case "\x85":
        push(counted(popMany(1)));
        break;
      case "\x86":
        push(counted(popMany(2)));
        break;
      case "\x87":
        push(counted(popMany(3)));
        break;
      case "a": {
        const value = pop();
        append(top(), [value]);
        break;
      }
      case "e":
      case "\x90": {
        const values = popToMark();
        append(top(), values);
        break;
      }
      case "}":
        push(counted(new Map()));
        break;
      case "d": {
        const values = popToMark();
        const dict: PickleDict = counted(new Map());
        setItems(dict, values);
        push(dict);
        break;
      }
      case "s": {
        const pair = popMany(2);
        setItems(top(), pair);
        break;
      }
      case "u": {
        const values = popToMark();
        setItems(top(), values);
        break;
      }
      case "\x8f":
        push(counted(new Set()));
        break;
      case "\x91":
        push(counted(new Set(popToMark())));
        break;

      case "p":
        remember(indexed(reader.line()));
        break;
      case "q":
        remember(reader.byte());
        break;
      case "r":
        remember(reader.uint32());
        break;
      case "\x94":
        remember(stored);
        break;
      case "g":
        recall(indexed(reader.line()));
        break;
      case "h":
        recall(reader.byte());
        break;
      case "j":
        recall(reader.uint32());
        break;

      case "c": {
        const module = reader.line();
        push(global(module, reader.line()));
        break;
      }
      case "\x93": {
        const [module, name] = popMany(2);
        push(global(text(module), text(name)));
        break;
      }
      case "\x82":
        push(global("copyreg", `extension ${reader.byte()}`));
        break;
      case "\x83":
        push(global("copyreg", `extension ${reader.uint16()}`));
        break;
      case "\x84":
        push(global("copyreg", `extension ${reader.int32()}`));
        break;
      case "R":
      case "\x81": {
        const [called, args] = popMany(2);
        call(called, tuple(args));
        break;
      }
      case "\x92": {
        const [called, args, named] = popMany(3);
        copying(tuple(args).length);
        call(called, [...tuple(args), named]);
        break;
      }
      case "i": {
        const module = reader.line();
        call(global(module, reader.line()), popToMark());
        break;
      }
      case "o": {
        const [called, ...args] = popToMark();
        if (called === undefined) throw fail("expected a class above the mark, there is nothing");
        call(called, args);
        break;
      }
      case "b": {
        const state = pop();
        const target = top();
        if (target instanceof PickleRecord) target.state = state;
        break;
      }
      case "P":
        push(counted(outside(reader.line())));
        break;
      case "Q":
        push(counted(outside(pop())));
        break;

      default:
        throw fail(`expected an opcode of a pickle, got byte ${opcode.charCodeAt(0)}`);
    }
  }
}

/** What a value is, for messages. */
export function kindOf(value: PickleValue): string {
  if (value === null) return "None";
  if (Array.isArray(value)) return "a list";
  if (value instanceof Map) return "a dict";
  if (value instanceof Set) return "a set";
  if (value instanceof PickleGlobal) return `the name ${value.path.slice(0, 80)}`;
  if (value instanceof PickleRecord) return `an object of ${(value.path || "an unknown class").slice(0, 80)}`;
  if (typeof value === "object") return "bytes";
  return typeof value === "string" ? `"${value.slice(0, 80)}"` : String(value).slice(0, 80);
}

/** Whether it is a byte string. */
export function isBytes(value: PickleValue | undefined): value is Bytes {
  return typeof value === "object" && value !== null && "part" in value;
}

/** Entries of a dict, or of what is a subclass of it: OrderedDict, defaultdict, Counter. */
export function entriesOf(value: PickleValue | undefined): PickleDict | undefined {
  if (value instanceof Map) return value;
  return value instanceof PickleRecord ? value.entries : undefined;
}

/** By their names in Python 3 and 2. */
const builtin = (...names: string[]) =>
  new Set(names.flatMap((name) => [`builtins.${name}`, `__builtin__.${name}`]));
const BYTES = builtin("bytes", "bytearray");
const SETS = builtin("set", "frozenset");
const DICTS = new Set(["collections.OrderedDict", "collections.defaultdict", "collections.Counter"]);

/** Of what is made by a call: Python's containers, bytes that older protocols write as text, and PyTorch's class of tuples. */
function built(
  file: string,
  called: PickleValue,
  args: PickleValue[],
  copying: (length: number) => void,
): PickleValue | undefined {
  if (!(called instanceof PickleGlobal)) return undefined;
  const { path } = called;
  const [first, second] = args;
  /** Text that stands for bytes, a character each. */
  const latin = (text: string): Bytes => {
    copying(text.length);
    return bytesInMemory(
      file,
      Uint8Array.from(text, (character) => character.charCodeAt(0)),
    );
  };
  if (path === "_codecs.encode" && typeof first === "string" && second === "latin1") return latin(first);
  if (BYTES.has(path)) {
    if (args.length === 0) return bytesInMemory(file, new Uint8Array());
    if (isBytes(first)) return first;
    if (typeof first === "string" && typeof second === "string") return latin(first);
  }
  if (SETS.has(path)) {
    if (args.length === 0) return new Set();
    if (Array.isArray(first)) {
      copying(first.length);
      return new Set(first);
    }
  }
  if (path === "torch.Size" && Array.isArray(first)) return first;
  if (!DICTS.has(path)) return undefined;
  const record = new PickleRecord(called, args);
  record.entries = new Map();
  const given = args.at(-1);
  if (given instanceof Map) {
    copying(given.size);
    record.entries = new Map(given);
  } else if (Array.isArray(given)) {
    copying(given.length);
    for (const pair of given) if (Array.isArray(pair)) record.entries.set(pair[0] ?? null, pair[1] ?? null);
  }
  return record;
}

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** UTF-8; what is short and ASCII without the decoder, which takes longer to call. */
function decoded(bytes: Uint8Array): string {
  if (bytes.length > 64) return decoder.decode(bytes);
  let text = "";
  for (const byte of bytes) {
    if (byte > 127) return decoder.decode(bytes);
    text += String.fromCharCode(byte);
  }
  return text;
}

/** Python 2's strings are bytes: text where they are UTF-8. */
function ownText(file: string, bytes: Uint8Array): string | Bytes {
  const text = decoded(bytes);
  return text.includes("\ufffd") ? bytesInMemory(file, bytes) : text;
}

const ESCAPES = new Map(
  Object.entries({ n: 10, r: 13, t: 9, b: 8, f: 12, v: 11, a: 7, "'": 39, '"': 34, "\\": 92 }),
);

/** The bytes of a string literal's inside. */
function unescaped(inside: string): Uint8Array {
  const plain = inside.replace(/\\(x[0-9a-fA-F]{2}|[0-7]{1,3}|[\s\S])/g, (whole, after: string) => {
    if (/^x./.test(after)) return String.fromCharCode(Number.parseInt(after.slice(1), 16));
    if (/^[0-7]/.test(after)) return String.fromCharCode(Number.parseInt(after, 8) & 0xff);
    const code = ESCAPES.get(after);
    return code === undefined ? whole : String.fromCharCode(code);
  });
  return Uint8Array.from(plain, (character) => character.charCodeAt(0));
}

/** Python's raw-unicode-escape: Latin-1, with escapes of what is beyond. */
function rawUnicode(line: string): string {
  return line.replace(/\\u([0-9a-fA-F]{4})|\\U([0-9a-fA-F]{8})/g, (whole, short?: string, long?: string) => {
    const code = Number.parseInt(short ?? (long as string), 16);
    return code <= 0x10ffff ? String.fromCodePoint(code) : whole;
  });
}

type Fail = (problem: string) => CheckpointError;

function integer(digits: string, fail: Fail): number | bigint {
  if (!/^ *[+-]?\d+$/.test(digits) || digits.length > MOST_DIGITS) {
    throw fail(`expected an integer of at most ${MOST_DIGITS} digits, got "${digits.slice(0, 40)}"`);
  }
  return digits.length < 16 ? Number(digits) : small(BigInt(digits.replace("+", "")));
}

/** Two's complement. */
function littleEndian(bytes: Uint8Array): number | bigint {
  if (bytes.length === 0) return 0;
  let value = 0n;
  const view = viewOf(bytes);
  const words = bytes.length >> 2;
  for (let at = bytes.length - 1; at >= 4 * words; at--) value = (value << 8n) | BigInt(bytes[at]);
  for (let word = words - 1; word >= 0; word--) {
    value = (value << 32n) | BigInt(view.getUint32(4 * word, true));
  }
  return small(BigInt.asIntN(8 * bytes.length, value));
}

function small(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

/** Bytes of the length that stands before a string or a long integer, by opcode. */
const LENGTHS = new Uint8Array(256);
for (const [opcode, bytes] of Object.entries({
  X: 4,
  T: 4,
  "\x8b": 4,
  U: 1,
  "\x8c": 1,
  "\x8a": 1,
  "\x8d": 8,
})) {
  LENGTHS[opcode.charCodeAt(0)] = bytes;
}
/** Lines that follow an opcode. */
const LINES = new Uint8Array(256);
for (const opcode of "ILFSVpgPci") LINES[opcode.charCodeAt(0)] = "ci".includes(opcode) ? 2 : 1;

/** Reads from a window that lies over the source. */
class Reader {
  private window: Uint8Array = new Uint8Array();
  private view = viewOf(this.window);
  private windowAt: number;
  /** In the window. */
  private next = 0;
  /** Bytes that the window must hold from `next` on. */
  private wanted = 0;

  constructor(
    private readonly format: string,
    private readonly source: Bytes,
    start: number,
  ) {
    this.windowAt = start;
  }

  readonly fail: Fail = (problem) =>
    new CheckpointError(this.source.file, this.format, problem, {
      offset: this.source.offset === undefined ? undefined : this.source.offset + this.at,
    });

  get at(): number {
    return this.windowAt + this.next;
  }

  /** Whether the window holds an opcode with all that belongs to it, or all that there is. */
  ready(): boolean {
    const left = this.window.length - this.next;
    this.wanted = 9;
    if (left >= 9) {
      const opcode = this.window[this.next];
      if (LENGTHS[opcode] > 0) this.wanted = 1 + LENGTHS[opcode] + this.lengthAhead(LENGTHS[opcode]);
      let end = this.next;
      for (let line = 0; line < LINES[opcode]; line++) {
        end = this.window.indexOf(10, end + 1);
        if (end >= 0) continue;
        this.wanted = 2 * left;
        break;
      }
    }
    const there = this.source.byteLength - this.at;
    if (there <= 0) throw this.fail("expected the pickle's end, the file ends before");
    return left >= Math.min(this.wanted, there);
  }

  private lengthAhead(bytes: number): number {
    const at = this.next + 1;
    if (bytes === 1) return this.window[at];
    const length = bytes === 4 ? this.view.getUint32(at, true) : Number(this.view.getBigUint64(at, true));
    // what is too long is refused when it is read, or passed over
    return length > Math.min(MOST_TEXT, this.source.byteLength - this.at) ? 0 : length;
  }

  /** Moves the window on. */
  async fill(): Promise<void> {
    const start = this.at;
    const end = Math.min(this.source.byteLength, start + Math.max(this.wanted, WINDOW));
    this.window = await this.source.read(start, end);
    this.view = viewOf(this.window);
    this.windowAt = start;
    this.next = 0;
  }

  private take(count: number): number {
    const left = this.window.length - this.next;
    if (left < count) throw this.fail(`expected ${count} more bytes, there are ${left}`);
    this.next += count;
    return this.next - count;
  }

  byte(): number {
    return this.window[this.take(1)];
  }

  uint16(): number {
    return this.view.getUint16(this.take(2), true);
  }

  int32(): number {
    return this.view.getInt32(this.take(4), true);
  }

  uint32(): number {
    return this.view.getUint32(this.take(4), true);
  }

  uint64(): number {
    return Number(this.view.getBigUint64(this.take(8), true));
  }

  float64(): number {
    return this.view.getFloat64(this.take(8));
  }

  bytes(count: number, most = Number.POSITIVE_INFINITY): Uint8Array {
    if (count > most) throw this.fail(`expected at most ${most} bytes, got the length ${count}`);
    const from = this.take(count);
    return this.window.subarray(from, from + count);
  }

  /** Byte strings are passed over. */
  lying(count: number): Bytes {
    const { at } = this;
    const there = this.source.byteLength - at;
    if (count > there) throw this.fail(`expected ${count} more bytes, there are ${there}`);
    if (count <= this.window.length - this.next) this.next += count;
    else {
      this.window = new Uint8Array();
      this.windowAt = at + count;
      this.next = 0;
    }
    return this.source.part(at, at + count);
  }

  text(count: number): string {
    return decoded(this.bytes(count, MOST_TEXT));
  }

  stringOrBytes(count: number): string | Bytes {
    if (count > WINDOW) return this.lying(count);
    const { at } = this;
    const text = ownText(this.source.file, this.bytes(count));
    return typeof text === "string" ? text : this.source.part(at, at + count);
  }

  /** A line as Latin-1, without its end. */
  line(): string {
    const end = this.window.indexOf(10, this.next);
    if (end < 0) throw this.fail("expected the end of a line, the file ends");
    let line = "";
    while (this.next < end) {
      const part = this.window.subarray(this.next, Math.min(end, this.next + 1024));
      line += String.fromCharCode.apply(null, part as unknown as number[]);
      this.next += part.length;
    }
    this.next++;
    return line.endsWith("\r") ? line.slice(0, -1) : line;
  }
}
