/**
 * An array as tables: rows and columns are its last two axes, and there is a table for each of what comes before. Cells may be pointed
 * at, and, where they can be edited, typed into or dragged.
 */
import { minus } from "@evenkeel/report/format";
import { useMemo, useRef, useState } from "preact/hooks";
import { ONE, positionsOf } from "../../../scripts/docs/influence.mjs";
import type { Named } from "./experiment.ts";

export interface GridProps {
  readonly array: Named;
  /** Called with the elements that are set. */
  onEdit?(values: readonly (readonly [number, number])[]): void;
  /** The element that the pointer or the focus is on; undefined where it left. */
  onPoint?(element: number | undefined): void;
  /** Elements that what is pointed at depends on, or that depend on it. */
  readonly lit?: ReadonlySet<number>;
  /** What is pointed at, here. */
  readonly chosen?: number;
  /** Elements that differ from those of the array beside. */
  readonly differing?: ReadonlySet<number>;
}

/** `y[0, 1, 2]`. */
export function elementName(array: Named, element: number): string {
  const { name, shape } = array;
  return `${name}[${positionsOf(shape)[element]?.join(", ")}]`;
}

/** A number in six characters, or seven where it is negative. */
export function short(value: number): string {
  if (value === 0) return "0";
  if (!Number.isFinite(value)) return String(value).replace("Infinity", "∞").replace("-", "−");
  const size = Math.abs(value);
  if (size < 1e-3 || size >= 99_999.5)
    return value
      .toExponential(size >= 1e-9 && size < 1e10 ? 1 : 0)
      .replaceAll("-", "−")
      .replace("+", "");
  return minus(value.toFixed(size < 10 ? 3 : size < 100 ? 2 : size < 1000 ? 1 : 0));
}

/** A number that was typed, as far as it fits. */
function fitting(value: number): string {
  const text = String(value);
  if (text.length <= FITS) return text;
  for (let digits = FITS; digits > 2; digits--) {
    const rounded = String(Number(value.toPrecision(digits)));
    if (rounded.length <= FITS) return rounded;
  }
  return short(value);
}

const FITS = 7;

/** Pixels that a pointer moves before it drags. */
const SLACK = 4;
/** What a pixel, a key and a page key add. */
const [PIXEL, KEY, PAGE] = [0.02, 0.1, 1];

/** A pointer that is down on a cell. */
interface Drag {
  readonly element: number;
  readonly from: number;
  readonly value: number;
  moved: boolean;
}

const rounded = (value: number) => Number(value.toPrecision(12));

