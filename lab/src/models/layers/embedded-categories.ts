/**
 * Features of which some are numbers of categories: [batch, inputs] to [batch, outputs], the other features first, then a
 * learned vector for each category (Guo & Berkhahn 2016, arXiv 1604.06737).
 */
import * as tf from "@tensorflow/tfjs-core";
import { initializers, type LayerVariable, layers } from "@tensorflow/tfjs-layers";
import type { Category } from "../../data/form.js";

type Config = ConstructorParameters<typeof layers.Layer>[0];

export interface EmbeddedCategoriesArgs extends Exclude<Config, undefined> {
  categories: readonly Category[];
  seed?: number;
}

/** Numbers of a vector: as many categories need, by fastai's rule of thumb. */
const vectorSize = (levels: number): number => Math.min(50, Math.round(1.6 * levels ** 0.56));

/** From one layer's seed to those of its tables: the next numbers are the seeds of other layers. */
const SEEDS = 10_000;

export class EmbeddedCategories extends layers.Layer {
  static readonly className: string = "EmbeddedCategories";
  private readonly categories: readonly Category[];
  private readonly seed: number;
  private tables: LayerVariable[] = [];

  constructor({ categories, seed = 0, ...args }: EmbeddedCategoriesArgs) {
    super(args);
    this.categories = categories;
    this.seed = seed;
  }

  override build(shape: (number | null)[]): void {
    this.tables = this.categories.map(({ levels }, index) =>
      this.addWeight(
        `table${index}`,
        [levels, vectorSize(levels)],
        "float32",
        // one in place of one of n inputs of 0 or 1: a unit's inputs keep their spread
        initializers.randomNormal({
          mean: 0,
          stddev: vectorSize(levels) ** -0.5,
          seed: this.seed * SEEDS + index,
        }),
      ),
    );
    super.build(shape as number[]);
  }

  override computeOutputShape(shape: (number | null)[]): (number | null)[] {
    const [batch, inputs] = shape;
    const sizes = this.categories.reduce((sum, { levels }) => sum + vectorSize(levels) - 1, 0);
    return [batch, (inputs ?? 0) + sizes];
  }

  override call(inputs: tf.Tensor | tf.Tensor[]): tf.Tensor {
    return tf.tidy(() => {
      const [x] = [inputs].flat();
      const coded = new Set(this.categories.map(({ at }) => at));
      const others = Array.from({ length: x.shape[1] ?? 0 }, (_, at) => at).filter((at) => !coded.has(at));
      const vectors = this.categories.map(({ at }, index) =>
        tf.gather(
          this.tables[index].read(),
          tf.cast(tf.reshape(tf.slice(x, [0, at], [-1, 1]), [-1]), "int32"),
        ),
      );
      const numbers = others.length > 0 ? [tf.gather(x, tf.tensor1d(others, "int32"), 1)] : [];
      return tf.concat([...numbers, ...vectors], 1);
    });
  }

  override getConfig(): tf.serialization.ConfigDict {
    return {
      ...super.getConfig(),
      categories: this.categories.map(({ at, levels }) => ({ at, levels })),
      seed: this.seed,
    };
  }
}
tf.serialization.registerClass(EmbeddedCategories);
