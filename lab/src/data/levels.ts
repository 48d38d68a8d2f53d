/** The order of levels: numbers by their size, before texts by their characters. */
export function byLevel(a: string, b: string): number {
  const difference = Number(a) - Number(b);
  if (!Number.isNaN(difference)) return difference;
  const order = Number(Number.isNaN(Number(a))) - Number(Number.isNaN(Number(b)));
  return order !== 0 ? order : a < b ? -1 : 1;
}
