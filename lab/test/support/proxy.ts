/** A network between a client and a server on loopback that can be cut. */
import { createServer, type Socket } from "node:net";
import { afterAll } from "vitest";

export interface Proxy {
  port: number;
  /** The address `url` as it is reached through here. */
  through(url: string): string;
  /**
   * Nothing gets through any more, and nobody is told: what is sent is swallowed, in either direction, and an end of
   * one side not handed on. A connection that was there, or is made, while this lasts never works again, as behind a
   * router that has forgotten it.
   */
  drop(): void;
  /** Like `drop`, but nothing is lost: what is sent meanwhile arrives with `pass`, as TCP sends it again. */
  hold(): void;
  /** Ends every connection at once, with a reset; those made from now on get through. */
  reset(): void;
  /** Connections made from now on, and those held, get through. */
  pass(): void;
  /** Connections that were made so far. */
  readonly connections: number;
  stop(): Promise<void>;
}

/** One connection: the side of the client and that of the server. */
interface Link {
  sides: [Socket, Socket];
  swallowed: boolean;
}

const started = new Set<Proxy>();
afterAll(async () => {
  await Promise.all([...started].map((proxy) => proxy.stop()));
});

/** Stands before the server at `target`, a URL or a port of loopback. */
export async function startProxy(target: string | number): Promise<Proxy> {
  const to = typeof target === "number" ? target : Number(new URL(target).port);
  let state: "pass" | "drop" | "hold" = "pass";
  let connections = 0;
  const links = new Set<Link>();

  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    connections++;
    const upstream = new (client.constructor as typeof Socket)({ allowHalfOpen: true });
    upstream.setNoDelay(true);
    upstream.connect(to, "127.0.0.1");
    const link: Link = { sides: [client, upstream], swallowed: state === "drop" };
    links.add(link);
    if (state === "hold") for (const side of link.sides) side.pause();
    for (const [from, other] of [
      [client, upstream],
      [upstream, client],
    ]) {
      from.on("data", (bytes) => {
        if (link.swallowed || other.destroyed) return;
        if (!other.write(bytes)) {
          from.pause();
          other.once("drain", () => {
            if (state !== "hold") from.resume();
          });
        }
      });
      from.on("end", () => {
        if (!link.swallowed) other.end();
      });
      from.on("error", () => {
        if (!link.swallowed) other.resetAndDestroy();
      });
      from.on("close", () => {
        if (link.sides.every((side) => side.destroyed)) links.delete(link);
      });
    }
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  const { port } = server.address() as { port: number };

  const proxy: Proxy = {
    port,
    through(url) {
      const address = new URL(url);
      address.host = `127.0.0.1:${port}`;
      return address.href;
    },
    drop() {
      state = "drop";
      for (const link of links) {
        link.swallowed = true;
        for (const side of link.sides) side.resume();
      }
    },
    hold() {
      state = "hold";
      for (const { sides } of links) for (const side of sides) side.pause();
    },
    reset() {
      state = "pass";
      for (const { sides } of links) for (const side of sides) side.resetAndDestroy();
    },
    pass() {
      state = "pass";
      for (const { sides } of links) for (const side of sides) side.resume();
    },
    get connections() {
      return connections;
    },
    async stop() {
      started.delete(proxy);
      const closed = new Promise((resolve) => server.close(resolve));
      for (const { sides } of links) for (const side of sides) side.destroy();
      await closed;
    },
  };
  started.add(proxy);
  return proxy;
}
