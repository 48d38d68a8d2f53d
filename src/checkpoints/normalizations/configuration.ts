/**
 * What a configuration beside the weights (Hugging Face's config.json) says of normalizations that are known by their names: epsilon, groups,
 * and what the code of its model does, which stands in no file (transformers 4.57, `models/<model_type>/modeling_*.py`).
 */
import { catalog } from "../../norms/catalog.js";
import { isObject, type JSONObject } from "../encodings/json.js";
import { type Kind, storedMinusOne } from "./classes.js";
import { numeral } from "./normalization.js";

/** What is read of a normalization's configuration. */
export interface Configured {
  /** Undefined for one that the catalog does not have. */
  readonly kind: Kind | undefined;
  readonly options: Readonly<Record<string, unknown>>;
  readonly lines: readonly string[];
}

const LAYER = ["layer_norm_eps", "layer_norm_epsilon", "layernorm_epsilon", "norm_eps", "norm_epsilon"];

/** Options by their names in a configuration; the first that it has. */
const OPTIONS: readonly (readonly [Kind, option: string, names: readonly string[]])[] = [
  ["rmsNorm", "epsilon", ["rms_norm_eps", ...LAYER]],
  ["layerNorm", "epsilon", [...LAYER, "rms_norm_eps"]],
  ["batchNorm", "epsilon", ["batch_norm_eps", "batch_norm_epsilon"]],
  ["groupNorm", "groups", ["norm_num_groups"]],
];

/** Letters of a model's type; a longer one is of none. */
const MOST_TYPE = 64;

function typeOf({ model_type: type }: JSONObject): string {
  return typeof type === "string" && type.length <= MOST_TYPE ? type : "";
}

const model = (types: RegExp) => (settings: JSONObject) => types.test(typeOf(settings));

/** Which models' normalizations are another than they seem, or have options that the configuration does not say. */
const MODELS: readonly {
  readonly models: (settings: JSONObject) => boolean;
  readonly seems: Kind;
  readonly named?: RegExp;
  readonly is: { readonly kind?: Kind | null; readonly options?: Readonly<Record<string, unknown>> };
}[] = [
  { models: model(/gemma[23]?(_[a-z]+)?$/), seems: "rmsNorm", is: { options: { offset: 1 } } },
  {
    models: model(/^qwen3_next$/),
    seems: "rmsNorm",
    named: /^(?!.*linear_attn\.norm$)/,
    is: { options: { offset: 1 } },
  },
  { models: model(/^nemotron$/), seems: "layerNorm", is: { options: { offset: 1 } } },
  {
    models: model(/^(cohere2?(_[a-z]+)?|modernbert.*|mpt|dbrx|moonshine)$/),
    seems: "rmsNorm",
    is: { kind: "layerNorm" },
  },
  { models: model(/^distilbert$/), seems: "layerNorm", is: { options: { epsilon: 1e-12 } } },
  { models: model(/^(segformer|perceiver)$/), seems: "layerNorm", is: { options: { epsilon: 1e-5 } } },
  {
    models: model(/^convnext(v2)?$/),
    seems: "layerNorm",
    named: /(^|\.)(embeddings\.layernorm|downsampling_layer\.0)$/,
    is: { options: { axis: 1, epsilon: 1e-6 } },
  },
  {
    models: model(/^convnext(v2)?$/),
    seems: "layerNorm",
    named: /(^|\.)stages\./,
    is: { options: { epsilon: 1e-6 } },
  },
  {
    models: model(/^squeezebert$/),
    seems: "layerNorm",
    named: /\.layernorm$/,
    is: { options: { axis: 1, epsilon: 1e-12 } },
  },
  { models: model(/^mobilenet_v[12]$/), seems: "batchNorm", is: { options: { epsilon: 1e-3 } } },
  // one group per channel
  {
    models: ({ feat_extract_norm }) => feat_extract_norm === "group",
    seems: "layerNorm",
    named: /(^|\.)conv_layers\.0\.layer_norm$/,
    is: { kind: "instanceNorm", options: { axis: 1, epsilon: 1e-5 } },
  },
  // MobileBERT's: a factor and a term per feature, and nothing is normalized
  {
    models: ({ normalization_type }) => normalization_type === "no_norm",
    seems: "layerNorm",
    named: /^(?!cls\.)/,
    is: { kind: null },
  },
];

/** @param part the configuration of the model in which it stands @param kind what the names of its tensors say */
export function configured(part: JSONObject, name: string, kind: Kind): Configured {
  const type = typeOf(part);
  const own = MODELS.find(
    ({ models, seems, named }) => seems === kind && models(part) && (named?.test(name) ?? true),
  )?.is;
  if (own?.kind === null) return { kind: undefined, options: {}, lines: [] };
  const by = `by model_type ${type} of config.json`;
  const is = own?.kind ?? kind;
  const options: Record<string, unknown> = {};
  const lines: string[] = [];
  if (own?.kind !== undefined) lines.push(`${catalog[is].about.title.toLowerCase()} ${by}`);
  for (const [of, option, names] of OPTIONS) {
    const found = of === is && names.find((one) => typeof part[one] === "number");
    if (!found || own?.options?.[option] !== undefined) continue;
    options[option] = part[found];
    lines.push(`${option} ${numeral(part[found] as number)} by ${found} of config.json`);
  }
  for (const [option, value] of Object.entries(own?.options ?? {})) {
    options[option] = value;
    lines.push(
      option === "offset"
        ? storedMinusOne(is, `model_type ${type}`)
        : `${option} ${numeral(value as number)} ${by}`,
    );
  }
  if (is === "rmsNorm" && type === "") {
    lines.push(
      "whether gamma is stored minus 1, as Gemma's is, is not in the file: read as it is; offset: 1 if so",
    );
  }
  return { kind: is, options, lines };
}

/** Names of layers by those of their part's configuration. */
const PARTS: readonly (readonly [config: string, place: RegExp])[] = [
  ["text_config", /(^|\.)(text_|language_model)/],
  ["vision_config", /(^|\.)vis(ion|ual)/],
  ["audio_config", /(^|\.)audio/],
  ["encoder", /(^|\.)encoder\./],
  ["decoder", /(^|\.)decoder\./],
];

/** Of a model of several models (CLIP, LLaVA), the configuration of that in which a layer stands. */
export function partFor(name: string, settings: JSONObject): JSONObject {
  const found = PARTS.find(([config, place]) => isObject(settings[config]) && place.test(name));
  return found === undefined
    ? settings
    : { model_type: settings.model_type, ...(settings[found[0]] as JSONObject) };
}
