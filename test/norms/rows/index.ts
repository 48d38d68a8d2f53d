/** All rows, by family. */
import { flows } from "./act.js";
import { adaptive } from "./adaptive.js";
import { attention } from "./attention.js";
import { batches } from "./batch.js";
import { batchLayerRows } from "./batch-layer.js";
import { combined } from "./combine.js";
import { core } from "./core.js";
import { cumulativeRows } from "./cumulative.js";
import { evo } from "./evo.js";
import { features } from "./features.js";
import { gatedRows } from "./gated.js";
import { graphs } from "./graph.js";
import { maps } from "./maps.js";
import { overPositions } from "./positions.js";
import { recurrent } from "./recurrent.js";
import type { Row } from "./row.js";
import { weights } from "./weights.js";
import { whitened } from "./whitening.js";

export type { Row } from "./row.js";

export const rows: Row[] = [
  ...core,
  ...combined,
  ...attention,
  ...batches,
  ...batchLayerRows,
  ...adaptive,
  ...maps,
  ...features,
  ...gatedRows,
  ...weights,
  ...overPositions,
  ...cumulativeRows,
  ...graphs,
  ...evo,
  ...flows,
  ...whitened,
  ...recurrent,
];
