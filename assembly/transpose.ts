/**
 * Copies x to y with its axes in another order: y is written in sequence, x read by strides. `layout` holds int32 [2, rank]: the
 * lengths of y's axes, and the stride in x (in elements) of each. `position` is int32 [rank] of scratch. Elements have 4 bytes, or 2
 * where `narrow`.
 */
export function transpose(x: usize, y: usize, layout: usize, position: usize, rank: i32, size: i32, narrow: bool): void {
  const strides = layout + (<usize>rank << 2);
  memory.fill(position, 0, <usize>rank << 2);
  let from = 0;
  for (let i = 0; i < size; i++) {
    if (narrow) i32.store16(y + (<usize>i << 1), i32.load16_u(x + (<usize>from << 1)));
    else i32.store(y + (<usize>i << 2), i32.load(x + (<usize>from << 2)));
    for (let axis = rank - 1; axis >= 0; axis--) {
      const at = <usize>axis << 2;
      const next = i32.load(position + at) + 1;
      from += i32.load(strides + at);
      if (next < i32.load(layout + at)) {
        i32.store(position + at, next);
        break;
      }
      i32.store(position + at, 0);
      from -= next * i32.load(strides + at);
    }
  }
}
