import { check } from "../page/check.js";

test("right results of the kernels, on two threads", async () => {
  const report = await check({ threads: 2 });
  expect(report).toEqual({ backend: "wasm", threads: 2, error: expect.any(Number), warnings: [] });
  expect(report.error).toBeLessThan(1e-6);
});
