/**
 * From who has what to what a network trains on: some items of each user are hidden, for the network to find from the
 * others. The parts are of users: those that are held out were never seen (strong generalization, Liang et al. 2018,
 * arXiv 1802.05814).
 */
import { count, listed } from "@evenkeel/report/format";
import { type Layout, layoutOf, type Pairs, pairsOf } from "../data/pairs.js";
import { checkLimit, PARTS, shuffledRows } from "../data/split.js";
import { type Decision, type Table, usualLimits } from "../data/table.js";
import { UsageError } from "../errors.js";
import { metricOf, taskFrom } from "../tasks/registry.js";
import type { Dataset, DatasetOptions, Input } from "./dataset.js";
import { type FileReading, fileReading } from "./reading.js";

/** The least items of a user, and users of an item. */
const LEAST = 5;
/** Most items, by how many users have them: a network has an output for each. */
const MOST_ITEMS = 10_000;
/** Most items of a user. */
const MOST_OWNED = 250;
/** Of a user's items, those that are hidden; one at least. */
const HIDDEN = 0.2;

/** How users are read, for those that a network has not seen: plain JSON. */
export interface InteractionsReading extends Record<string, unknown> {
  layout: Layout;
  file: FileReading;
  /** Names of the items, by their numbers from 1. */
  items: string[];
  /** Most items that the network sees of a user. */
  most: number;
}

/**
 * The dataset of who has what in `table`, an example for each user, at most `limit` of them, with every decision on the
 * way: x [users, most seen] and y [users, most hidden] are numbers of items from 1, 0 where there are no more. Throws
 * UsageError for options and data that do not fit.
 */
export function toInteractions(table: Table, options: DatasetOptions, provenance: string): Dataset {
  const { layout, decisions: read } = layoutOf(table, options);
  const decisions = [...table.decisions, ...read];
  const task = options.task ?? taskFrom("interactions");
  const metric = metricOf(task, [], options.metric);
  const byTime = layout.kind === "rows" && layout.time !== undefined;
  const all = pairsOf(table, layout);
  const { owned, items } = withEnough(frequent(all, decisions), all.users.length, decisions);
  const users = limited(owned, options.limit);
  cutLong(users, byTime, decisions);

  const examples = users.map((own, user) => {
    const order = byTime ? own : shuffledRows(own.length, user).map((at) => own[at]);
    const seen = order.length - Math.max(1, Math.round(HIDDEN * order.length));
    return { seen: order.slice(0, seen), hidden: order.slice(seen) };
  });
  decisions.push({
    columns: [],
    what: `a fifth of the items of each user are hidden, for the network to find: ${byTime ? "the latest ones" : "drawn at random, the same for each seed"}`,
    ...(layout.kind === "rows" && !byTime && { option: "--time NAME" }),
  });
  const most = longest(examples.map(({ seen }) => seen));
  const mostHidden = longest(examples.map(({ hidden }) => hidden));
  checkCells(examples.length, most + mostHidden, options);
  const { shares } = options;
  const parts = { strata: new Int32Array(examples.length), ...(shares && { shares }) };
  // what says that an item is in a basket may be written in any way
  const file = fileReading(table, layout.kind === "rows" ? usedBy(layout) : [], options);
  const reading: InteractionsReading = { layout, file, items, most };
  return {
    name: table.name,
    provenance,
    task,
    metric,
    target: layout.kind === "rows" ? layout.item : "items",
    inputs: inputsOf(layout, items, most),
    form: {
      input: { kind: "items", shape: [most], vocabulary: items.length },
      outputs: [items.length],
    },
    classes: [],
    count: examples.length,
    x: padded(
      examples.map(({ seen }) => seen),
      most,
    ),
    scaled: new Uint8Array(most),
    y: padded(
      examples.map(({ hidden }) => hidden),
      mostHidden,
    ),
    targetShape: [mostHidden],
    yScale: 1,
    parts,
    drawn: "draws its own parts of the users at random",
    fileRows: table.fileRows,
    decisions,
    warnings: [],
    reading,
  };
}

/** The columns that say who has what. */
export function usedBy(layout: Layout): string[] {
  if (layout.kind === "baskets") return layout.items;
  const { user, item, rating, time } = layout;
  return [user, item, rating?.column, time].filter((name) => name !== undefined);
}

/** The users of a table, as a network that learnt from such a reading sees them: x [users, most], of the latest items; those that it does not know are left out. `owned` are all that it knows, by their numbers from 0. */
export function usersIn(
  table: Table,
  { layout, items, most }: Pick<InteractionsReading, "layout" | "items" | "most">,
): { users: string[]; owned: number[][]; x: Float32Array } {
  const pairs = pairsOf(table, layout);
  const numberOf = new Map(items.map((name, index) => [name, index]));
  const owned = pairs.owned.map((own) => own.flatMap((item) => numberOf.get(pairs.items[item]) ?? []));
  const latest = owned.map((own) => own.slice(-most));
  return { users: pairs.users, owned, x: padded(latest, most) };
}

/** The `most` frequent items, renumbered in their order. */
function frequent({ owned, items }: Pairs, decisions: Decision[]): Omit<Pairs, "users"> {
  if (items.length <= MOST_ITEMS) return { owned, items };
  const users = new Int32Array(items.length);
  for (const own of owned) for (const item of own) users[item]++;
  const first = items
    .map((_, item) => item)
    .sort((a, b) => users[b] - users[a] || a - b)
    .slice(0, MOST_ITEMS);
  decisions.push({
    columns: [],
    what: `only the ${MOST_ITEMS.toLocaleString("en-US")} items that most users have are kept, of ${items.length.toLocaleString("en-US")}`,
    why: "a network has an output for each",
  });
  const kept = new Uint8Array(items.length);
  for (const item of first) kept[item] = 1;
  return only(
    owned,
    items,
    () => true,
    (item) => kept[item] === 1,
  );
}

