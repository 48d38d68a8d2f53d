/**
 * What a sweep's commander and its workers meet at, by a URL: a queue of BullMQ in Redis or PostgreSQL, and beside it the data that
 * trials need. Everything here is at-least-once: a trial may run twice, and is known by its key.
 */
import { Socket } from "node:net";
import { setTimeout as wait } from "node:timers/promises";
import { deflateRawSync, inflateRawSync } from "node:zlib";
import { printable } from "@evenkeel/report/format";
import {
  type ConnectionOptions,
  createPostgresBackend,
  type Processor,
  Queue,
  QueueEvents,
  type QueueOptions,
  type RedisOptions,
  Worker,
  type WorkerOptions,
} from "bullmq";
import { Redis } from "ioredis";
import pg from "pg";
import { FailureError, reason } from "../../errors.js";
import { FORMAT, type Trial } from "../../results.js";
import type { TravellingSpec } from "../../trial.js";
import { sealed, unsealed } from "../store.js";
import { version } from "../version.js";
import { type Depot, folderDepot, postgresDepot, redisDepot } from "./depot.js";
import { parsedUrl, shownUrl } from "./url.js";

/** What is on the queue, under the key of its trial. */
export interface TrialJob {
  spec: TravellingSpec;
  /** Its commander wants it no more. */
  cancelled?: boolean;
}

/** Results are packed. */
export type TrialQueue = Queue<TrialJob, string>;
type TrialWorker = Worker<TrialJob, string>;

/** A result as it lies on the queue: a third of its size, and whole to the order of its fields, which PostgreSQL would change. */
export const packedTrial = (key: string, trial: Trial): string =>
  deflateRawSync(JSON.stringify(sealed<Result>({ key, trial }))).toString("base64");

/** Undefined where it is no result of this trial. */
export function unpackedTrial(key: string, packed: unknown): Trial | undefined {
  try {
    const text = inflateRawSync(Buffer.from(packed as string, "base64")).toString("utf8");
    const result = unsealed<Result>(text);
    return result?.key === key ? result.trial : undefined;
  } catch {
    return undefined;
  }
}

interface Result {
  key: string;
  trial: Trial;
}

export interface Broker {
  /** Its URL without a password. */
  readonly shown: string;
  readonly depot: Depot;
  queue(): TrialQueue;
  events(): QueueEvents;
  worker(
    run: Processor<TrialJob, string>,
    options: Pick<
      WorkerOptions,
      "name" | "concurrency" | "lockDuration" | "stalledInterval" | "maxStalledCount"
    >,
  ): TrialWorker;
  /** Of everything that was opened here. */
  close(): Promise<void>;
}

/** Numbers of one version are those of every worker of it, so that each has a queue of its own. */
const NAME = `trials-${version}-${FORMAT}`;
/** Of keys in Redis, and of the schema in PostgreSQL. */
const PREFIX = "evenkeel";
/** ms in which a service that is there answers. */
const ANSWERS = 5000;
/** ms in which connections are closed, before they are cut. */
const GOODBYE = 2000;
/** ms between two attempts to reach it again. */
const LONGEST_WAIT = 1000;
/** ms without an answer after which a connection counts as cut: packets that are dropped say nothing. */
const SILENCE = 4000;
/**
 * ms for which events and jobs are waited for at a time. BullMQ gives such a wait up a second after that, after which ioredis does not
 * come back: its own limit has to be between the two.
 */
const BLOCKING = 2000;
const BLOCKING_SILENCE = BLOCKING + 500;
/** What was told to a worker whose connection was cut then is lost: it looks again soon, and tries again soon. */
const WORKER = { drainDelay: BLOCKING / 1000, runRetryDelay: LONGEST_WAIT / 2 };

/**
 * Opens it once it answers.
 * @param awaited one that does not answer yet is waited for, until this aborts; without it, it has to answer now
 * @param share a folder that every machine sees, for data that are not to go through the service
 * @param log told of a connection that is lost, and found again
 * @throws UsageError for what is no such URL, FailureError where nothing answers, or what does refuses
 */
