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
/** a·b − c, a·b·c, a + b + c, (a + b)·c, (a − b)·c, a − b − c, a − b + c. */
export const multiplySub = 11;
export const multiplyTwice = 12;
export const addTwice = 13;
export const addMultiply = 14;
export const subMultiply = 15;
export const subTwice = 16;
export const subAdd = 17;
/** max and min whose second operand is no NaN. */
export const pmax = 18;
export const pmin = 19;
export const abs = 20;
export const sqrt = 21;
/** √x as x to the power ½ has it. */
export const root = 22;
export const exp = 23;
export const tanh = 24;
export const sigmoid = 25;
export const erf = 26;
export const float16 = 27;
export const bfloat16 = 28;
export const power = 29;
