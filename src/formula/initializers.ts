/** Random starts of weights, the same for the same seed. */

/** Made when it is first asked for, and kept: hosts ask for weights at every call, and for their start only where none are given. */
export function onceOf(make: () => Float32Array): () => Float32Array {
  let made: Float32Array | undefined;
  return () => {
    made ??= make();
    return made;
  };
}

/** [rows, width], uniform within ±√(6 / (rows + width)). Glorot & Bengio 2010. */
export function glorotUniform(rows: number, width: number, seed: number): Float32Array {
  const next = uniform(seed);
  const limit = Math.sqrt(6 / (rows + width));
  return Float32Array.from({ length: rows * width }, () => limit * (2 * next() - 1));
}

/** Normally distributed rows, each made orthogonal to those before it. Gram and Schmidt's way is exact enough for wide matrices. */
export function orthogonal(rows: number, width: number, seed: number): Float32Array {
  const next = uniform(seed);
  const normal = () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
  const done: Float64Array[] = [];
  for (let row = 0; row < rows; row++) {
    const values = Float64Array.from({ length: width }, normal);
    for (const other of done) {
      let along = 0;
      for (let i = 0; i < width; i++) along += values[i] * other[i];
      for (let i = 0; i < width; i++) values[i] -= along * other[i];
    }
    const length = Math.hypot(...values);
    done.push(values.map((value) => value / length));
  }
  const all = new Float32Array(rows * width);
  done.forEach((values, row) => {
    all.set(values, row * width);
  });
  return all;
}

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
function uniform(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let bits = Math.imul(state ^ (state >>> 15), state | 1);
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61);
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32;
  };
}
