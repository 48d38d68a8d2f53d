/** The URL of a queue: what it may be, and how it is shown. */
import { printable, quote } from "@evenkeel/report/format";
import { UsageError } from "../../errors.js";

const PROTOCOLS = ["redis:", "rediss:", "postgres:", "postgresql:"];

/** @throws UsageError for what is no URL of Redis, whose databases are numbers, or of PostgreSQL */
export function parsedUrl(url: string): URL {
  const expected = "--queue: expected a URL such as redis://host:6379 or postgres://user@host/database, got";
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch {
    throw new UsageError(`${expected} ${quote(withoutPassword(url), 200)}`);
  }
  const isRedis = parsed.protocol.startsWith("redis");
  const isPlace = !isRedis || /^(?:\/\d*)?$/.test(parsed.pathname);
  if (PROTOCOLS.includes(parsed.protocol) && parsed.hostname !== "" && isPlace) return parsed;
  throw new UsageError(`${expected} ${quote(withoutPassword(url), 200)}`);
}

const withoutPassword = (text: string) => text.replace(/(\/\/[^/@]*:)[^/@]*@/, "$1***@");

/** As it may be shown: a password is nobody's business. */
export function shownUrl(url: string | URL): string {
  return printable(withoutPassword(String(url)));
}
