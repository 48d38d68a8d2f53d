/** What one example is to a network, and what the network is to give for it: models are chosen and built by it. */

/** A feature that is the number of a category, for the network to embed. */
export interface Category {
  /** Index of the input. */
  at: number;
  /** Values are integers from 0 to levels − 1; 0 stands for every rare, unknown or missing one. */
  levels: number;
}

export interface InputForm {
  /**
   * `features`: numbers in no order. `image`: pixels. `series`: steps in time. `tokens`: numbers of words or characters in
   * their order, and `items` in none, from 1; 0 is padding, at the end.
   */
  kind: "features" | "image" | "series" | "tokens" | "items";
  /** [inputs], [height, width, channels], [steps, channels], [length], [most items] */
  shape: number[];
  /** Of features: those that are embedded. */
  categories?: Category[];
  /** Of tokens and items: they are from 1 to this. */
  vocabulary?: number;
}

export interface Form {
  input: InputForm;
  /**
   * Of the last layer, without the batch: [classes], [1], [horizon, channels], [items]; [length, vocabulary + 1] for a token
   * after each, of which none may depend on later ones.
   */
  outputs: number[];
}

/** Of tokens: any that is not known, and the first that is. */
export const UNKNOWN_TOKEN = 1;
export const FIRST_TOKEN = 2;

export type InputKind = InputForm["kind"];

export const sizeOf = (shape: readonly number[]): number => shape.reduce((size, length) => size * length, 1);

/** Whether the network is to say at each token what follows. */
export const isCausal = ({ input, outputs }: Form): boolean => input.kind === "tokens" && outputs.length > 1;

const number = (n: number) => n.toLocaleString("en-US");

/** What an example is called: one of many windows of a series or a text, all that a user has, or what a row tells. */
export function exampleName(form: Form): "window" | "user" | "example" {
  if (form.input.kind === "series" || isCausal(form)) return "window";
  return form.input.kind === "items" ? "user" : "example";
}

/** What an answer is from, as it follows "from": "images of 8×8", "their last 96 steps"; undefined of features, which have names. */
export function givenText(form: Form): string | undefined {
  const { kind, shape, vocabulary = 0 } = form.input;
  const [first, second] = shape;
  switch (kind) {
    case "features":
      return undefined;
    case "image":
      return `images of ${first}×${second}`;
    case "series":
      return `${second === 1 ? "its" : "their"} last ${number(first)} steps`;
    case "tokens":
      return isCausal(form)
        ? `those before it, of ${number(vocabulary)} known ones`
        : `up to ${number(first)} words, of ${number(vocabulary)} known ones`;
    case "items":
      return `up to ${number(first)} others, of ${number(vocabulary)} items`;
  }
}
