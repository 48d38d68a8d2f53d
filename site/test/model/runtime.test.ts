import type { ModelFile } from "@evenkeel/lab/doctor/runtime";
import type { Travelling } from "@evenkeel/lab/doctor/travelling";
import { expose } from "comlink";
import { afterEach, expect, it } from "vitest";
import type { WholeFile } from "../../src/model/runner.ts";
import { openRuntime, whyOf } from "../../src/model/runtime.ts";

const opened: MessagePort[] = [];
afterEach(() => {
  for (const port of opened.splice(0)) port.close();
});

/** What stands for the worker: it answers until it is ended. */
function hostOf(run: (feeds: Record<string, Travelling>) => unknown) {
  const seen = { begun: 0, ended: 0, files: [] as WholeFile[] };
  let fail: (message: string) => void = () => {};
  const runner = {
    begin: async () => "1.0.0",
    async open(files: WholeFile[]) {
      seen.files = files;
      const port = { name: "x", dtype: "float16", shape: ["batch", 2] };
      return { session: 0, inputs: [port], outputs: [{ ...port, name: "y" }] };
    },
    run: (_: number, feeds: Record<string, Travelling>) => run(feeds),
    time: async (_: number, __: unknown, turns: number) => Array(turns).fill(1),
    close: async () => {},
  };
  let broken: Promise<string>;
  const host = {
    begin() {
      seen.begun++;
      broken = new Promise((resolve) => {
        fail = resolve;
      });
      const { port1, port2 } = new MessageChannel();
      opened.push(port1, port2);
      expose(runner, port1);
      return port2;
    },
    broken: () => broken,
    end() {
      seen.ended++;
    },
  };
  return { host, seen, fail: (message: string) => fail(message) };
}

const bytes = Uint8Array.from({ length: 10 }, (_, i) => i);
const file: ModelFile = {
  name: "m.onnx",
  byteLength: bytes.length,
  slice: (start, end) => bytes.slice(start, end).buffer,
};
const feeds = { x: { dtype: "float16", shape: [1, 2], values: Float32Array.of(1, 70_000) } };

it("hands files over whole, and float16 as its bits", async () => {
  let came: Travelling | undefined;
  const { host, seen } = hostOf(({ x }) => {
    came = x;
    return { y: { ...x, values: Uint16Array.of(0x3c00, 0xc000) } };
  });
  const runtime = await openRuntime(host);
  expect([runtime.name, runtime.version]).toEqual(["onnxruntime-web", "1.0.0"]);
  const session = await runtime.open([file]);
  expect(seen.files).toEqual([{ name: "m.onnx", bytes }]);
  expect(session.outputs).toEqual([{ name: "y", dtype: "float16", shape: ["batch", 2] }]);
  expect(await session.run(feeds)).toEqual({
    y: { dtype: "float16", shape: [1, 2], values: Float32Array.of(1, -2) },
  });
  expect(came?.values).toEqual(Uint16Array.of(0x3c00, 0x7c00));
  expect(await session.time(feeds, 3)).toEqual([1, 1, 1]);
  expect(seen).toMatchObject({ begun: 1, ended: 0 });
});

it("ends what gives no answer, and begins another for the next network", async () => {
  const { host, seen } = hostOf(() => new Promise(() => {}));
  const runtime = await openRuntime(host, 0.05);
  const session = await runtime.open([file]);
  const hung = { how: "hung", message: "it gave no answer within 0.05 s" };
  await expect(session.run(feeds)).rejects.toMatchObject(hung);
  expect(seen).toMatchObject({ begun: 1, ended: 1 });
  await expect(session.run(feeds)).rejects.toMatchObject(hung);
  await session.close();
  await runtime.open([file]);
  expect(seen).toMatchObject({ begun: 2, ended: 1 });
});

it("says what ended it", async () => {
  const { host, seen, fail } = hostOf(() => new Promise(() => {}));
  const session = await (await openRuntime(host)).open([file]);
  const run = session.run(feeds);
  fail("out of reach");
  await expect(run).rejects.toMatchObject({ how: "died", message: "its worker ended (out of reach)" });
  expect(seen.ended).toBe(1);
});

it("goes on after what it refuses, and ends what ran out of memory or broke", async () => {
  const messages: string[] = [
    "Can't create a session. ERROR_CODE: 1, ERROR_MESSAGE: no such operator",
    "std::bad_alloc",
  ];
  const { host, seen } = hostOf(() => {
    throw new Error(messages.shift());
  });
  const session = await (await openRuntime(host)).open([file]);
  await expect(session.run(feeds)).rejects.toMatchObject({
    how: "refused",
    message: "no such operator",
  });
  expect(seen.ended).toBe(0);
  await expect(session.run(feeds)).rejects.toMatchObject({ how: "memory" });
  expect(seen.ended).toBe(1);
  expect(whyOf(new Error("memory access out of bounds")).how).toBe("died");
  expect(whyOf(new RangeError("Array buffer allocation failed")).how).toBe("memory");
  expect(whyOf("Aborted(). Build with -sASSERTIONS for more info.").how).toBe("died");
  expect(whyOf(new Error("Non-zero status code: indices element out of data bounds, idx=9")).how).toBe(
    "refused",
  );
});
