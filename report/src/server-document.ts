/** A document for figures that are drawn where there is no browser. */
import { parseHTML } from "linkedom";

export const { document: serverDocument }: { document: Document } = parseHTML(
  "<!doctype html><html><body></body></html>",
);
