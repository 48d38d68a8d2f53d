/**
 * What a visitor changed, and nothing else: elements of arrays, options, the normalization to compare with. It is the whole state of
 * the editor, and goes into the address.
 */

/** Elements that were set, by their index. */
export type Edits = ReadonlyMap<number, number>;

export interface State {
  /** By the names of arrays: `x`, `condition`, `dy`, and weights as `w.gamma`. */
  readonly edits: Readonly<Record<string, Edits>>;
  /** Options that differ from those that the page begins with. */
  readonly options: Readonly<Record<string, unknown>>;
  readonly training: boolean;
  /** The normalization beside. */
  readonly other?: string;
}

export const UNCHANGED: State = { edits: {}, options: {}, training: true };

/** Values with what was set; elements beyond the end are left out. */
export function edited(values: Float64Array, edits: Edits | undefined): Float64Array<ArrayBuffer> {
  const result = Float64Array.from(values);
  for (const [i, value] of edits ?? []) if (i < result.length) result[i] = value;
  return result;
}

/** The state with values of an array set; those equal to what it began with are no edits. */
export function withEdits(
  state: State,
  name: string,
  base: Float64Array,
  values: Iterable<readonly [number, number]>,
): State {
  const edits = new Map(state.edits[name]);
  for (const [i, value] of values) {
    if (Object.is(base[i], value)) edits.delete(i);
    else edits.set(i, value);
  }
  const { [name]: _, ...others } = state.edits;
  return { ...state, edits: edits.size === 0 ? others : { ...others, [name]: edits } };
}

/** `option.epsilon`, `training`, `with`; any other name is an array's. */
const OPTION = "option.";

/** As the address has it, without `#`; empty where nothing was changed. `x=5:3,4;17:1e4` are elements 5, 6 and 17. */
export function toHash({ edits, options, training, other }: State): string {
  const params = new URLSearchParams();
  for (const [name, changed] of Object.entries(edits)) params.set(name, runs(changed));
  for (const [name, value] of Object.entries(options)) {
    params.set(OPTION + name, typeof value === "string" ? value : JSON.stringify(value));
  }
  if (!training) params.set("training", "false");
  if (other !== undefined) params.set("with", other);
  // what an address may have as it is
  return params.toString().replace(/%(2C|3A|3B|5B|5D)/g, decodeURIComponent);
}

/** From an address, with or without `#`; what is not of this form is left out. */
export function fromHash(hash: string): State {
  const edits: Record<string, Edits> = {};
  const options: Record<string, unknown> = {};
  let [training, other]: [boolean, string | undefined] = [true, undefined];
  for (const [name, value] of new URLSearchParams(hash.replace(/^#/, ""))) {
    if (name === "training") training = value !== "false";
    else if (name === "with") other = value;
    else if (name.startsWith(OPTION)) options[name.slice(OPTION.length)] = parsed(value);
    else {
      const changed = fromRuns(value);
      if (changed.size > 0) edits[name] = changed;
    }
  }
  return { edits, options, training, other };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function runs(edits: Edits): string {
  let text = "";
  let next = -1;
  for (const [i, value] of [...edits].sort(([a], [b]) => a - b)) {
    const number = Object.is(value, -0) ? "-0" : value;
    text += i === next ? `,${number}` : `${text === "" ? "" : ";"}${i}:${number}`;
    next = i + 1;
  }
  return text;
}

/** An address may come from anywhere: more elements than any array here has are not read. */
const MOST = 100_000;

function fromRuns(text: string): Edits {
  const edits = new Map<number, number>();
  for (const run of text.split(";")) {
    const [start, list] = run.split(":");
    if (list === undefined || !/^\d{1,6}$/.test(start)) continue;
    for (const [i, value] of list.split(",").entries()) {
      const number = Number(value);
      if (value !== "" && Number.isFinite(number) && edits.size < MOST) edits.set(Number(start) + i, number);
    }
  }
  return edits;
}
