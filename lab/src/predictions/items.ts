/** Recommendations: rows for each user of a table, the items that it may want, the likeliest first, none that it has. */
import { count as counted } from "@evenkeel/report/format";
import type { Value } from "../data/table.js";
import { type InteractionsReading, usersIn } from "../datasets/interactions.js";
import { checkColumns } from "../datasets/reading.js";
import { type Predict, unread } from "./prediction.js";

/** Items for each user, where nobody says how many. */
const USUAL_TOP = 10;

export const predictItems: Predict = async (kept, run, given, { read = {}, top = USUAL_TOP }) => {
  const reading = kept.reading as InteractionsReading;
  const { layout, items } = reading;
  const isRows = layout.kind === "rows";
  const used = isRows ? [layout.user, layout.item, layout.rating?.column, layout.time] : layout.items;
  const table = await given.table(read);
  checkColumns(
    table,
    used.filter((name) => name !== undefined),
  );
  const { users, owned, x } = usersIn(table, reading);
  const rows: Value[][] = [];
  run(x, users.length, (scores, user) => {
    const has = new Set(owned[user]);
    const open = items
      .flatMap((_, item) => (has.has(item) ? [] : item))
      .sort((a, b) => scores[b] - scores[a]);
    rows.push(...open.slice(0, top).map((item, place) => [users[user], place + 1, items[item]]));
  });
  const strangers = owned.filter(({ length }) => length === 0).length;
  return {
    about: `${counted(top, "item")} for each of ${counted(users.length, "user")}`,
    columns: [isRows ? layout.user : "row", "place", isRows ? layout.item : "item"],
    rows,
    decisions: table.decisions,
    notes: [
      ...unread(table, used),
      ...(strangers > 0
        ? [
            `${counted(strangers, "user")} without an item that the network knows: what it says of them is the same`,
          ]
        : []),
    ],
  };
};
