/** The first signal stops, what follows at once is the same one, and once let go the process ends as any other. */
import { setTimeout as wait } from "node:timers/promises";
import { expect, test, vi } from "vitest";
import { stopOnSignals } from "../../src/node/signals.js";

test("the first signal stops; npm's copy of it does no more; a later one ends the process", async () => {
  const exit = vi.spyOn(process, "exit").mockImplementation((() => {}) as never);
  const stop = stopOnSignals();
  expect([stop.signal.aborted, stop.exitCode()]).toEqual([false, undefined]);
  await stop.letGo();
  process.emit("SIGTERM", "SIGTERM");
  process.emit("SIGINT", "SIGINT");
  expect([stop.signal.aborted, stop.exitCode()]).toEqual([true, 143]);
  expect(exit).not.toHaveBeenCalled();
  await wait(110);
  process.emit("SIGINT", "SIGINT");
  expect(exit).toHaveBeenCalledWith(130);
  await stop.letGo();
  expect(["SIGINT", "SIGTERM", "SIGHUP"].map((signal) => process.listenerCount(signal))).toEqual([0, 0, 0]);
  exit.mockRestore();
});
