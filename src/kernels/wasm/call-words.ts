/**
 * Offsets of a call's arguments in memory, in words of 4 bytes: addresses in bytes, flags and sizes. Both
 * sides use this one table: wasm.ts writes a call by it, and AssemblyScript compiles it into
 * assembly/call.ts.
 */
export const backward = 0;
export const x = 1;
export const y = 2;
export const dy = 3;
export const dx = 4;
export const gamma = 5;
export const beta = 6;
export const mean = 7;
export const variance = 8;
export const dGamma = 9;
export const dBeta = 10;
export const residual = 11;
export const sum = 12;
export const dSum = 13;
export const scratch = 14;
export const given = 15;
// the statistics view
export const k1 = 16;
export const r1 = 17;
export const k2 = 18;
export const r2 = 19;
// the parameter view
export const pk1 = 20;
export const pr1 = 21;
export const pk2 = 22;
export const pr2 = 23;
export const mask = 24;
// the mask's view, whose k1 follows from the rest
export const mr1 = 25;
export const mk2 = 26;
export const mr2 = 27;
/** A float64, hence aligned to 8 bytes. */
export const epsilon = 28;
/** Of arrays of the shape of x: 0 float32, 1 float16, 2 bfloat16. */
export const storage = 30;
/** Words of a call; an even number. */
export const length = 32;
