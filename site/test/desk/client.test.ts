/** The workers of a desk: none outlives it. */
import { afterEach, expect, test, vi } from "vitest";
import { openPlaces } from "../../src/desk/client.ts";

const workers: { ended: boolean; onerror?: (event: unknown) => void }[] = [];
vi.stubGlobal(
  "Worker",
  class {
    ended = false;
    constructor() {
      workers.push(this);
    }
    postMessage(port: MessagePort) {
      port.close();
    }
    terminate() {
      this.ended = true;
    }
  },
);
afterEach(() => void workers.splice(0));

test("end one by one, and all that are left together", () => {
  const places = openPlaces();
  const [first] = [places.open(() => {}), places.open(() => {}), places.open(() => {})] as unknown as {
    id: number;
  }[];
  places.end(first.id);
  expect(workers.map(({ ended }) => ended)).toEqual([true, false, false]);
  places.close();
  expect(workers.map(({ ended }) => ended)).toEqual([true, true, true]);
});

test("none is opened after that, whatever was asked before", () => {
  const places = openPlaces();
  places.close();
  expect(() => places.open(() => {})).toThrow("the workers were ended");
  expect(workers).toEqual([]);
});

test("one that breaks tells it", async () => {
  const told: string[] = [];
  const places = openPlaces();
  places.open((message) => told.push(message));
  workers[0].onerror?.({ message: "out of memory", preventDefault() {} });
  await Promise.resolve();
  await Promise.resolve();
  expect(told).toEqual(["out of memory"]);
});
