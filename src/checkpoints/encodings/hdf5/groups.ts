/**
 * What HDF5's groups link to: symbol tables (specification, III.B and III.C), link messages in the header (IV.A.2.g) or in a fractal heap
 * (IV.A.2.c). Soft and external links are left out.
 */
import { shortened } from "../../tensors.js";
import type { Fields, Structures } from "./fields.js";
import { MESSAGE, type Message } from "./headers.js";
import { fractalHeap, localHeap } from "./heaps.js";
import { leaves } from "./trees.js";

/** Addresses of object headers, by name. */
export async function linksOf(
  structures: Structures,
  messages: readonly Message[],
): Promise<Map<string, number>> {
  const links = new Map<string, number>();
  for (const { type, fields } of messages) {
    if (type === MESSAGE.symbolTable) {
      const tree = fields.addressOf("a group's B-tree");
      const names = await localHeap(structures, fields.addressOf("a group's heap"));
      for await (const node of leaves(structures, tree, 0, structures.lengthWidth)) {
        await addSymbols(node.skip(structures.lengthWidth).addressOf("symbols"), names, links);
      }
    } else if (type === MESSAGE.link) {
      addLink(fields, links);
    } else if (type === MESSAGE.linkInfo) {
      if (fields.skip(1).uint8() & 1) fields.skip(8);
      const heap = fields.addressOrNone();
      const index = fields.addressOrNone();
      if (heap === undefined || index === undefined) continue;
      // a record: the name's hash, then where the link message is
      for await (const message of fractalHeap(structures, heap, index, 5, 4)) addLink(message, links);
    }
  }
  return links;
}

async function addSymbols(address: number, names: Fields, links: Map<string, number>): Promise<void> {
  const { structures } = names;
  const { offsetWidth } = structures;
  const count = (await structures.peek(address, 8)).expect("SNOD").skip(2).uint16();
  const node = (await structures.claim(address, 8 + count * (2 * offsetWidth + 24))).skip(8);
  for (let i = 0; i < count; i++) {
    const at = node.uint(offsetWidth);
    const target = node.addressOrNone();
    const cached = node.uint32();
    node.skip(20);
    // a soft link has no target but a text
    if (target === undefined || cached === 2) continue;
    links.set(names.seek(at).text(names.left), target);
  }
}

function addLink(fields: Fields, links: Map<string, number>): void {
  const flags = fields.skip(1).uint8();
  const type = flags & 8 ? fields.uint8() : 0;
  if (flags & 4) fields.skip(8);
  if (flags & 0x10) fields.skip(1);
  const name = fields.text(fields.uint(1 << (flags & 3)));
  if (type === 0) links.set(name, fields.addressOf(`"${shortened(name)}"`));
}
