/** Drawing a figure with Observable Plot, as an SVG string, in a document that the caller has. */
import * as Plot from "@observablehq/plot";

/** A drawing, and what its reader must know beside it (one sentence each). */
export interface Figure {
  svg: string;
  notes: string[];
  /** The same as a table, in HTML. */
  twin?: string;
}

/** Width and height of a figure of lines, in px: a phone shows it without shrinking its text. */
export const LINE_WIDTH = 360;
export const LINE_HEIGHT = 236;

const FONT_SIZE = 12;

export interface Drawing {
  width: number;
  height: number;
  margin: { top: number; right: number; bottom: number; left: number };
  x: Plot.ScaleOptions;
  y: Plot.ScaleOptions;
  color?: Plot.ScaleOptions;
  ariaLabel: string;
  marks: Plot.Markish[];
}

/** An SVG with short coordinates. `document` is the page's, or one of `server-document.ts` where there is no page. */
export function draw({ margin, ...options }: Drawing, document: Document): string {
  const svg = Plot.plot({
    ...options,
    document,
    marginTop: margin.top,
    marginRight: margin.right,
    marginBottom: margin.bottom,
    marginLeft: margin.left,
    style: { fontSize: `${FONT_SIZE}px` },
  });
  svg.setAttribute("role", "img");
  // an image has one label, its own: Plot's names of its parts are for those who look for them here
  for (const part of svg.querySelectorAll("[aria-label]")) {
    part.setAttribute("data-part", part.getAttribute("aria-label") ?? "");
    part.removeAttribute("aria-label");
  }
  // Plot writes 16 digits for every coordinate; a hundredth of a pixel is enough
  return svg.outerHTML.replace(/\d+\.\d{7,}/g, (digits) => String(Number(Number(digits).toFixed(2))));
}
