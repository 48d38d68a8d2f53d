/** Labelled controls. */
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";

interface Labelled {
  label: string;
  name: string;
  /** Of the command line, which messages name: "--target". */
  option?: string;
}

export interface SliderProps {
  name: string;
  label: string;
  values: readonly number[];
  value: number;
  says: string;
  onChange(value: number): void;
}

/** Steps through values that may not be even. */
export function Slider({ name, label, values, value, says, onChange }: SliderProps) {
  const at = values.reduce(
    (best, each, i) => (Math.abs(each - value) < Math.abs(values[best] - value) ? i : best),
    0,
  );
  const shown = value.toLocaleString("en-US");
  return (
    <div class="slider">
      <label for={`slide-${name}`}>
        {label} <output for={`slide-${name}`}>{shown}</output>
      </label>
      <input
        id={`slide-${name}`}
        name={name}
        type="range"
        min={0}
        max={values.length - 1}
        value={at}
        aria-valuetext={shown}
        aria-describedby={`says-${name}`}
        onInput={({ currentTarget }) => onChange(values[Number(currentTarget.value)])}
      />
      <small id={`says-${name}`}>{says}</small>
    </div>
  );
}

function Field({ label, name, option, children }: Labelled & { children: ComponentChildren }) {
  return (
    <div class="field">
      <label for={`set-${name}`}>
        {label}
        {option !== undefined && <small> {option}</small>}
      </label>
      {children}
    </div>
  );
}

export interface ChoiceProps<T extends string> extends Labelled {
  value: T;
  options: readonly { value: T; text: string; title?: string }[];
  onChange(value: T): void;
}

export function Choice<T extends string>({ value, options, onChange, ...labelled }: ChoiceProps<T>) {
  const { name } = labelled;
  return (
    <Field {...labelled}>
      <select
        id={`set-${name}`}
        name={name}
        value={value}
        onChange={({ currentTarget }) => onChange(currentTarget.value as T)}
      >
        {options.map(({ value: each, text, title }) => (
          <option key={each} value={each} title={title} selected={each === value}>
            {text}
          </option>
        ))}
      </select>
    </Field>
  );
}

export interface CountProps extends Labelled {
  value: number | undefined;
  usual: number | undefined;
  step?: string;
  least?: number;
  onChange(value: number | undefined): void;
}

/** A number above 0; empty for the usual one. */
export function Count({
  value,
  usual,
  step = "1",
  least = step === "1" ? 1 : 0,
  onChange,
  ...labelled
}: CountProps) {
  const { name } = labelled;
  const [wrong, setWrong] = useState(false);
  return (
    <Field {...labelled}>
      <input
        id={`set-${name}`}
        name={name}
        type="number"
        inputMode="decimal"
        min={least}
        step={step}
        value={value ?? ""}
        placeholder={usual === undefined ? "" : String(usual)}
        aria-invalid={wrong}
        onChange={({ currentTarget }) => {
          const isGood = currentTarget.checkValidity();
          setWrong(!isGood);
          if (isGood) onChange(currentTarget.value === "" ? undefined : Number(currentTarget.value));
        }}
      />
    </Field>
  );
}

export interface TextProps extends Labelled {
  value: string;
  /** What is there while it is empty. */
  example?: string;
  /** What may be typed; by default anything. */
  isGood?(value: string): boolean;
  onChange(value: string): void;
}

export function Text({ value, example = "", isGood = () => true, onChange, ...labelled }: TextProps) {
  const { name } = labelled;
  const [wrong, setWrong] = useState(false);
  return (
    <Field {...labelled}>
      <input
        id={`set-${name}`}
        name={name}
        type="text"
        value={value}
        placeholder={example}
        spellcheck={false}
        autocomplete="off"
        aria-invalid={wrong}
        onChange={({ currentTarget }) => {
          const typed = currentTarget.value.trim();
          const good = typed === "" || isGood(typed);
          setWrong(!good);
          if (good) onChange(typed);
        }}
      />
    </Field>
  );
}
