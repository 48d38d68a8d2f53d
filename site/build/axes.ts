/** Pictures of docs/norms/axes in a page: in its colours, and with their legend as text, which phones can read. */

/** Beyond the last cell, in the picture's units. */
const MARGIN = 6;
const CELL = 22;

interface Mark {
  element: string;
  x: number;
  y: number;
  cell: boolean;
}

/** What one element of y depends on, in words. */
export const saidBy = (svg: string): string => /<desc[^>]*>([^<]*)</.exec(svg)?.[1] ?? "";

/** @param svg as scripts/docs/axes.mjs draws it: cells and their labels above, lines of a legend below */
export function axesHtml(svg: string, name: string): string {
  const marks = [...svg.matchAll(/^<(?:rect|text) x="(\d+)" y="(\d+)"( width="22")?.*$/gm)].map(
    ([element, x, y, cell]): Mark => ({ element, x: Number(x), y: Number(y), cell: cell !== undefined }),
  );
  const cells = marks.filter(({ cell }) => cell);
  const width = Math.max(...cells.map(({ x }) => x)) + CELL + MARGIN;
  const height = Math.max(...cells.map(({ y }) => y)) + CELL + MARGIN;
  const inColour = (text: string) => text.replaceAll("#767c85", "currentColor");
  const drawn = marks.filter(({ y }) => y < height).map(({ element }) => inColour(element));
  const legend: string[] = [];
  let swatch = "";
  for (const { element } of marks.filter(({ y }) => y > height)) {
    const words = /<text[^>]*>([^<]*)</.exec(element)?.[1];
    if (words === undefined) swatch = inColour(element.replace(/ x="\d+" y="\d+"/, ' x="1" y="1"'));
    else {
      const key = swatch && `<svg width="18" height="18" aria-hidden="true">${swatch}</svg>`;
      legend.push(`<li>${key}${words}</li>`);
      swatch = "";
    }
  }
  return `<figure class="axes-of"><div class="scroll" role="region" tabindex="0" aria-label="${name}"><svg viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${saidBy(svg)}" font-size="14">${drawn.join("")}</svg></div>
<figcaption><ul>${legend.join("")}</ul></figcaption></figure>`;
}
