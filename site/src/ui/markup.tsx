/** HTML that the lab made (figures, tables), in a page that goes on: what its reader opened or scrolled stays as it was. */
import { useLayoutEffect, useRef } from "preact/hooks";

/** @param html ours, or escaped; @param className of the element that holds it */
export function Markup({ html, class: className }: { html: string; class?: string }) {
  const host = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    const element = host.current;
    if (element === null) return;
    waiting.set(element, html);
    next();
    return () => {
      waiting.delete(element);
    };
  }, [html]);
  return <div class={className} ref={host} />;
}

/** What is yet to be shown, and where: one of them a frame, so that no frame is long. */
const waiting = new Map<HTMLElement, string>();
let isAsked = false;

function next(): void {
  if (isAsked) return;
  isAsked = true;
  requestAnimationFrame(() => {
    isAsked = false;
    const [first] = waiting;
    if (first === undefined) return;
    const [element, html] = first;
    waiting.delete(element);
    replace(element, html);
    if (waiting.size > 0) next();
  });
}

/** Places of an element's own that a new text does not have: open details, scrolled regions, and what has the focus. */
function replace(host: HTMLElement, html: string): void {
  const opened = [...host.querySelectorAll("details")].map(({ open }) => open);
  const scrolled = [...host.querySelectorAll(".scroll")].map(({ scrollLeft, scrollTop }) => ({
    scrollLeft,
    scrollTop,
  }));
  const focusable = () => [...host.querySelectorAll<HTMLElement>("summary, [tabindex], a, button, input")];
  const focused = host.contains(document.activeElement)
    ? focusable().indexOf(document.activeElement as HTMLElement)
    : -1;
  host.innerHTML = html;
  for (const [i, each] of host.querySelectorAll("details").entries()) each.open = opened[i] ?? false;
  for (const [i, each] of host.querySelectorAll(".scroll").entries()) Object.assign(each, scrolled[i]);
  if (focused >= 0) focusable()[focused]?.focus({ preventScroll: true });
}
