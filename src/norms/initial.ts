/** Random starts of weights, the same for the same seed. */

/** [rows, width], uniform within ±√(6 / (rows + width)). Glorot & Bengio 2010. */
export function glorotUniform(rows: number, width: number, seed: number): Float32Array {
  const next = uniform(seed);
  const limit = Math.sqrt(6 / (rows + width));
  return Float32Array.from({ length: rows * width }, () => limit * (2 * next() - 1));
}

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
export function uniform(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let bits = Math.imul(state ^ (state >>> 15), state | 1);
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61);
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32;
  };
}
