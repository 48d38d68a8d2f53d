/** Random initial values of weights: the same seed and shape give the same values. */

/** Computed when first asked for, then stored: hosts ask for weights at every call, and for their values only where none are given. */
export function onceOf(make: () => Float32Array): () => Float32Array {
  let made: Float32Array | undefined;
  return () => {
    made ??= make();
    return made;
  };
}

/** @throws RangeError for a seed that is not an integer (within ±2⁵³; its low 32 bits are used). */
export function checkSeed(norm: string, seed: number): void {
  if (Number.isSafeInteger(seed)) return;
  throw new RangeError(`${norm}: seed must be an integer, got ${seed}`);
}

/** [rows, width], uniform within ±√(6 / (rows + width)). Glorot & Bengio 2010. */
export function glorotUniform(rows: number, width: number, seed: number): Float32Array {
  const next = uniform(seed);
  const limit = Math.sqrt(6 / (rows + width));
  const values = new Float32Array(rows * width);
  for (let i = 0; i < values.length; i++) values[i] = limit * (2 * next() - 1);
  return values;
}

/** [rows, width], rows ≤ width: normally distributed rows, each orthogonal to those before it and of length 1 (Gram & Schmidt). */
export function orthogonal(rows: number, width: number, seed: number): Float32Array {
  const next = uniform(seed);
  const normal = () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
  const done: Float64Array[] = [];
  const all = new Float32Array(rows * width);
  for (let row = 0; row < rows; row++) {
    const values = Float64Array.from({ length: width }, normal);
    for (const other of done) {
      let along = 0;
      for (let i = 0; i < width; i++) along += values[i] * other[i];
      for (let i = 0; i < width; i++) values[i] -= along * other[i];
    }
    let square = 0;
    for (const value of values) square += value * value;
    const length = Math.sqrt(square);
    for (let i = 0; i < width; i++) values[i] /= length;
    done.push(values);
    all.set(values, row * width);
  }
  return all;
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
