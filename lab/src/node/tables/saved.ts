/** Standardizers of tables as files: one, or one for each group of rows. */
import { quote } from "@evenkeel/report/format";
import { Standardizer, type StandardizerJSON } from "evenkeel";
import { reason, UsageError } from "../../errors.js";
import { readOwn } from "../whole-file.js";

/** Standardizers of the groups of equal values in a column. */
export interface GroupedStandardizerJSON {
  type: "GroupedStandardizer";
  version: 1;
  /** The column. */
  by: string;
  /** The value as text, null where it is missing, and how many rows have it. */
  groups: { value: string | null; rows: number; standardizer: StandardizerJSON }[];
}

export interface Saved {
  by?: string;
  /** Their columns are the same. */
  standardizers: { group: string | null; rows?: number; standardizer: Standardizer }[];
  columns: readonly string[];
}

/** Bytes: a million groups of columns have fewer. */
const MOST_BYTES = 2 ** 29;

export function textOf({ by, standardizers }: Saved): string {
  const json: StandardizerJSON | GroupedStandardizerJSON =
    by === undefined
      ? standardizers[0].standardizer.toJSON()
      : {
          type: "GroupedStandardizer",
          version: 1,
          by,
          groups: standardizers.map(({ group, rows = 0, standardizer }) => ({
            value: group,
            rows,
            standardizer: standardizer.toJSON(),
          })),
        };
  return `${JSON.stringify(json)}\n`;
}

/** @throws UsageError for a file that is none of these */
export function readSaved(path: string): Saved {
  const shown = quote(path, 200);
  const refuse = (problem: string): never => {
    throw new UsageError(
      `--with: ${shown} ${problem}; name a standardizer.json that evenkeel standardize or Standardizer.toJSON gave`,
    );
  };
  let content: string | undefined;
  try {
    content = readOwn(path, MOST_BYTES);
  } catch (error) {
    return refuse(`cannot be read (${reason(error)})`);
  }
  if (content === undefined) return refuse("is no file that is there");
  let json: Partial<GroupedStandardizerJSON> | StandardizerJSON | null;
  try {
    json = JSON.parse(content);
  } catch {
    return refuse("is no JSON");
  }
  try {
    if (json?.type !== "GroupedStandardizer") {
      const standardizer = Standardizer.fromJSON(json);
      const { columns } = standardizer;
      if (columns === undefined || standardizer.count.length === 0) {
        return refuse("has no names of columns, or no statistics");
      }
      return { standardizers: [{ group: null, standardizer }], columns };
    }
    const { version, by, groups } = json;
    if (version !== 1) return refuse(`is of version ${String(version)}, and this is 1`);
    if (typeof by !== "string" || !Array.isArray(groups) || groups.length === 0)
      return refuse("has no groups");
    const seen = new Set<unknown>();
    const standardizers = groups.map((entry, i) => {
      const { value, rows, standardizer } = entry ?? {};
      if (value !== null && typeof value !== "string") return refuse(`has no value in group ${i}`);
      if (seen.has(value)) return refuse(`has group ${value === null ? "null" : quote(value)} twice`);
      seen.add(value);
      return { group: value, rows: Number(rows), standardizer: Standardizer.fromJSON(standardizer) };
    });
    const columns = standardizers[0].standardizer.columns ?? [];
    if (columns.length === 0) return refuse("has no names of columns");
    const other = standardizers.find(
      ({ standardizer }) => JSON.stringify(standardizer.columns) !== JSON.stringify(columns),
    );
    if (other !== undefined)
      return refuse(`has other columns in group ${quote(String(other.group))} than in the first`);
    return { by, standardizers, columns };
  } catch (error) {
    if (error instanceof UsageError) throw error;
    return refuse(`is no standardizer (${reason(error)})`);
  }
}
