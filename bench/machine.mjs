/** The machine of a run, the size of the package, and the time that it takes to open. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { arch, cpus, type } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { coreBytes } from "../scripts/size.mjs";
import { quantile } from "./statistics.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const entry = join(root, "dist/index.js");

/** @returns {import("./report.mjs").Machine} */
export function machine() {
  return {
    processor: cpus()[0]?.model.trim() ?? "unknown",
    cores: cpus().length,
    cacheBytes: secondLevelCache(),
    system: `${type()} ${arch()}`,
    node: process.versions.node,
    relaxedSimd: WebAssembly.validate(RELAXED_SIMD),
  };
}

/** A module with one relaxed instruction, i8x16.relaxed_swizzle. */
const RELAXED_SIMD = Uint8Array.of(
  ...[0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0],
  ...[10, 15, 1, 13, 0, 65, 1, 253, 15, 65, 2, 253, 15, 253, 128, 2, 11],
);

/** Bytes per core; 1 MiB where the system does not say. */
function secondLevelCache() {
  try {
    const [, size, unit] =
      /^(\d+)([KM])/.exec(readFileSync("/sys/devices/system/cpu/cpu0/cache/index2/size", "utf8")) ?? [];
    if (size) return Number(size) << (unit === "M" ? 20 : 10);
  } catch {}
  return 1 << 20;
}

/** Bytes of the core with its kernels, as scripts/size.mjs measures them. */
export const packageBytes = () => coreBytes(entry);

/** Bytes that `apply` and a normalization that is a formula add to it. */
export const formulaBytes = async () =>
  (await coreBytes(entry, ["open", "layerNorm", "apply", "dynamicTanh"])) - (await coreBytes(entry));

/** ms of the first `open()` of a process, median of several. */
export function openMs(processes = 9) {
  const code = `import { open } from "evenkeel";
    const began = performance.now();
    await open();
    console.log(performance.now() - began);
    process.exit();`;
  const times = Array.from({ length: processes }, () =>
    Number(
      execFileSync(process.execPath, ["--input-type=module", "-e", code], { cwd: root, encoding: "utf8" }),
    ),
  );
  return quantile(times, 0.5);
}