export function Grid({ array, onEdit, onPoint, lit, chosen, differing }: GridProps) {
  const { shape, data } = array;
  // an axis of length 1 has no place on paper
  const long = shape.map((length, axis) => ({ length, axis })).filter(({ length }) => length !== 1);
  const host = useRef<HTMLDivElement>(null);
  const [current, setCurrent] = useState(0);
  const [focused, setFocused] = useState<number>();
  const [draft, setDraft] = useState<{ element: number; text: string }>();
  const dragged = useRef<Drag | undefined>(undefined);
  const columns = long.at(-1)?.length ?? 1;
  const rows = long.at(-2)?.length ?? 1;
  const sheets = columns * rows === 0 ? 0 : data.length / (columns * rows);
  const names = useMemo(
    () => data.length > 0 && positionsOf(shape).map((at) => `${array.name}[${at.join(", ")}]`),
    [array.name, shape.join()],
  );
  const tabbable = Math.min(current, data.length - 1);

  const elementOf = (event: Event): number | undefined => {
    const cell = (event.target as HTMLElement).closest<HTMLElement>("[data-element]");
    return cell === null ? undefined : Number(cell.dataset.element);
  };
  const focus = (element: number) => {
    const cell = host.current?.querySelector<HTMLElement>(`[data-element="${element}"]`);
    const target = cell?.querySelector("input") ?? cell;
    target?.focus();
    if (target instanceof HTMLInputElement) target.select();
  };
  const set = (element: number, value: number) => {
    if (Number.isFinite(value)) onEdit?.([[element, value]]);
  };

  const onKeyDown = (event: KeyboardEvent) => {
    const element = elementOf(event);
    if (element === undefined || event.ctrlKey || event.metaKey) return;
    const { key, altKey, target } = event;
    const input = target instanceof HTMLInputElement ? target : undefined;
    if (input && onEdit && (altKey ? ["ArrowUp", "ArrowDown"] : ["PageUp", "PageDown"]).includes(key)) {
      event.preventDefault();
      setDraft(undefined);
      set(element, rounded((data[element] ?? 0) + (key.endsWith("Up") ? 1 : -1) * (altKey ? KEY : PAGE)));
      return;
    }
    if (altKey || event.shiftKey) return;
    const all =
      input !== undefined && input.selectionStart === 0 && input.selectionEnd === input.value.length;
    const atStart = input === undefined || all || input.selectionEnd === 0;
    const atEnd = input === undefined || all || input.selectionStart === input.value.length;
    const column = element % columns;
    const moves: Record<string, number | false> = {
      ArrowUp: -columns,
      ArrowDown: columns,
      Enter: columns,
      ArrowLeft: atStart && -1,
      ArrowRight: atEnd && 1,
      Home: atStart && -column,
      End: atEnd && columns - 1 - column,
    };
    const move = moves[key];
    if (key === "Escape" && draft) {
      setDraft(undefined);
      return;
    }
    if (move === undefined || move === false) return;
    event.preventDefault();
    const next = element + move;
    if (next >= 0 && next < data.length) focus(next);
  };

  const onPointerDown = (event: PointerEvent) => {
    const element = elementOf(event);
    if (element === undefined || !onEdit || event.button !== 0) return;
    dragged.current = { element, from: event.clientX, value: data[element] ?? 0, moved: false };
  };
  const onPointerMove = (event: PointerEvent) => {
    const drag = dragged.current;
    if (drag === undefined) return;
    const distance = event.clientX - drag.from;
    if (!drag.moved) {
      if (Math.abs(distance) < SLACK) return;
      drag.moved = true;
      setDraft(undefined);
      host.current?.setPointerCapture(event.pointerId);
      onPoint?.(drag.element);
    }
    event.preventDefault();
    const step = PIXEL * Math.max(1, 10 ** Math.floor(Math.log10(Math.abs(drag.value) || 1)));
    set(drag.element, rounded(drag.value + Math.round(distance) * step));
  };
  const onPointerEnd = () => {
    dragged.current = undefined;
  };

  const cell = (element: number) => {
    const value = data[element] ?? Number.NaN;
    const marks = [
      "cell",
      lit?.has(element) && "lit",
      chosen === element && "chosen",
      differing?.has(element) && "differs",
    ].filter(Boolean);
    const attributes = {
      key: element,
      class: marks.join(" "),
      "data-element": element,
      "data-value": String(value),
      title: String(value).replace("-", "−"),
    };
    if (onEdit === undefined) {
      // one of them is in the tab order, and arrow keys go on from there
      return (
        <td {...attributes} {...(onPoint && { tabIndex: element === tabbable ? 0 : -1 })}>
          {short(value)}
        </td>
      );
    }
    const text =
      draft?.element === element ? draft.text : focused === element ? String(value) : fitting(value);
    const invalid = text.trim() === "" || !Number.isFinite(Number(text.replace("−", "-")));
    return (
      <td {...attributes}>
        <input
          value={text}
          autocomplete="off"
          spellcheck={false}
          aria-label={names ? names[element] : array.name}
          aria-invalid={invalid || undefined}
          tabIndex={element === tabbable ? 0 : -1}
          onInput={({ currentTarget: { value: typed } }) => {
            setDraft({ element, text: typed });
            const number = Number(typed.replace("−", "-"));
            if (typed.trim() !== "") set(element, number);
          }}
          onBlur={() => setDraft(undefined)}
        />
      </td>
    );
  };

  const one = (place: number) => ONE[array.axes?.[long.at(place)?.axis ?? -1] ?? ""] ?? "";
  const sheetNames = positionsOf(long.slice(0, -2).map(({ length }) => length));
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: what cells do is handled in one place
    <div
      class={onEdit ? "sheets editable" : "sheets"}
      ref={host}
      onKeyDown={onKeyDown}
      onFocusIn={(event) => {
        const element = elementOf(event);
        if (element === undefined) return;
        setCurrent(element);
        setFocused(element);
        onPoint?.(element);
      }}
      onFocusOut={() => {
        setFocused(undefined);
        onPoint?.(undefined);
      }}
      onPointerOver={(event) => {
        const element = elementOf(event);
        if (element !== undefined && !dragged.current) onPoint?.(element);
      }}
      onPointerLeave={() => !dragged.current && onPoint?.(focused)}
      onPointerDown={onPointerDown}
      onPointerMove={onPointerMove}
      onPointerUp={onPointerEnd}
      onPointerCancel={onPointerEnd}
    >
      {Array.from({ length: sheets }, (_, sheet) => (
        <table class="sheet" key={sheet}>
          <caption class={sheets > 1 ? undefined : "unseen"}>
            {sheets > 1 ? `${array.name}[${sheetNames[sheet]?.join(", ")}]` : array.name}
          </caption>
          <thead>
            <tr>
              <td />
              {Array.from({ length: columns }, (_, column) => (
                <th scope="col" key={column}>
                  <span class="unseen">{one(-1)} </span>
                  {column}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {Array.from({ length: rows }, (_, row) => (
              <tr key={row}>
                <th scope="row">
                  <span class="unseen">{one(-2)} </span>
                  {long.length > 1 ? row : <span class="unseen">{array.name}</span>}
                </th>
                {Array.from({ length: columns }, (_, column) =>
                  cell((sheet * rows + row) * columns + column),
                )}
              </tr>
            ))}
          </tbody>
        </table>
      ))}
    </div>
  );
}
