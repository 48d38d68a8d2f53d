/** The list of the normalizations, and the search over their pages. Without scripts the list is there by itself. */
import "virtual:report.css";
import "../ui/style.css";
import "./list.css";
import { render } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Result } from "./search.ts";

/** How long someone has stopped typing before the number of results is said, in milliseconds. */
const PAUSE = 700;
/** Of the names that a normalization has elsewhere, as many as a result shows. */
const NAMES = 3;

let loading: Promise<(query: string) => Result[]> | undefined;

/** What finds, with the index, loaded when it is first asked. */
function load(): Promise<(query: string) => Result[]> {
  loading ??= Promise.all([import("minisearch"), import("virtual:search"), import("./search.ts")]).then(
    ([{ default: Search }, { default: json }, { SEARCH, find }]) => {
      const index = Search.loadJSON(json, SEARCH);
      return (query) => find(index, query);
    },
  );
  return loading;
}

const queryOf = (): string => new URLSearchParams(location.hash.slice(1)).get("q") ?? "";
function keep(query: string): void {
  const { pathname, search } = location;
  const hash = query.trim() === "" ? "" : `#${new URLSearchParams({ q: query })}`;
  history.replaceState(null, "", pathname + search + hash);
}

function saying(query: string, { length }: Result[]): string {
  if (length === 0) return `Nothing is found for “${query}”.`;
  return `${length} ${length === 1 ? "normalization" : "normalizations"} for “${query}”.`;
}

function Search({ list }: { list: HTMLElement }) {
  const [query, setQuery] = useState(queryOf);
  const [results, setResults] = useState<Result[] | undefined>(undefined);
  const [said, setSaid] = useState("");
  const input = useRef<HTMLInputElement>(null);
  const items = useRef<HTMLOListElement>(null);
  const asked = query.trim();

  useEffect(() => {
    const follow = () => setQuery(queryOf());
    addEventListener("hashchange", follow);
    return () => removeEventListener("hashchange", follow);
  }, []);

  useEffect(() => {
    list.hidden = asked !== "";
    if (asked === "") {
      setResults(undefined);
      setSaid("");
      return;
    }
    let current = true;
    let timer = 0;
    load().then((find) => {
      if (!current) return;
      const found = find(asked);
      setResults(found);
      timer = window.setTimeout(() => setSaid(saying(asked, found)), PAUSE);
    });
    return () => {
      current = false;
      clearTimeout(timer);
    };
  }, [asked, list]);

  const change = (text: string) => {
    setQuery(text);
    keep(text);
  };
  const links = () => [...(items.current?.querySelectorAll("a") ?? [])];
  /** Between the field, which is before the first, and the results. */
  const move = (event: KeyboardEvent) => {
    const { key } = event;
    const all = links();
    const at = all.indexOf(document.activeElement as HTMLAnchorElement);
    if (key === "ArrowDown") all[at + 1]?.focus();
    else if (key === "ArrowUp" && at >= 0) (all[at - 1] ?? input.current)?.focus();
    else if (key === "Escape" && query !== "") {
      change("");
      input.current?.focus();
    } else if (key === "Enter" && event.target === input.current) all[0]?.click();
    else return;
    event.preventDefault();
  };

  return (
    <search onKeyDown={move}>
      <label for="query">Search by name, paper, or what other frameworks call it</label>
      <input
        id="query"
        ref={input}
        type="search"
        value={query}
        autocomplete="off"
        spellcheck={false}
        placeholder="nn.GroupNorm, AdaLN, small batches"
        aria-describedby="query-keys"
        onFocus={() => void load()}
        onInput={({ currentTarget }) => change(currentTarget.value)}
      />
      <p id="query-keys" class="note">
        Down goes to the results, Enter opens the first, Escape clears.
      </p>
      <p class="unseen" role="status">
        {said}
      </p>
      {asked !== "" && results && (
        <p class="count" aria-hidden="true">
          {saying(asked, results)}
        </p>
      )}
      {asked !== "" && results && results.length > 0 && (
        <ol ref={items} class="list found">
          {results.map(({ name, title, summary, matched }) => (
            <li key={name}>
              <a href={`./${name}/index.html`}>{title}</a> <span>{summary}</span>
              {matched.length > 0 && (
                <small>
                  {matched.slice(0, NAMES).join(", ")}
                  {matched.length > NAMES && `, and ${matched.length - NAMES} more`}
                </small>
              )}
            </li>
          ))}
        </ol>
      )}
    </search>
  );
}

const list = document.getElementById("list") as HTMLElement;
render(<Search list={list} />, document.getElementById("search") as HTMLElement);
