/** Numbers of a step's operations, as src/kernels/wasm/lowering.ts lists them. */
export const add = 0;
export const sub = 1;
export const mul = 2;
export const div = 3;
export const max = 4;
export const min = 5;
export const greater = 6;
export const atLeast = 7;
export const where = 8;
/** a·b + c. */
export const multiplyAdd = 9;
/** c − a·b. */
export const subtractProduct = 10;
export const abs = 11;
export const sqrt = 12;
/** √x as x to the power ½ has it. */
export const root = 13;
export const exp = 14;
export const tanh = 15;
export const sigmoid = 16;
export const erf = 17;
export const float16 = 18;
export const bfloat16 = 19;
export const power = 20;
