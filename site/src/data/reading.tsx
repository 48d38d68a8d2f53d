/** How data are read, where its visitor would have it otherwise: a control for each option of the command line. */

import facts from "virtual:facts";
import { usualLimits } from "@evenkeel/lab/data/table";
import type { TaskName } from "@evenkeel/lab/tasks/registry";
import { type Loaded, MOST_CELLS, type ReadingOption } from "../desk/protocol.ts";
import { Choice, Count, Text } from "../live/fields.tsx";
import { Column, Columns, cut } from "./columns.tsx";
import { delimiters, imageOf, partsOf, type ReadingState, type State, suited, usualState } from "./state.ts";

interface Props {
  state: State;
  loaded: Loaded | undefined;
  /** Of the table, also where nothing can be learnt from it. */
  columns: readonly string[];
  onChange(part: Partial<State>): void;
}

/** Of a task; of all where it is not known. */
const taskOf = (name: TaskName | "" | undefined) => facts.tasks.find((task) => task.name === name);

/** What changes with the task: options that have no place in it go. */
export const withTask = (state: State, task: TaskName | ""): State => {
  const own = taskOf(task);
  return own ? suited({ ...state, task }, own) : { ...state, task, metric: "" };
};

export function Reading({ state, loaded, columns, onChange }: Props) {
  const task = taskOf(state.task || loaded?.task);
  const has = (option: ReadingOption) => task === undefined || task.suits.includes(option);
  const isText = task?.ofText === true;
  /** Of one column. @param usual what "" stands for */
  const column = (name: "time" | "group" | "text" | "series" | "user" | "item" | "rating", label: string) =>
    has(name) &&
    !isText && (
      <Column
        label={label}
        name={name}
        option={`--${name}`}
        columns={columns}
        value={state[name]}
        usual="none, or found"
        onChange={(value) => onChange({ [name]: value })}
      />
    );
  const several = (name: "ignore" | "keep" | "categorical" | "numeric", label: string) =>
    has(name) &&
    !isText && (
      <Columns
        label={label}
        name={name}
        option={`--${name}`}
        columns={columns}
        chosen={state[name]}
        onChange={(chosen) => onChange({ [name]: chosen })}
      />
    );
  const number = (name: "levels" | "limit" | "horizon" | "window" | "season", label: string) =>
    has(name) && (
      <Count
        label={label}
        name={name}
        option={`--${name}`}
        least={name === "limit" ? 2 : 1}
        value={state[name]}
        usual={undefined}
        onChange={(value) => onChange({ [name]: value })}
      />
    );
  return (
    <>
      <div class="controls">
        {has("target") && !isText && (
          <Column
            label="Target"
            name="target"
            option="--target"
            columns={columns}
            value={state.target}
            usual={
              loaded && state.target === "" && loaded.target !== ""
                ? `${cut(loaded.target)} (as found)`
                : "as found"
            }
            onChange={(target) => onChange({ target, metric: "", ...(state.task !== "" && { task: "" }) })}
          />
        )}
        <Choice
          label="Task"
          name="task"
          option="--task"
          value={state.task}
          options={[
            { value: "", text: loaded && state.task === "" ? `${loaded.task} (as found)` : "as found" },
            ...facts.tasks
              .filter(({ ofText }) => columns.length === 0 || !ofText)
              .map(({ name }) => ({ value: name, text: name })),
          ]}
          onChange={(name) => onChange(withTask(state, name))}
        />
        <Choice
          label="Metric"
          name="metric"
          option="--metric"
          value={state.metric}
          options={[
            { value: "", text: loaded && state.metric === "" ? `${loaded.metric} (usual)` : "the usual one" },
            ...(task?.metrics ?? []).map((value) => ({ value, text: value })),
          ]}
          onChange={(metric) => onChange({ metric })}
        />
        {several("ignore", "Leave out")}
        {several("keep", "Keep")}
        {several("categorical", "As categories")}
        {several("numeric", "As numbers")}
        {column("series", "Series")}
        {column("user", "Users")}
        {column("item", "Items")}
        {column("rating", "Ratings")}
        {number("horizon", "Horizon")}
        {number("window", "Window")}
        {number("season", "Season")}
        {has("split") && (
          <Choice
            label="Held out"
            name="split"
            option="--split"
            value={state.split}
            options={[
              { value: "", text: "as usual" },
              { value: "random", text: "random rows" },
              { value: "time", text: "the latest rows" },
            ]}
            onChange={(split) => onChange({ split, ...(split === "random" && { time: "" }) })}
          />
        )}
        {column("time", "Time")}
        {column("group", "Groups")}
        {column("text", "Text")}
        {number("limit", isText ? "Most characters" : "Most rows")}
        <Text
          label="Parts, in %"
          name="parts"
          option="--parts"
          value={state.parts}
          example="64,16,20"
          isGood={(typed) => partsOf(typed) !== undefined}
          onChange={(parts) => onChange({ parts })}
        />
        {number("levels", "Most categories")}
        {has("levels") && (
          <Text
            label="Images, h × w"
            name="image"
            option="--image"
            value={state.image}
            example="none"
            isGood={(typed) => imageOf(typed) !== undefined}
            onChange={(image) => onChange({ image })}
          />
        )}
      </div>
      <Format state={state} onChange={onChange} isOpen={loaded === undefined} />
    </>
  );
}

