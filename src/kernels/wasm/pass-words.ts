/**
 * A pass in memory, in words of 4 bytes: pass.ts writes it, and AssemblyScript compiles this table into assembly/pass.ts. All
 * offsets, sizes and strides are in bytes. First the header, whose first word is the kind of call; then the lengths of the outer axes, the
 * operands (reads, stores, reductions), the slots and the steps.
 */

/** The first word of a call that is a pass. */
export const kind = 2;

/** Elements of a tile at most. */
export const tile = 512;
/** Sizes in a part's share of scratch: of what is kept of an operand, and of the functions' constants. */
export const state = 12;
export const table = 92;
/** Rows of a tile at most: as many additions as a sum makes in float32. */
export const tileRows = 64;

// The header.
export const parts = 4;
/** The space: rows of elements. */
export const rows = 8;
export const length = 12;
/** A tile is so many whole rows, or so many elements of one; and the tiles of a row. */
export const rowsPerTile = 16;
export const tileLength = 20;
export const tilesPerRow = 24;
/** A part is some of so many units, each of so many rows; or of one tile, where that is 0. */
export const units = 28;
export const unitRows = 32;
export const outerAxes = 36;
export const reads = 40;
export const stores = 44;
export const reductions = 48;
export const slots = 52;
export const constants = 56;
export const steps = 60;
/** The address of scratch, the bytes of it that each part has, and where in these its parts lie. */
export const scratch = 64;
export const partBytes = 68;
export const statesAt = 72;
export const indexAt = 76;
export const carriesAt = 80;
export const tableAt = 84;
/** Size of the header. */
export const header = 88;

// An operand.
/** The address of the element at index 0; of a reduction, its accumulators. */
export const base = 0;
export const inner = 4;
/** Of a read or a store: whether rows lie side by side. */
export const dense = 8;
export const slot = 12;
/** Offset of the tile buffer in a part's scratch; of a reduction to columns, of their float32 sums. */
export const buffer = 16;
export const window = 16;
/** Of a store: whether the step that makes the value may write it in place. */
export const direct = 20;
/** Of a reduction: where it is written, the number of values, whether they are the largest, and how far apart parts' are; 0: shared. */
export const result = 20;
export const outputs = 24;
export const largest = 28;
/** There: the largest of absolute values. */
export const ofSizes = 2;
export const apart = 32;
/** The slot of a second value, whose product with the first is summed; or −1. */
export const factor = 36;
/** Size of what comes before an operand's strides by outer axis, and by what it moves from a row to the next where that axis advances. */
export const operand = 40;

/**
 * Size of a step: the operation, offsets of the slots of the result and of three operands; of a power, the kind of its exponent in
 * place of the third, and the exponent as a float64.
 */
export const step = 28;
// Kinds of exponents: even integers, odd ones, and what is neither.
export const even = 0;
export const odd = 1;
export const fraction = 2;
