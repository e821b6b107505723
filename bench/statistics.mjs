// Summaries of measured values.

/**
 * Median and quartiles: the spread of the rounds.
 *
 * @typedef {{ median: number, from: number, to: number }} Summary
 */

/**
 * The value below which the given share of the values lies.
 *
 * @param {number[]} values
 * @param {number} share
 */
export function quantile(values, share) {
  const sorted = [...values].sort((one, other) => one - other);
  const at = (sorted.length - 1) * share;
  const [below, above] = [sorted[Math.floor(at)], sorted[Math.ceil(at)]];
  return below + (above - below) * (at - Math.floor(at));
}

/** @param {number[]} values */
export const median = (values) => quantile(values, 0.5);

/**
 * @param {number[]} values
 * @returns {Summary}
 */
export const summary = (values) => ({
  median: rounded(median(values)),
  from: rounded(quantile(values, 0.25)),
  to: rounded(quantile(values, 0.75)),
});

/** @param {number} value */
const rounded = (value) => Number(value.toPrecision(5));
