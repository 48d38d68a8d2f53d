/** Controls that name columns of the table that was read. */
import { Choice, Text } from "../live/fields.tsx";

/** Letters of a name in a list: there are lists as wide as the longest. */
const LONGEST = 60;
export const cut = (name: string): string =>
  name.length > LONGEST ? `${name.slice(0, LONGEST - 1)}…` : name;

interface Named {
  label: string;
  name: string;
  option: string;
  /** Empty where they are not known: then one is typed. */
  columns: readonly string[];
}

const optionsOf = (columns: readonly string[]) =>
  columns.map((value) => ({ value, text: cut(value), title: value }));

export interface ColumnProps extends Named {
  value: string;
  /** What "" stands for. */
  usual: string;
  onChange(value: string): void;
}

export function Column({ columns, value, usual, onChange, ...named }: ColumnProps) {
  if (columns.length === 0) return <Text {...named} value={value} example={usual} onChange={onChange} />;
  const all = value === "" || columns.includes(value) ? columns : [value, ...columns];
  return (
    <Choice
      {...named}
      value={value}
      options={[{ value: "", text: usual }, ...optionsOf(all)]}
      onChange={onChange}
    />
  );
}

export interface ColumnsProps extends Named {
  chosen: readonly string[];
  onChange(chosen: readonly string[]): void;
}

/** Several columns: each that is chosen is a button that takes it back. */
export function Columns({ columns, chosen, onChange, ...named }: ColumnsProps) {
  const others = columns.filter((name) => !chosen.includes(name));
  const add = (name: string) => name !== "" && onChange([...chosen, name]);
  return (
    <div class="columns">
      {columns.length === 0 ? (
        <Text {...named} value="" example="none" onChange={add} />
      ) : (
        <Choice
          {...named}
          value=""
          options={[{ value: "", text: chosen.length === 0 ? "none" : "another …" }, ...optionsOf(others)]}
          onChange={add}
        />
      )}
      {chosen.length > 0 && (
        <ul>
          {chosen.map((name) => (
            <li key={name}>
              <button
                type="button"
                title={name}
                onClick={() => {
                  onChange(chosen.filter((each) => each !== name));
                  document.getElementById(`set-${named.name}`)?.focus();
                }}
              >
                <span class="unseen">{named.label}: take back </span>
                <span class="name">{cut(name)}</span> <span aria-hidden="true">×</span>
              </button>
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}
