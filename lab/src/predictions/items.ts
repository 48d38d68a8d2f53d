/** Recommendations: rows for each user of a table, the items that it may want, the likeliest first, none that it has. */
import { count as counted, quote } from "@evenkeel/report/format";
import { quoted } from "../data/names.js";
import type { Layout } from "../data/pairs.js";
import type { Table, Value } from "../data/table.js";
import { type InteractionsReading, usedBy, usersIn } from "../datasets/interactions.js";
import { checkColumns, checkRead, readOptionsOf } from "../datasets/reading.js";
import { UsageError } from "../errors.js";
import { type Predict, unread } from "./prediction.js";

/** Items for each user, where nobody says how many. */
const USUAL_TOP = 10;

export const predictItems: Predict = async (kept, run, given, { read = {}, top = USUAL_TOP }) => {
  const { layout: learnt, file, items, most } = kept.reading as InteractionsReading;
  const table = await given.table(readOptionsOf(file, read));
  const { layout, without } = knownOf(learnt, table);
  const used = usedBy(layout);
  checkColumns(table, used);
  checkRead({ ...file, columns: file.columns.filter(({ column }) => used.includes(column)) }, table);
  const { users, owned, x } = usersIn(table, { layout, items, most });
  const [user, item] = layout.kind === "rows" ? [layout.user, layout.item] : ["row", "item"];
  if (users.length === 0) {
    const rated = layout.kind === "rows" && layout.rating;
    throw new UsageError(
      `${table.name}: expected rows with a value in each of ${quoted(used)}${rated ? `, and ${rated.least} or more in ${quote(rated.column)}` : ""}, which say what a user has, got none; bring such rows`,
    );
  }
  const rows: Value[][] = [];
  let few = 0;
  run(x, users.length, (scores, at) => {
    const has = new Set(owned[at]);
    const open = items.flatMap((_, one) => (has.has(one) ? [] : one)).sort((a, b) => scores[b] - scores[a]);
    if (open.length < top) few++;
    rows.push(...open.slice(0, top).map((one, place) => [users[at], place + 1, items[one]]));
  });
  const named = table.columns.find(({ name }) => layout.kind === "rows" && name === user)?.values ?? users;
  const silent = new Set(named.filter((value) => value !== null)).size - users.length;
  const strangers = owned.filter(({ length }) => length === 0).length;
  return {
    about: `${counted(top, "item")} for each of ${counted(users.length, "user")}`,
    columns: [user, "place", item],
    rows,
    decisions: table.decisions,
    notes: [
      ...unread(table, usedBy(learnt)),
      ...(without.length > 0
        ? [
            `${quoted(without)} without a value: users have what all their rows name, in the order of the file`,
          ]
        : []),
      ...(few > 0
        ? [
            `${counted(few, "user")} with fewer than ${counted(top, "item")} left, of the ${items.length.toLocaleString("en-US")} that the network knows`,
          ]
        : []),
      ...(silent > 0 ? [`${counted(silent, "user")} left out, of whom no row says what they have`] : []),
      ...(strangers > 0
        ? [
            `${counted(strangers, "user")} without an item that the network knows: what it says of them is the same`,
          ]
        : []),
    ],
  };
};

/** A layout without what a table says of no row: what a user has may be known without how it was rated, or when. */
function knownOf(layout: Layout, { columns }: Table): { layout: Layout; without: string[] } {
  if (layout.kind !== "rows") return { layout, without: [] };
  const isKnown = (name: string | undefined) =>
    columns.some((column) => column.name === name && column.values.some((value) => value !== null));
  const { rating, time, ...rest } = layout;
  const known = {
    ...rest,
    ...(rating && isKnown(rating.column) && { rating }),
    ...(time !== undefined && isKnown(time) && { time }),
  };
  const used = usedBy(known);
  return { layout: known, without: usedBy(layout).filter((name) => !used.includes(name)) };
}
