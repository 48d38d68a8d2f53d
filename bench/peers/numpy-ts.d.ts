/** What numpy-ts.mjs uses of numpy-ts, which `npm run bench -- --install-peers` installs and a type check may lack. */
declare module "numpy-ts" {
  interface NDArray {
    readonly data: Float32Array;
    reshape(shape: readonly number[]): NDArray;
    mean(axis: number, keepdims: true): NDArray;
    add(other: NDArray | number): NDArray;
    subtract(other: NDArray): NDArray;
    multiply(other: NDArray): NDArray;
    divide(other: NDArray): NDArray;
    dispose(): void;
  }
  export function configureWasm(options: { maxMemory: number }): void;
  export function array(values: Float32Array): NDArray;
  export function sqrt(x: NDArray): NDArray;
}
