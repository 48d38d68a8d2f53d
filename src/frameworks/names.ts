/** What other frameworks call options and weights of a normalization. */

/** Options by their name elsewhere: what to write here instead. */
export const optionNames: Readonly<Record<string, string>> = {
  eps: '"epsilon"',
  variance_epsilon: '"epsilon"',
  layer_norm_eps: '"epsilon"',
  rms_norm_eps: '"epsilon"',
  norm_eps: '"epsilon"',
  num_groups: '"groups"',
  numGroups: '"groups"',
  affine: '"scale" and "center" (gamma and beta)',
  elementwise_affine: '"scale" and "center" (gamma and beta)',
  elementwiseAffine: '"scale" and "center" (gamma and beta)',
  use_scale: '"scale"',
  useScale: '"scale"',
  use_bias: '"center"',
  weight: '"scale" (gamma)',
  bias: '"center" (beta)',
  track_running_stats: '"trackRunningStatistics"',
  trackRunningStats: '"trackRunningStatistics"',
  normalized_shape: '"axis", which names the axes instead of their lengths,',
  normalizedShape: '"axis", which names the axes instead of their lengths,',
  dim: '"axis"',
  axes: '"axis"',
  reduction_axes: '"axis"',
  decay: '"momentum" (the weight of the old value)',
  n_power_iterations: '"iterations"',
  power_iterations: '"iterations"',
  powerIterations: '"iterations"',
  virtual_batch_size: '"batchSize"',
  virtualBatchSize: '"batchSize"',
};

/** Parameters and statistics of a call, likewise. */
export const parameterNames: Readonly<Record<string, string>> = {
  weight: '"gamma"',
  scale: '"gamma"',
  bias: '"beta"',
  offset: '"beta"',
  running_mean: '"mean"',
  runningMean: '"mean"',
  moving_mean: '"mean"',
  running_var: '"variance"',
  runningVariance: '"variance"',
  moving_variance: '"variance"',
  var: '"variance"',
};
