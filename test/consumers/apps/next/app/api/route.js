import { check } from "../../../page/check.js";

export const dynamic = "force-dynamic";

/** Runs the check in the server. */
export const GET = async () => Response.json(await check({ threads: 2 }));
