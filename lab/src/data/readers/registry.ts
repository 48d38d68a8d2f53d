/** Which formats of tables can be read, each known by its content, or else by the ending of its name. */
import { UsageError } from "../../errors.js";
import { understand } from "../columns.js";
import { type RawTable, type ReadOptions, type Table, usualLimits } from "../table.js";
import { parseArff } from "./arff.js";
import { readArrow } from "./arrow.js";
import { readCsv } from "./csv.js";
import { parseJson } from "./json.js";
import { readParquet } from "./parquet.js";
import { refuse } from "./refused.js";
import { baseName, headOf, isText, type Source, startOf, type Text, textOf, wholeOf } from "./source.js";
import { unpack } from "./unpack.js";
import { readWorkbook } from "./workbook.js";

type Read = (source: Source, file: string, options: ReadOptions) => Promise<RawTable>;

/** Formats of bytes, by how they start. */
const BINARY: readonly { starts: readonly number[]; read: Read }[] = [
  { starts: [0x50, 0x41, 0x52, 0x31], read: readParquet },
  { starts: [0x41, 0x52, 0x52, 0x4f, 0x57, 0x31], read: readArrow },
  // a stream of Arrow
  { starts: [0xff, 0xff, 0xff, 0xff], read: readArrow },
  // what `unpack` leaves packed is a workbook
  { starts: [0x50, 0x4b, 3, 4], read: readWorkbook },
];

/** What an ending speaks of where the bytes are not of that format: a file that is cut, or named wrongly. */
const ENDINGS: Record<string, Read> = {
  parquet: readParquet,
  pq: readParquet,
  arrow: readArrow,
  arrows: readArrow,
  feather: readArrow,
  ipc: readArrow,
  xlsx: readWorkbook,
  xlsm: readWorkbook,
};

/** Formats of text, by their first characters; anything else is fields with delimiters. */
const TEXTUAL: readonly { like: RegExp; ending: RegExp; parse: typeof parseJson }[] = [
  { like: /^@(?:relation|attribute)\b/i, ending: /\.arff$/i, parse: parseArff },
  {
    like: /^(?:\[\s*(?:[[{\]"\d-]|true|false|null|NaN|$)|\{\s*(?:"|\}|$))/,
    ending: /\.(?:json|ndjson|jsonl|geojson)$/i,
    parse: parseJson,
  },
];

/** The delimiters that endings speak of. */
const USUAL: Record<string, string> = { csv: ",", tsv: "\t", tab: "\t" };

/** Characters by which a format of text is known. */
const TELLING = 2 ** 16;

/**
 * The table in a source, packed or not: read as its content says, or else its name, and understood. Throws UsageError
 * for a format that is not read, for what is no table, and for more than the limits allow; FailureError for what cannot
 * be parsed; see each reader.
 */
export async function readTable(source: Source, options: ReadOptions = {}): Promise<Table> {
  const most = options.limits?.bytes ?? usualLimits.bytes;
  if (source.byteLength === 0) {
    throw new UsageError(`${baseName(source.name)}: the file is empty; expected a table of data`);
  }
  if (source.byteLength > most) {
    throw new UsageError(
      `${baseName(source.name)}: expected at most ${Math.floor(most / 1e6).toLocaleString("en-US")} MB, got ${Math.ceil(source.byteLength / 1e6).toLocaleString("en-US")} MB; allow more with --max-bytes`,
    );
  }
  refuseHead(await headOf(source), source);
  const unpacked = await unpack(source, options);
  const file = baseName(unpacked.name);
  return understand(await readRaw(unpacked, file, options), file, options);
}

async function readRaw(source: Source, file: string, options: ReadOptions): Promise<RawTable> {
  const head = await headOf(source);
  refuseHead(head, source);
  const ending = /\.([^.]+)$/.exec(file)?.[1].toLowerCase() ?? "";
  const binary = BINARY.find(({ starts }) => starts.every((byte, index) => head[index] === byte));
  if (binary) return binary.read(source, file, options);
  if (!isText(head) && Object.hasOwn(ENDINGS, ending)) return ENDINGS[ending](source, file, options);

  const text = await textOf(source, options);
  const format = formatOf(await startOf(text, TELLING), file);
  if (format === undefined) {
    return withDecisions(
      await readCsv(text, file, options, Object.hasOwn(USUAL, ending) ? USUAL[ending] : undefined),
      text,
    );
  }
  return withDecisions(format.parse(await wholeOf(text, file), file, options), text);
}

const withDecisions = (raw: RawTable, { decisions }: Text): RawTable => ({
  ...raw,
  decisions: [...decisions, ...raw.decisions],
});

const refuseHead = (head: Uint8Array, { name }: Source): void => refuse(head, baseName(name), isText(head));

/** The format of text by its first words, comments apart, or else by the ending of its name. */
function formatOf(start: string, file: string): (typeof TEXTUAL)[number] | undefined {
  const words = start.replace(/^(?:\s+|%[^\n\r]*)+/, "").slice(0, 200);
  return TEXTUAL.find(({ like }) => like.test(words)) ?? TEXTUAL.find(({ ending }) => ending.test(file));
}