/**
 * The users and items of whom each user has enough items, and each item enough users, among those that are left.
 * Throws UsageError where too few are.
 */
function withEnough(
  { owned, items }: Omit<Pairs, "users">,
  allUsers: number,
  decisions: Decision[],
): Omit<Pairs, "users"> {
  const usersOf: number[][] = items.map(() => []);
  for (const [user, own] of owned.entries()) for (const item of own) usersOf[item].push(user);
  const itemsLeft = owned.map(({ length }) => length);
  const usersLeft = usersOf.map(({ length }) => length);
  const isOut = { user: new Uint8Array(owned.length), item: new Uint8Array(items.length) };
  const going: { kind: "user" | "item"; at: number }[] = [];
  const check = (kind: "user" | "item", at: number, left: number) => {
    if (left >= LEAST || isOut[kind][at]) return;
    isOut[kind][at] = 1;
    going.push({ kind, at });
  };
  for (const [at, left] of itemsLeft.entries()) check("user", at, left);
  for (const [at, left] of usersLeft.entries()) check("item", at, left);
  for (let next = going.pop(); next !== undefined; next = going.pop()) {
    if (next.kind === "user") for (const item of owned[next.at]) check("item", item, --usersLeft[item]);
    else for (const user of usersOf[next.at]) check("user", user, --itemsLeft[user]);
  }
  const left = only(
    owned,
    items,
    (user) => !isOut.user[user],
    (item) => !isOut.item[item],
  );
  const lost = [
    { size: allUsers - left.owned.length, of: "user" },
    { size: items.length - left.items.length, of: "item" },
  ].filter(({ size }) => size > 0);
  if (left.owned.length < PARTS) {
    throw new UsageError(
      `expected at least ${PARTS} users, one for each part, with at least ${LEAST} items that at least ${LEAST} users have, got ${left.owned.length.toLocaleString("en-US")} of ${allUsers.toLocaleString("en-US")}; bring more of what they have`,
    );
  }
  if (lost.length > 0) {
    decisions.push({
      columns: [],
      what: `${listed(lost.map(({ size, of }) => count(size, of)))} left out`,
      why: `each user needs ${LEAST} items, and each item ${LEAST} users`,
    });
  }
  return left;
}

/** Users and items that are kept, items renumbered in their order. */
function only(
  owned: readonly number[][],
  items: readonly string[],
  keepsUser: (user: number) => boolean,
  keepsItem: (item: number) => boolean,
): Omit<Pairs, "users"> {
  const numbers = new Map<number, number>();
  for (const item of items.keys()) if (keepsItem(item)) numbers.set(item, numbers.size);
  return {
    owned: owned
      .filter((_, user) => keepsUser(user))
      .map((own) => own.flatMap((item) => numbers.get(item) ?? [])),
    items: items.filter((_, item) => numbers.has(item)),
  };
}

/** At most `limit` users, drawn at random, in their order. */
function limited(owned: number[][], limit: number | undefined): number[][] {
  if (limit === undefined) return owned;
  checkLimit(limit, 0);
  if (limit >= owned.length) return owned;
  const drawn = shuffledRows(owned.length).slice(0, limit);
  return drawn.sort((a, b) => a - b).map((user) => owned[user]);
}

/** Leaves users no more than the most items, the latest ones or drawn at random. */
function cutLong(users: number[][], byTime: boolean, decisions: Decision[]): void {
  let cut = 0;
  for (const [user, own] of users.entries()) {
    if (own.length <= MOST_OWNED) continue;
    const order = byTime ? own : shuffledRows(own.length, user).map((at) => own[at]);
    users[user] = order.slice(-MOST_OWNED);
    cut++;
  }
  if (cut === 0) return;
  decisions.push({
    columns: [],
    what: `of ${count(cut, "user")} with more than ${MOST_OWNED} items, ${MOST_OWNED} are used: ${byTime ? "the latest ones" : "drawn at random"}`,
  });
}

function checkCells(users: number, width: number, { limits }: DatasetOptions): void {
  const most = limits?.cells ?? usualLimits.cells;
  if (users * width <= most) return;
  throw new UsageError(
    `expected at most ${most.toLocaleString("en-US")} values (users × items), got ${users.toLocaleString("en-US")} × ${width.toLocaleString("en-US")}; use fewer users with --limit`,
  );
}

function inputsOf(layout: Layout, items: readonly string[], most: number): Input[] {
  return layout.kind === "rows"
    ? [{ column: layout.item, how: `up to ${most} items of each user`, names: [layout.item] }]
    : items.map((name) => ({ column: name, how: "an item", names: [name] }));
}

const longest = (lists: readonly number[][]): number =>
  lists.reduce((most, { length }) => Math.max(most, length), 0);

/** [lists, most]: numbers from 1, then 0. */
function padded(lists: readonly number[][], most: number): Float32Array {
  const values = new Float32Array(lists.length * most);
  for (const [row, list] of lists.entries()) {
    for (const [at, item] of list.entries()) values[row * most + at] = item + 1;
  }
  return values;
}
