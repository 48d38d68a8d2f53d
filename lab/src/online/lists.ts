/** Lists of numbers under names, as bytes that hold each of them exactly: −0 and the infinities too, and NaN as one. */

/** float64, or float32 as networks have it. */
export type Lists = Record<string, Float64Array | Float32Array>;

/** Where a list lies among the bytes: its name, bytes of a number, and length. */
export type Layout = [name: string, width: 4 | 8, length: number][];

/** In the order of the names; host byte order, which is little-endian wherever Node and browsers run today. */
export function packed(lists: Lists): { layout: Layout; bytes: Uint8Array } {
  const layout = Object.entries(lists).map(([name, list]): Layout[number] => [
    name,
    list instanceof Float32Array ? 4 : 8,
    list.length,
  ]);
  const bytes = new Uint8Array(sizeOf(layout));
  let at = 0;
  for (const list of Object.values(lists)) {
    const own = list.slice();
    // there are many NaNs, and which one a value is depends on who made it
    const words = new Uint32Array(own.buffer);
    const width = words.length / own.length;
    for (let i = 0; i < own.length; i++) {
      if (!Number.isNaN(own[i])) continue;
      words.fill(0, i * width, (i + 1) * width);
      words[(i + 1) * width - 1] = width === 2 ? 0x7ff80000 : 0x7fc00000;
    }
    bytes.set(new Uint8Array(own.buffer), at);
    at += own.byteLength;
  }
  return { layout, bytes };
}

/** @throws RangeError for bytes that are not of this layout */
export function unpacked(layout: Layout, bytes: Uint8Array): Lists {
  if (sizeOf(layout) !== bytes.byteLength) {
    throw new RangeError(
      `openOnline: saved.weights must have ${sizeOf(layout)} bytes, as saved.json says, got ${bytes.byteLength}`,
    );
  }
  let at = 0;
  return Object.fromEntries(
    layout.map(([name, width, length]) => {
      // a copy, which slice() of a Buffer is not, and which lies where numbers may
      const { buffer } = new Uint8Array(bytes.subarray(at, at + width * length));
      at += width * length;
      return [name, width === 4 ? new Float32Array(buffer) : new Float64Array(buffer)];
    }),
  );
}

const sizeOf = (layout: Layout): number => layout.reduce((sum, [, width, length]) => sum + width * length, 0);

/** The lists of a part, under its name. */
export const within = (part: string, lists: Lists): Lists =>
  Object.fromEntries(Object.entries(lists).map(([name, list]) => [`${part}/${name}`, list]));

/** Of all lists those of a part, under their own names. */
export const partOf = (part: string, lists: Lists): Lists =>
  Object.fromEntries(
    Object.entries(lists).flatMap(([name, list]) =>
      name.startsWith(`${part}/`) ? [[name.slice(part.length + 1), list]] : [],
    ),
  );