const formats = [
  ...["header", "delimiter", "decimal", "missing", "dates", "encoding", "member"],
  ...["maxCells", "maxBytes"],
] as readonly (keyof ReadingState)[];

/** As `TextDecoder` has them. */
const ENCODINGS = [
  ...["utf-8", "utf-16le", "utf-16be", "windows-1252", "windows-1250", "windows-1251", "iso-8859-2"],
  ...["iso-8859-15", "koi8-r", "macintosh", "ibm866", "gb18030", "big5", "shift_jis", "euc-jp", "euc-kr"],
];

function Format({ state, onChange, isOpen }: Pick<Props, "state" | "onChange"> & { isOpen: boolean }) {
  const isSet = formats.some((name) => state[name] !== usualState[name]);
  return (
    <details class="settings" open={isOpen || isSet}>
      <summary>If it is read wrongly</summary>
      <div class="controls">
        <Choice
          label="First row has names"
          name="header"
          option="--header"
          value={state.header}
          options={[
            { value: "", text: "as found" },
            { value: "yes", text: "yes" },
            { value: "no", text: "no" },
          ]}
          onChange={(header) => onChange({ header })}
        />
        <Choice
          label="Between fields"
          name="delimiter"
          option="--delimiter"
          value={state.delimiter}
          options={delimiters.map((value) => ({
            value,
            text: value === "" ? "as found" : value === "space" ? "blanks" : value,
          }))}
          onChange={(delimiter) => onChange({ delimiter })}
        />
        <Choice
          label="Decimal mark"
          name="decimal"
          option="--decimal"
          value={state.decimal}
          options={[
            { value: "", text: "as found" },
            { value: ".", text: "point" },
            { value: ",", text: "comma" },
          ]}
          onChange={(decimal) => onChange({ decimal })}
        />
        <Text
          label="Marks of no value"
          name="missing"
          option="--missing"
          value={state.missing}
          example={'the usual; "" for none'}
          onChange={(missing) => onChange({ missing })}
        />
        <Choice
          label="Dates"
          name="dates"
          option="--dates"
          value={state.dates}
          options={[
            { value: "", text: "as found" },
            { value: "dmy", text: "day/month/year" },
            { value: "mdy", text: "month/day/year" },
            { value: "ymd", text: "year/month/day" },
          ]}
          onChange={(dates) => onChange({ dates })}
        />
        <Choice
          label="Encoding"
          name="encoding"
          option="--encoding"
          value={state.encoding}
          options={[{ value: "", text: "as found" }, ...ENCODINGS.map((value) => ({ value, text: value }))]}
          onChange={(encoding) => onChange({ encoding })}
        />
        <Text
          label="File or sheet in it"
          name="member"
          option="--member"
          value={state.member}
          example="the only one"
          onChange={(member) => onChange({ member })}
        />
        <Count
          label="Most cells"
          name="maxCells"
          option="--max-cells"
          value={state.maxCells}
          usual={MOST_CELLS}
          onChange={(maxCells) => onChange({ maxCells })}
        />
        <Count
          label="Most bytes"
          name="maxBytes"
          option="--max-bytes"
          value={state.maxBytes}
          usual={usualLimits.bytes}
          onChange={(maxBytes) => onChange({ maxBytes })}
        />
      </div>
    </details>
  );
}
