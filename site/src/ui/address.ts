/** State in the address, so that what one sees can be sent: after the #, which goes to no server. */

/** How a value is written; `read` gives undefined for what is none, which is then passed over. */
export interface Field<T> {
  usual: T;
  write(value: T): string;
  read(text: string): T | undefined;
}

export type Fields<State> = { readonly [Name in keyof State]: Field<State[Name]> };

export const text = (usual = ""): Field<string> => ({ usual, write: String, read: String });

/** One of these. */
export const oneOf = <T extends string>(all: readonly T[], usual: NoInfer<T>): Field<T> => ({
  usual,
  write: String,
  read: (text) => all.find((each) => each === text),
});

/** A number, or undefined for what is usual. */
export const number = <T extends number | undefined>(
  usual: T,
  isGood: (value: number) => boolean = () => true,
): Field<T | number> => ({
  usual,
  write: String,
  read(text) {
    const value = Number(text);
    return text.trim() !== "" && Number.isFinite(value) && isGood(value) ? value : undefined;
  },
});

/** One at least. */
export const list = (usual: readonly string[]): Field<readonly string[]> => ({
  usual,
  write: (names) => names.join(","),
  read(text) {
    const names = text.split(",").filter((name) => name !== "");
    return names.length > 0 ? names : undefined;
  },
});

/** What differs from the usual, in the order of the fields. */
export function written<State extends object>(state: State, fields: Fields<State>): string {
  const names = Object.keys(fields) as (keyof State & string)[];
  const different = names.flatMap((name) => {
    const { usual, write } = fields[name];
    const [own, other] = [state[name], usual].map((value) =>
      value === undefined ? undefined : write(value),
    );
    return own === undefined || own === other ? [] : [[name, own]];
  });
  // commas and colons need no escape in what follows a #
  return new URLSearchParams(different).toString().replaceAll("%2C", ",");
}

/** The state that a text speaks of; what it does not have, or has wrongly, is as usual. */
export function read<State extends object>(hash: string, fields: Fields<State>): State {
  const found = new URLSearchParams(hash.replace(/^#/, ""));
  const names = Object.keys(fields) as (keyof State & string)[];
  return Object.fromEntries(
    names.map((name) => {
      const { usual, read } = fields[name];
      const own = found.get(name);
      return [name, (own === null ? undefined : read(own)) ?? usual];
    }),
  ) as State;
}

/** Puts the state into the address, without a step to go back to. */
export function keep<State extends object>(state: State, fields: Fields<State>): void {
  const own = written(state, fields);
  const { pathname, search } = location;
  history.replaceState(null, "", own === "" ? `${pathname}${search}` : `#${own}`);
}
