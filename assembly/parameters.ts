/**
 * Sums of the gradients of gamma and beta: in float32 over short stretches (partial), in float64 across stretches (total),
 * separately in each part of a call, and over the parts at the end. Where each parameter applies to one element only, its
 * gradient is written directly (direct).
 */
import { dBeta, dGamma, gamma, hasVectors, isDirect, parameterCount, parts } from "./call";
import { accumulate, highLanes, lowLanes, zero } from "./simd";

/** Additions to a float32 partial sum before it is added to the float64 total. */
const STRETCH = 64;

export let totalGamma: usize = 0;
export let totalBeta: usize = 0;
export let partialGamma: usize = 0;
export let partialBeta: usize = 0;
let pendingAdditions: i32 = 0;
/** Address of the flag that says whether a part's totals are in use; most parts are short, and have partial sums only. */
let totalsFlag: usize = 0;

// A part's sums: the flag in a cache line of its own, partial float32 [2, parameters], total float64 [2, parameters].
const FLAG_BYTES: usize = 64;

// @ts-ignore: decorator
@inline
function planeBytes(): usize {
  return (<usize>parameterCount + 3 & -4) << 2;
}

/** Bytes of a part's sums; with too many parameters they exceed the address space. */
// @ts-ignore: decorator
@inline
export function sumsBytes(): u64 {
  if (parameterCount == 0) return 0;
  if (isDirect()) return dGamma == 0 || dBeta == 0 ? <u64>planeBytes() : 0;
  return <u64>FLAG_BYTES + <u64>planeBytes() * 6;
}

/** Selects the sums at address `at`. */
export function useSums(at: usize): void {
  pendingAdditions = 0;
  if (isDirect()) {
    // a gradient that was not requested is written to scratch
    partialGamma = dGamma != 0 ? dGamma : at;
    partialBeta = dBeta != 0 ? dBeta : at;
    return;
  }
  totalsFlag = at;
  partialGamma = at + FLAG_BYTES;
  partialBeta = partialGamma + planeBytes();
  totalGamma = partialBeta + planeBytes();
  totalBeta = totalGamma + 2 * planeBytes();
}

/** Sets the selected sums to 0; where they are direct, those of `count` elements from `base` on. */
export function emptySums(base: i32, count: i32): void {
  if (parameterCount == 0) return;
  if (isDirect()) {
    if (dGamma != 0) memory.fill(partialGamma + (<usize>base << 2), 0, <usize>count << 2);
    if (dBeta != 0) memory.fill(partialBeta + (<usize>base << 2), 0, <usize>count << 2);
    return;
  }
  // partial sums are for vectors; otherwise totals are added to
  const vectors = hasVectors();
  store<i32>(totalsFlag, vectors ? 0 : 1);
  memory.fill(partialGamma, 0, 2 * planeBytes());
  if (!vectors) memory.fill(totalGamma, 0, 4 * planeBytes());
}

/** Call before making this many additions to partial sums. */
// @ts-ignore: decorator
@inline
export function keepShort(additions: i32): void {
  if (pendingAdditions + additions > STRETCH) flushPartials();
  pendingAdditions += additions;
}

/** Adds the float32 partial sums to the float64 totals, and sets them to 0. */
function flushPartials(): void {
  pendingAdditions = 0;
  if (isDirect()) return;
  const bytes: usize = 2 * planeBytes();
  if (load<i32>(totalsFlag) == 0) {
    store<i32>(totalsFlag, 1);
    memory.fill(totalGamma, 0, 2 * bytes);
  }
  for (let i: usize = 0; i < bytes; i += 16) accumulate(totalGamma + (i << 1), v128.load(partialGamma + i));
  memory.fill(partialGamma, 0, bytes);
}

/** Adds to the gradients of one parameter, in partial sums where they are for vectors; returns its gamma. */
export function addToParameter(parameter: i32, toBeta: f64, toGamma: f64): f64 {
  const at = <usize>parameter << 2;
  if (hasVectors()) {
    f32.store(partialBeta + at, f32.load(partialBeta + at) + <f32>toBeta);
    f32.store(partialGamma + at, f32.load(partialGamma + at) + <f32>toGamma);
  } else {
    addTo(totalBeta + (at << 1), toBeta);
    addTo(totalGamma + (at << 1), toGamma);
  }
  return gamma == 0 ? 1 : <f64>f32.load(gamma + at);
}

// @ts-ignore: decorator
@inline
export function addTo(address: usize, value: f64): void {
  f64.store(address, f64.load(address) + value);
}

/** Adds up the sums of all parts, which are `stride` bytes apart, and writes the gradients. */
export function storeGradients(first: usize, stride: usize): void {
  if (parameterCount == 0 || isDirect()) return;
  useSums(first);
  if (dGamma != 0) storeGradient(dGamma, partialGamma, totalGamma, first, stride);
  if (dBeta != 0) storeGradient(dBeta, partialBeta, totalBeta, first, stride);
}

function storeGradient(to: usize, partial: usize, total: usize, flag: usize, stride: usize): void {
  const end = <usize>parts * stride;
  for (let i: usize = 0; i < <usize>parameterCount << 2; i += 16) {
    let low = zero(), high = zero();
    for (let part: usize = 0; part < end; part += stride) {
      const sum = v128.load(partial + part + i);
      low = f64x2.add(low, lowLanes(sum));
      high = f64x2.add(high, highLanes(sum));
      if (load<i32>(flag + part) != 0) {
        const at = total + part + (i << 1);
        low = f64x2.add(low, v128.load(at));
        high = f64x2.add(high, v128.load(at, 16));
      }
    }
    const sum = i64x2.shuffle(f32x4.demote_f64x2_zero(low), f32x4.demote_f64x2_zero(high), 0, 2);
    if (i + 16 <= <usize>parameterCount << 2) {
      v128.store(to + i, sum);
      continue;
    }
    const left = parameterCount & 3;
    v128.store32_lane(to + i, sum, 0);
    if (left > 1) v128.store32_lane(to + i, sum, 1, 4);
    if (left > 2) v128.store32_lane(to + i, sum, 2, 8);
  }
}
