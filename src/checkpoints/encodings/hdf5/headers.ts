/**
 * HDF5's object headers, versions 1 and 2 (specification, IV.A.1): the messages that tell what an object is. A message that stands in
 * another object's header, such as a named datatype, is read there; a table of shared messages is refused.
 */
import { Fields, NEWER, REWRITE, type Structures } from "./fields.js";

export interface Message {
  readonly type: number;
  readonly fields: Fields;
}

export const MESSAGE = {
  dataspace: 0x1,
  linkInfo: 0x2,
  datatype: 0x3,
  oldFill: 0x4,
  fill: 0x5,
  link: 0x6,
  external: 0x7,
  layout: 0x8,
  filters: 0xb,
  attribute: 0xc,
  continuation: 0x10,
  symbolTable: 0x11,
  attributeInfo: 0x15,
} as const;

export function fieldsOf(messages: readonly Message[], type: number): Fields[] {
  return messages.filter((message) => message.type === type).map(({ fields }) => fields);
}

/** A header of either version. */
interface Header {
  readonly typeWidth: 1 | 2;
  /** Bytes before each message's own. */
  readonly prefix: number;
  /** The first messages. */
  readonly block: Fields;
  /** More of them, which a message names. */
  more(address: number, length: number): Promise<Fields>;
}

/** The headers of a file's objects. */
export class Headers {
  private readonly known = new Map<number, readonly Message[]>();

  constructor(private readonly structures: Structures) {}

  async messages(address: number): Promise<readonly Message[]> {
    const known = this.known.get(address);
    if (known !== undefined) return known;
    const { structures } = this;
    const version = (await structures.peek(address, 1)).uint8();
    const { typeWidth, prefix, block, more } = await (version === 1 ? version1 : version2)(
      structures,
      address,
    );
    const messages: Message[] = [];
    const blocks = [block];
    for (const one of blocks) {
      while (one.left >= prefix) {
        const type = one.uint(typeWidth);
        const size = one.uint16();
        const flags = one.uint8();
        const fields = one.skip(prefix - typeWidth - 3).inner(size);
        if (type === MESSAGE.continuation) {
          blocks.push(await more(fields.addressOf("more messages"), fields.length()));
        } else {
          messages.push({ type, fields: flags & 2 ? await this.shared(fields, type) : fields });
        }
      }
    }
    this.known.set(address, messages);
    return messages;
  }

  /** A message that stands in another object's header. */
  async shared(fields: Fields, type: number): Promise<Fields> {
    const version = fields.uint8();
    const kind = fields.uint8();
    if (version === 1) fields.skip(6);
    if (version >= 3 && kind === 1) throw fields.fail("messages in a shared table are not read", REWRITE);
    const address = fields.addressOf("a shared message");
    const [found] = fieldsOf(await this.messages(address), type);
    if (found === undefined) throw fields.fail("expected a message that another object shares");
    return new Fields(this.structures, found.bytes, found.address);
  }
}

async function version1(structures: Structures, address: number): Promise<Header> {
  const size = (await structures.peek(address, 12)).skip(8).uint32();
  return {
    typeWidth: 2,
    prefix: 8,
    block: (await structures.claim(address, 16 + size)).skip(16),
    more: (at, length) => structures.claim(at, length),
  };
}

/** Its blocks end with a checksum. */
async function version2(structures: Structures, address: number): Promise<Header> {
  const head = (await structures.peek(address, 6)).expect("OHDR");
  const version = head.uint8();
  if (version !== 2) throw head.fail(`expected an object header of version 1 or 2, got ${version}`, NEWER);
  const flags = head.uint8();
  const before = 6 + (flags & 0x20 ? 16 : 0) + (flags & 0x10 ? 4 : 0);
  const width = 1 << (flags & 3);
  const size = (await structures.peek(address, before + width)).skip(before).uint(width);
  return {
    typeWidth: 1,
    prefix: flags & 4 ? 6 : 4,
    block: (await structures.claim(address, before + width + size)).skip(before + width),
    async more(at, length) {
      if (length < 8) throw structures.fail("expected a block of an object header", at);
      return (await structures.claim(at, length)).expect("OCHK").inner(length - 8);
    },
  };
}
