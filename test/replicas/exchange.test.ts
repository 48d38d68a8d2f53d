/** What a transport's answer becomes; transports that give too little are told so. */
import { expect, it } from "vitest";
import { type MomentsList, mergeLists, momentsOf } from "../../src/moments.js";
import { type AsyncExchange, type Exchange, type Merge, reduceOver } from "../../src/replicas/index.js";
import { random } from "../support/numerics.js";

/** The moments of some values for each of some statistics. */
function measured(statistics: number, count: number, next: () => number, mean = 0): MomentsList {
  const each = Array.from({ length: statistics }, () =>
    momentsOf(Array.from({ length: count }, () => mean + next())),
  );
  const list = (name: "count" | "mean" | "m2") => Float64Array.from(each, (one) => one[name]);
  return { count: list("count"), mean: list("mean"), m2: list("m2") };
}

const packed = ({ count, mean, m2 }: MomentsList) => Float64Array.from([...count, ...mean, ...m2]);
const next = random(7);
const parts = [
  measured(5, 3, next, 1e7),
  measured(5, 8, next, 1e7),
  measured(5, 1, next),
  measured(5, 2, next),
];
/** As though the others had answered. */
const withOthers: Exchange = () => parts.map(packed);

it("merges all in the order of ranks, bit by bit as mergeLists", () => {
  expect(reduceOver(withOthers)(parts[1])).toEqual(mergeLists(parts));
});

it("merges each group on its own, in the order of ranks whatever theirs is written in", () => {
  const groups = [
    [3, 0],
    [1, 2],
  ];
  expect(reduceOver(withOthers, { groups, rank: 0 })(parts[0])).toEqual(mergeLists([parts[0], parts[3]]));
  expect(reduceOver(withOthers, { groups, rank: 3 })(parts[3])).toEqual(mergeLists([parts[0], parts[3]]));
  expect(reduceOver(withOthers, { groups, rank: 2 })(parts[2])).toEqual(mergeLists([parts[1], parts[2]]));
});

it("merges what a transport has merged in part, and says how", () => {
  const merges: (Merge | undefined)[] = [];
  const byMachines: Exchange = (_, merge) => {
    merges.push(merge);
    return merge === undefined
      ? parts.map(packed)
      : [merge(parts.slice(0, 2).map(packed)), merge(parts.slice(2).map(packed))];
  };
  const two = [mergeLists(parts.slice(0, 2)), mergeLists(parts.slice(2))];
  expect(reduceOver(byMachines)(parts[0])).toEqual(mergeLists(two));
  reduceOver(byMachines, { groups: [[0, 1, 2, 3]], rank: 0 })(parts[0]);
  expect(merges.map((merge) => typeof merge)).toEqual(["function", "undefined"]);
});

it("is asynchronous where the exchange is", async () => {
  const later: AsyncExchange = async () => parts.map(packed);
  const answer = reduceOver(later)(parts[0]);
  expect(answer).toBeInstanceOf(Promise);
  expect(await answer).toEqual(mergeLists(parts));
});

it.each([
  [
    "reduceOver: groups must hold every rank from 0 once, got [[0, 1], [1, 2]]",
    {
      groups: [
        [0, 1],
        [1, 2],
      ],
      rank: 0,
    },
  ],
  ["reduceOver: groups must hold every rank from 0 once, got []", { groups: [], rank: 0 }],
  ["reduceOver: rank must be one of the groups' (0 to 1), got 2", { groups: [[0, 1]], rank: 2 }],
  ["reduceOver: rank must be one of the groups' (0 to 1), got undefined", { groups: [[0, 1]] }],
])("%s", (message, options) => {
  expect(() => reduceOver(withOthers, options)).toThrow(new RangeError(message));
});

it("says what an exchange must give", () => {
  const reduced = (answer: unknown, options = {}) =>
    reduceOver((() => answer) as Exchange, options)(parts[0]);
  expect(() => reduceOver(undefined as unknown as Exchange)).toThrow(
    "reduceOver: exchange must be a function of this replica's values that gives those of all, got undefined; exchangeIn(memory, rank) makes one",
  );
  expect(() => reduced([])).toThrow(
    "reduceOver: an exchange must give a list of every replica's values, got []",
  );
  expect(() => reduced([packed(parts[0]), new Float32Array(15)])).toThrow(
    "reduceOver: an exchange must give a Float64Array of each replica, got a Float32Array of replica 1",
  );
  expect(() => reduced([packed(parts[0]), new Float64Array(12)])).toThrow(
    "reduceOver: this replica gave 15 values, replica 1 12; all must run the same steps on the same model",
  );
  expect(() => reduced([packed(parts[0])], { groups: [[0, 1]], rank: 0 })).toThrow(
    "reduceOver: the exchange must give the values of 2 replicas, got 1 lists",
  );
});
