/** What is found in a graph: normalizations and activations, whichever way they are written. */
import type { Catalog } from "../../norms/catalog.js";
import type { Graph, Node } from "./graph.js";

/** A normalization in a graph. */
export interface Found {
  /** Its name in the catalog. */
  readonly norm: keyof Catalog & FoundNorm;
  readonly graph: Graph;
  /** The value that is normalized, and what comes of it. Of the normalization of a weight, `x` is the constant. */
  readonly x: string;
  readonly y: string;
  /** That compute y of x, in the graph's order, the one that gives y last. Others may read what is in between. */
  readonly nodes: readonly Node[];
  /** Whether one operator of its own does all of it; else it is written out. */
  readonly isOperator: boolean;
  /** Lengths of x; NaN where the file leaves one open. */
  readonly shape: readonly number[];
  /** Type of x, as far as it is known. */
  readonly dtype?: string;
  /** Reduced axes of x, from 0, rising. Of groups: those within a group, the channels' among them. */
  readonly axes: readonly number[];
  /** The axis of channels: of group, instance and batch normalization. */
  readonly channels?: number;
  readonly groups?: number;
  /** 0 where there is none. */
  readonly epsilon: number;
  /** Where it stands: in the root with the variance, outside added to the root, or as a bound of the root. */
  readonly epsilonAt: "inside" | "outside" | "bound";
  /** The order of x's axes in which y has them, where it is another one. */
  readonly order?: readonly number[];
  /**
   * Where y is xHat·gamma + beta. Those that are computed as the network runs are left to their own nodes, unless xHat is no value of the
   * graph, as where gamma is multiplied into rstd.
   */
  readonly gamma?: Parameter;
  readonly beta?: Parameter;
  /** Of batch normalization in evaluation. */
  readonly mean?: Parameter;
  readonly variance?: Parameter;
  /** The type in which squares are added up. */
  readonly statisticsType?: string;
  /** Whether the variance is computed as E[x²] − E[x]², which cancels. */
  readonly cancels: boolean;
  /** The value that squares are summed of: where float16 overflows first. */
  readonly squared?: string;
}

/** Normalizations that are looked for. */
export type FoundNorm =
  | "layerNorm"
  | "rmsNorm"
  | "groupNorm"
  | "instanceNorm"
  | "batchNorm"
  | "unitNorm"
  | "weightNorm"
  | "spectralNorm"
  | "weightStandardization";

/** A gamma or beta, in the order of the axes that it has a value for. */
export interface Parameter {
  /** The value of the graph that it is as it stands; undefined where it is computed of several constants, such as 1 + weight. */
  readonly name?: string;
  /** The axes of x that it follows: those of the features of layers, the channels' of the others; those along which a value differs. */
  readonly axes: readonly number[];
  /** Their lengths; NaN where the file leaves one open. */
  readonly shape: readonly number[];
  /** Row-major, computed in float64; undefined where it is computed as the network runs: `name` is of the shape that broadcasts to x. */
  readonly values?: Float64Array;
}

/** An activation that is written out. */
export interface FoundActivation {
  readonly activation: "silu" | "gelu" | "geluTanh";
  readonly graph: Graph;
  readonly x: string;
  readonly y: string;
  readonly nodes: readonly Node[];
}
