/** For engines without relaxed SIMD: the kernels with a product and a sum where they have a fused multiply-add. */

/** f32x4.relaxed_madd; scripts/build.mjs makes sure that its bytes are nothing else in the kernels. */
const FUSED = [0xfd, 0x85, 0x02];
const [LOCAL_GET, LOCAL_SET] = [0x20, 0x21];
const F32X4_ADD = [0xfd, 0xe4, 0x01];
const F32X4_MUL = [0xfd, 0xe6, 0x01];
const V128 = 0x7b;
type Bytes = ArrayLike<number>;
/** Sections of a module: types, functions' types, functions' code. */
const [TYPES, FUNCTIONS, CODE] = [1, 3, 10];

/** a·b + c of three values on the stack: c waits in a local that each function with such a step gets. */
export function unfused(module: Uint8Array): Uint8Array<ArrayBuffer> {
  const read = new Reader(module, 8);
  const out: Bytes[] = [module.subarray(0, read.at)];
  let parameters: number[] = [];
  let functions: number[] = [];
  while (read.at < module.length) {
    const id = module[read.at++];
    const section = read.sized();
    let content: Bytes[] = [section.rest()];
    if (id === TYPES) {
      parameters = section.list(() => {
        // the form of a function
        section.at++;
        const inputs = section.list(() => section.at++);
        section.list(() => section.at++);
        return inputs.length;
      });
    } else if (id === FUNCTIONS) functions = section.list(() => parameters[section.number()]);
    else if (id === CODE) {
      const bodies = section.list((i) => unfusedBody(section.sized(), functions[i]));
      content = [leb(bodies.length), ...bodies.flatMap((body) => [leb(lengthOf(body)), ...body])];
    }
    out.push([id], leb(lengthOf(content)), ...content);
  }
  const made = new Uint8Array(lengthOf(out));
  let at = 0;
  for (const bytes of out) {
    made.set(bytes, at);
    at += bytes.length;
  }
  return made;
}

function unfusedBody(body: Reader, parameters: number): Bytes[] {
  const locals = body.list(() => [body.number(), body.bytes[body.at++]]);
  const code = body.rest();
  const own = locals.reduce((sum, [count]) => sum + count, parameters);
  const step = [LOCAL_SET, ...leb(own), ...F32X4_MUL, LOCAL_GET, ...leb(own), ...F32X4_ADD];
  const parts: Bytes[] = [];
  let from = 0;
  for (let at = code.indexOf(FUSED[0]); at >= 0; at = code.indexOf(FUSED[0], at + 1)) {
    if (code[at + 1] !== FUSED[1] || code[at + 2] !== FUSED[2]) continue;
    parts.push(code.subarray(from, at), step);
    from = at + FUSED.length;
  }
  locals.push([1, V128]);
  const declared = locals.flatMap(([count, type]) => [...leb(count), type]);
  return [leb(locals.length), declared, ...parts, code.subarray(from)];
}

class Reader {
  constructor(
    readonly bytes: Uint8Array,
    public at = 0,
  ) {}

  /** An unsigned LEB128. */
  number(): number {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = this.bytes[this.at++];
      value |= (byte & 127) << shift;
      if (byte < 128) return value;
    }
  }

  list<T>(item: (i: number) => T): T[] {
    return Array.from({ length: this.number() }, (_, i) => item(i));
  }

  /** What follows its length. */
  sized(): Reader {
    const length = this.number();
    this.at += length;
    return new Reader(this.bytes.subarray(this.at - length, this.at));
  }

  rest(): Uint8Array {
    return this.bytes.subarray(this.at);
  }
}

const lengthOf = (parts: readonly Bytes[]) => parts.reduce((sum, { length }) => sum + length, 0);

function leb(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, ...leb(value >>> 7)];
}
