/** IEEE 754 binary16, as runtimes hand it over where the language has no array of it. */

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/** Each as float32, which holds every half. */
export function fromHalves(halves: ArrayLike<number>): Float32Array {
  // Float16Array gives numbers already
  if (!(halves instanceof Uint16Array)) return Float32Array.from(halves);
  return Float32Array.from(halves, (half) => {
    const sign = half & 0x8000 ? -1 : 1;
    const exponent = (half >> 10) & 0x1f;
    const fraction = half & 0x3ff;
    if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
    return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1024 + fraction) * 2 ** (exponent - 25);
  });
}

/** Rounded to the nearest, ties to even. */
export function toHalves(values: ArrayLike<number>): Uint16Array {
  return Uint16Array.from(values, (value) => {
    float[0] = value;
    const sign = (bits[0] >>> 16) & 0x8000;
    const size = Math.abs(value);
    if (Number.isNaN(value)) return 0x7e00;
    if (size >= 65520) return sign | 0x7c00;
    const exponent = Math.max(-14, ((bits[0] >>> 23) & 0xff) - 127);
    const steps = size * 2 ** (10 - exponent);
    const whole = Math.floor(steps);
    const up = steps - whole > 0.5 || (steps - whole === 0.5 && whole % 2 === 1);
    // the 1 before the fraction counts as one exponent
    return sign | (((exponent + 14) << 10) + whole + (up ? 1 : 0));
  });
}
