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
  /** Inside the root; 0 where there is none. */
  readonly epsilon: number;
  /** Where y is xHat·gamma + beta with constants; else what follows y is left to its own nodes. */
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

/** A constant gamma or beta, in the order of the axes that it has a value for. */
export interface Parameter {
  /** The constant that it is as it stands; undefined where it is computed of several, such as 1 + weight. */
  readonly name?: string;
  /** Lengths of the axes that it follows: trailing ones of layers, channels of the others. */
  readonly shape: readonly number[];
  /** Row-major, computed in float64. */
  readonly values: Float64Array;
}

/** An activation that is written out. */
export interface FoundActivation {
  readonly activation: "silu" | "gelu" | "geluTanh";
  readonly graph: Graph;
  readonly x: string;
  readonly y: string;
  readonly nodes: readonly Node[];
}
