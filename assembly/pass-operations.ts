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
/** a·b − c, a·b·c, a + b + c, (a + b)·c, (a − b)·c. */
export const multiplySub = 11;
export const multiplyTwice = 12;
export const addTwice = 13;
export const addMultiply = 14;
export const subMultiply = 15;
export const abs = 16;
export const sqrt = 17;
/** √x as x to the power ½ has it. */
export const root = 18;
export const exp = 19;
export const tanh = 20;
export const sigmoid = 21;
export const erf = 22;
export const float16 = 23;
export const bfloat16 = 24;
export const power = 25;
