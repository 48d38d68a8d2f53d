/**
 * HDF5 files (The HDF5 File Format Specification 3.0, https://docs.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html), read in ranges:
 * the superblock, versions 0 to 3 (II.A), and the graph of objects from the root group on.
 *
 * Soft and external links are not followed. Checksums of structures are not verified; what they say is checked.
 */
import type { Bytes } from "../../source.js";
import { Attributes, type AttributeValue } from "./attributes.js";
import { type Dataset, datasetOf } from "./datasets.js";
import { NEWER, Structures } from "./fields.js";
import { linksOf } from "./groups.js";
import { Headers, type Message } from "./headers.js";

export interface Hdf5Object {
  readonly attributes: ReadonlyMap<string, AttributeValue>;
  /** Of a group, what it links to, by name in the order of names; empty for a dataset. */
  readonly members: ReadonlyMap<string, Hdf5Object>;
  /** Of a dataset; undefined for a group. */
  readonly dataset?: Dataset;
}

const SIGNATURE = [0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a];
/** Groups within groups. */
const DEEPEST = 64;

const isSignature = (bytes: Uint8Array, at: number) => SIGNATURE.every((byte, i) => bytes[at + i] === byte);

/** Whether a file begins as HDF5, after a user block of 512, 1024 or 2048 bytes too. */
export function isHdf5(head: Uint8Array): boolean {
  return [0, 512, 1024, 2048].some((at) => isSignature(head, at));
}

/** Opens a file and all its groups; of the datasets nothing but what they are. */
export async function openHdf5(format: string, bytes: Bytes): Promise<Hdf5Object> {
  for (let at = 0; at + 64 <= bytes.byteLength; at = at === 0 ? 512 : at * 2) {
    if (!isSignature(await bytes.read(at, at + 8), 0)) continue;
    const { structures, root } = await superblock(format, bytes.part(at, bytes.byteLength));
    return new Objects(structures).object(root, 0);
  }
  throw new Structures(format, bytes).fail("expected the signature of HDF5 at byte 0, 512, 1024, ...");
}

async function superblock(format: string, bytes: Bytes): Promise<{ structures: Structures; root: number }> {
  const head = (await new Structures(format, bytes).peek(0, 16)).skip(8);
  const version = head.uint8();
  if (version > 3) throw head.fail(`expected a superblock of version 0 to 3, got ${version}`, NEWER);
  if (version <= 1) head.skip(4);
  const [offsets, lengths] = [head.uint8(), head.uint8()];
  if (![2, 4, 8].includes(offsets) || ![2, 4, 8].includes(lengths)) {
    throw head.fail(`expected addresses and lengths of 2, 4 or 8 bytes, got ${offsets} and ${lengths}`);
  }
  const structures = new Structures(format, bytes, offsets, lengths);
  // after the sizes of nodes and flags: addresses of the base, the free space, the end, the driver, and the root's name; newer ones have
  // three of them
  const before = [24 + 5 * offsets, 28 + 5 * offsets, 12 + 3 * offsets][Math.min(version, 2)];
  const fields = (await structures.peek(0, before + offsets)).skip(before);
  return { structures, root: fields.addressOf("the root group") };
}

/** The objects of a file, each of which is opened once: links to one object find the same. */
class Objects {
  private readonly headers: Headers;
  private readonly attributes: Attributes;
  private readonly opened = new Map<number, Hdf5Object>();
  /** Objects whose members are being opened: those that hold one another. */
  private readonly opening = new Set<number>();

  constructor(private readonly structures: Structures) {
    this.headers = new Headers(structures);
    this.attributes = new Attributes(structures, this.headers);
  }

  async object(address: number, depth: number): Promise<Hdf5Object> {
    const known = this.opened.get(address);
    if (known !== undefined) return known;
    if (depth > DEEPEST)
      throw this.structures.fail(`expected at most ${DEEPEST} groups in one another`, address);
    this.opening.add(address);
    const messages = await this.headers.messages(address);
    const attributes = await this.attributes.of(messages);
    const dataset = datasetOf(this.structures, messages);
    const members = dataset === undefined ? await this.members(messages, depth) : new Map();
    this.opening.delete(address);
    const object = { attributes, members, dataset };
    this.opened.set(address, object);
    return object;
  }

  private async members(messages: readonly Message[], depth: number): Promise<Map<string, Hdf5Object>> {
    const members = new Map<string, Hdf5Object>();
    const links = [...(await linksOf(this.structures, messages))].sort(([a], [b]) =>
      a < b ? -1 : a > b ? 1 : 0,
    );
    for (const [name, target] of links) {
      // a link to a group that holds this one is left out: it would have no end
      if (!this.opening.has(target)) members.set(name, await this.object(target, depth + 1));
    }
    return members;
  }
}
