/**
 * A process that stands for a machine: threads that train, and a relay to the other machines over Redis. Takes its settings as JSON;
 * writes "step" after the first one, and what each thread has at the end as JSON.
 */
import { Worker } from "node:worker_threads";
import { redisExchange, relay, sharedMemory } from "evenkeel/replicas";
import { Redis } from "ioredis";

/** `threads`: of each machine. */
const { url, run, machine, threads, timeout, ...settings } = JSON.parse(process.argv[2]);
/** @param {number[]} counts */
const sum = (counts) => counts.reduce((a, b) => a + b, 0);

const redis = new Redis(url, { maxRetriesPerRequest: null });
redis.on("error", () => {});
const memory = sharedMemory({ replicas: threads[machine], relay: true, bytes: 4096 });
const exchange = redisExchange((command, ...args) => redis.callBuffer(command, ...args), {
  run,
  rank: machine,
  replicas: threads.length,
  timeout,
});
const end = new AbortController();
const relayed = relay(memory, exchange, { signal: end.signal }).catch(({ message }) => message);
let told = false;
const trained = Array.from({ length: threads[machine] }, (_, local) => {
  const workerData = {
    ...settings,
    memory,
    local,
    rank: sum(threads.slice(0, machine)) + local,
    replicas: sum(threads),
  };
  const worker = new Worker(new URL("replica.mjs", import.meta.url), { workerData });
  return new Promise((resolve) => {
    worker.on("message", (message) => {
      if (!("step" in message)) resolve(message);
      else if (!told) {
        told = true;
        console.log("step");
      }
    });
  });
});
const ended = await Promise.all(trained);
end.abort();
console.log(JSON.stringify({ ended, relayed: await relayed }));
process.exit();