export async function openBroker(
  url: string,
  { share, log, awaited }: { share?: string; log(line: string): void; awaited?: AbortSignal },
): Promise<Broker> {
  const parsed = parsedUrl(url);
  const shown = shownUrl(parsed);
  const outage = new Outage(shown, log);
  const service = (parsed.protocol.startsWith("redis") ? redis : postgres)(url, outage);
  const { base, blocking, backend } = service;
  const end = async () => {
    outage.end();
    await service.end();
  };
  outage.ask = service.ask;
  try {
    await answered(service.ask()).catch((error: Error) => {
      if (awaited === undefined || !isOfConnection(error)) throw error;
      outage.failed(error);
      return outage.over(awaited);
    });
  } catch (error) {
    await end();
    const why = described(error as Error);
    throw new FailureError(
      isOfConnection(error as Error)
        ? `--queue: ${shown} does not answer (${why}); start it, or name the one that runs`
        : `--queue: ${shown} cannot be used (${why}); correct the URL, or allow it there`,
    );
  }
  const opened: Watched[] = [];
  const watched = <T extends Watched>(one: T): T => {
    one.on("error", outage.failed);
    opened.push(one);
    return one;
  };
  const depot = share === undefined ? service.depot : folderDepot(share);
  // the classes are typed by their service
  const factory = backend as undefined;
  return {
    shown,
    depot,
    queue: () => watched(new Queue(NAME, base, factory) as TrialQueue),
    events: () => watched(new QueueEvents(NAME, { ...blocking, blockingTimeout: BLOCKING }, factory)),
    worker: (run, about) => watched(new Worker(NAME, run, { ...blocking, ...WORKER, ...about }, factory)),
    async close() {
      outage.end();
      const closed = async () => {
        await Promise.all(opened.map((one) => one.close()));
        await depot.close();
        await service.end();
      };
      // where the service is away, or the way to it is cut, a goodbye waits for an answer, or fails
      await inTime(closed(), GOODBYE).catch(() => {});
      // a connection that was about to be made again is not known to those that were closed
      service.cut();
    },
  };
}

/** Whether it is done in so many ms; what it fails with later is nobody's business. */
export async function inTime(work: Promise<unknown>, ms: number): Promise<boolean> {
  const late = new AbortController();
  const timeout = wait(ms, false, { signal: late.signal });
  timeout.catch(() => {});
  try {
    return await Promise.race([work.then(() => true), timeout]);
  } finally {
    work.catch(() => {});
    late.abort();
  }
}

/** What BullMQ opens. */
interface Watched {
  on(event: "error", listener: (error: Error) => void): unknown;
  close(): Promise<void>;
}

/** Rejects where there is no answer in time. */
async function answered(answer: Promise<unknown>): Promise<void> {
  if (!(await inTime(answer, ANSWERS))) throw new Error(`no answer in ${ANSWERS / 1000} s`);
}

/** Tells once of a service that does not answer, and once when it does again. */
class Outage {
  #since: number | undefined;
  #over = false;
  #answers: Promise<void> = Promise.resolve();
  /** Resolves once it has answered. */
  ask: () => Promise<unknown> = async () => {};

  constructor(
    private readonly shown: string,
    private readonly log: (line: string) => void,
  ) {}

