/** The normalizations by what a statistic of theirs covers, read from the pictures of their axes, which the library drew. */
import type { About } from "evenkeel";

export interface Family {
  title: string;
  says: string;
  norms: About[];
}

interface Kind {
  title: string;
  says: string;
  /** @param reach of one element of y, as the picture describes it */
  has(about: About, reach: string): boolean;
}

const anywhere = ({ takes }: About): boolean => takes === "features" || takes === "positions";

/** The first that has a normalization is its own. */
const KINDS: Kind[] = [
  {
    title: "Over the features of an example",
    says: "Each example, or each position of it, is measured by itself: the same in training and evaluation, whatever the batch.",
    has: (about, reach) =>
      anywhere(about) && /: (\d+ of \d+ )?channels of one example and position/.test(reach),
  },
  {
    title: "Over the batch",
    says: "Examples are measured together in training; running statistics, or what stands for them, take their place in evaluation.",
    has: (about, reach) => anywhere(about) && /\b(batch|examples)\b/.test(reach),
  },
  {
    title: "Over positions, and groups of channels",
    says: "What an example's pixels, steps or nodes have in common is removed, for each channel, each group, or all of them.",
    has: (about, reach) => anywhere(about) && !/same element of x only/.test(reach),
  },
  {
    title: "Without statistics",
    says: "Learned numbers stand where others have measured ones: each element of y comes of one element of x.",
    has: anywhere,
  },
  {
    title: "With a condition",
    says: "A second input says what the output is to be like: a class, a style, a map, a gate.",
    has: ({ takes }) => takes === "condition",
  },
  {
    title: "Of weights",
    says: "The weights of a layer are normalized instead of what flows through it.",
    has: ({ takes }) => takes === "weight",
  },
  {
    title: "Around a forecast",
    says: "A series is standardized before a model, and its forecast brought back.",
    has: ({ takes }) => takes === "forecast",
  },
  {
    title: "Within recurrent layers and attention",
    says: "The normalization is part of a layer that works through a sequence.",
    has: ({ takes }) => takes === "sequence",
  },
];

/** @param reachOf what one element of y depends on in training */
export function familiesOf(norms: readonly About[], reachOf: (name: string) => string): Family[] {
  const families = KINDS.map(({ title, says }): Family => ({ title, says, norms: [] }));
  for (const about of norms) {
    const reach = reachOf(about.name);
    families[KINDS.findIndex(({ has }) => has(about, reach))].norms.push(about);
  }
  return families;
}
