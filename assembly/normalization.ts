/**
 * The normalization kernels. Pointers are byte addresses in the host's memory; 0 stands for an absent array.
 * Arrays are float32, row-major; views are four sizes (src/view.ts). Nothing here allocates: the host provides scratch.
 *
 * A call runs as a whole (`run`), or its parts are shared among threads, each of which has an instance of its own on the
 * same memory: all of `first`, then `between` once, then, where there is one, all of `second`.
 */
import * as call from "./call";
import { beginBackward, finishBackward, firstOfBackward, secondOfBackward } from "./backward";
import { finishForward, firstOfForward, forwardScratch, secondOfForward } from "./forward";
import { beginHalf, closeWindow, isInOneWindow, openWindow, useWindow, windowBytes } from "./half";
import { beginPass, joinParts, passParts, runPassPart } from "./pass";
import { kind } from "../src/kernels/wasm/pass-words";
import { k1, k2 } from "./views";
export { cast } from "./half";
export { product, productBytes } from "./product";
export { recurrence } from "./recurrence";
export { transpose } from "./transpose";

/** The call is a pass. */
let isPass: bool = false;

/**
 * Loads the call whose arguments are at `address`, as each thread does before its first part. Returns the bytes of scratch that
 * the call needs.
 */
export function begin(address: usize): f64 {
  isPass = load<i32>(address) == kind;
  if (isPass) {
    beginPass(address);
    return 0;
  }
  call.begin(address);
  beginHalf();
  const bytes = scratchBytes();
  return isInOneWindow() ? bytes + <f64>windowBytes() : bytes;
}

/** A multiple of 64. */
function scratchBytes(): f64 {
  return call.isBackward ? beginBackward() : forwardScratch();
}

/** 1 where the call cannot be shared. */
export function parts(): i32 {
  return isPass ? passParts() : isInOneWindow() ? 1 : call.parts;
}

export function hasSecond(): bool {
  return !isPass && call.pieces > 0;
}

export function first(part: i32): void {
  if (isPass) runPassPart(part);
  else if (call.isBackward) firstOfBackward(part);
  else firstOfForward(part);
}

export function between(): void {
  if (isPass) joinParts();
  else if (call.isBackward) finishBackward();
  else finishForward();
}

export function second(part: i32): void {
  if (call.isBackward) secondOfBackward(part);
  else secondOfForward(part);
}

export function run(): void {
  if (!isPass && call.size == 0) {
    runEmpty();
    return;
  }
  const windowed = !isPass && isInOneWindow();
  if (windowed) {
    useWindow(call.scratch + <usize>scratchBytes());
    openWindow(0, call.size, true);
  }
  const count = isPass ? passParts() : call.parts;
  for (let part = 0; part < count; part++) first(part);
  between();
  if (hasSecond()) for (let part = 0; part < count; part++) second(part);
  if (windowed) closeWindow();
}

/** Statistics and gradients of no elements are 0. */
function runEmpty(): void {
  const statistics = <usize>(k1 * k2) << 2;
  const parameters = <usize>call.parameterCount << 2;
  if (call.isBackward) {
    if (call.dGamma != 0) memory.fill(call.dGamma, 0, parameters);
    if (call.dBeta != 0) memory.fill(call.dBeta, 0, parameters);
  } else if (!call.given) {
    if (call.mean != 0) memory.fill(call.mean, 0, statistics);
    memory.fill(call.variance, 0, statistics);
  }
}