  /** Takes what is emitted as an error: where a connection is lost or tried again, and where a lock is lost. */
  readonly failed = (error: Error): void => {
    if (this.#over || this.#since !== undefined) return;
    if (!isOfConnection(error)) {
      this.log(reason(error));
      return;
    }
    this.#since = performance.now();
    this.log(`${this.shown} does not answer (${described(error)}); trying again until it does`);
    this.#answers = this.#answered();
  };

  /** Resolves once it answers; rejects where it is given up. */
  async over(signal: AbortSignal): Promise<void> {
    const stopped = new Promise<never>((_, reject) => {
      signal.addEventListener("abort", () => reject(new Error("stopped before it answered")), { once: true });
    });
    await Promise.race([this.#answers, stopped]);
  }

  /** From here on nothing is lost that is wanted. */
  end(): void {
    this.#over = true;
  }

  async #answered(): Promise<void> {
    while (!this.#over) {
      await wait(LONGEST_WAIT / 4, undefined, { ref: false });
      try {
        await answered(this.ask());
        break;
      } catch {
        // it does not yet
      }
    }
    if (!this.#over) {
      const seconds = Math.round((performance.now() - (this.#since ?? 0)) / 1000);
      this.log(`${this.shown} answers again, after ${seconds} s`);
    }
    this.#since = undefined;
  }
}

const CONNECTION =
  /^(?:E[A-Z]+$|57P0|08)|connect|closed|socket|no answer|stopped before|timed? ?out|terminat|READONLY|LOADING|ECONN|EPIPE|ENOTFOUND/i;

/** Whether an error is one of the way to the service, and not of what was asked. */
export const isOfConnection = ({ code = "", message }: { code?: string; message: string }): boolean =>
  CONNECTION.test(code) || CONNECTION.test(message);

const described = (error: Error & { code?: string; errors?: Error[] }): string =>
  // of several addresses of a name each has its own
  printable(error.message || error.code || (error.errors?.[0] && described(error.errors[0])) || error.name);

/** What differs between the services. */
interface Service {
  /** What each class of BullMQ is opened with. */
  base: QueueOptions;
  /** Of BullMQ; undefined is Redis. */
  backend: typeof createPostgresBackend | undefined;
  /** What those that wait for events and jobs are opened with instead. */
  blocking: QueueOptions;
  depot: Depot;
  /** Resolves once it has answered that it can be used; rejects where it refuses. */
  ask(): Promise<unknown>;
  end(): Promise<unknown>;
  /** Connections that do not end by themselves end within `SILENCE`. */
  cut(): void;
}

function redis(url: string, outage: Outage): Service {
  let isCut = false;
  const options: RedisOptions = {
    // commands wait for as long as the service is away
    maxRetriesPerRequest: null,
    retryStrategy: (times) => (isCut ? null : Math.min(100 * 2 ** Math.min(times, 5), LONGEST_WAIT)),
    connectTimeout: ANSWERS,
    socketTimeout: SILENCE,
    keepAlive: ANSWERS,
  };
  const client = new Redis(url, options);
  client.on("error", outage.failed);
  const connection = { url, ...options };
  return {
    base: { connection, prefix: PREFIX },
    blocking: { connection: { ...connection, socketTimeout: BLOCKING_SILENCE }, prefix: PREFIX },
    backend: undefined,
    depot: redisDepot(client, PREFIX),
    // of a database that is not there ioredis only tells, and uses the first
    ask: () => client.select(client.options.db ?? 0),
    end: async () => client.disconnect(),
    cut() {
      isCut = true;
      client.disconnect();
    },
  };
}

function postgres(url: string, outage: Outage): Service {
  const sockets = new Set<Socket>();
  const settings = {
    connectionString: url,
    stream: () => {
      const socket = new Socket();
      sockets.add(socket.once("close", () => sockets.delete(socket)));
      return socket;
    },
    connectionTimeoutMillis: ANSWERS,
    query_timeout: ANSWERS,
    keepAlive: true,
    keepAliveInitialDelayMillis: ANSWERS,
  };
  const pool = new pg.Pool({ ...settings, max: 2 });
  pool.on("error", outage.failed);
  const connection = { ...settings, schema: PREFIX, migrate: true } as ConnectionOptions;
  return {
    base: { connection },
    blocking: { connection },
    backend: createPostgresBackend,
    depot: postgresDepot(pool, PREFIX),
    async ask() {
      const { rows } = await pool.query(
        "SELECT has_database_privilege(current_database(), 'CREATE') AS allowed",
      );
      if (!rows[0].allowed) throw new Error("its user has no right to CREATE in this database");
    },
    end: () => pool.end(),
    cut() {
      for (const socket of sockets) socket.destroy();
    },
  };
}
