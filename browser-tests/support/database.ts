import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdtemp, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

/** A database of one test. */
export interface Database {
  /** For `DATABASE_URL`. */
  readonly url: string;
  /** Makes it fail whoever opens it from now on. */
  lock(): Promise<void>;
  unlock(): Promise<void>;
  discard(): Promise<void>;
}

/** A file in a folder of its own. */
export async function sqlite(): Promise<Database> {
  const folder = await mkdtemp(join(tmpdir(), "dialogue-"));
  const [file, away] = [join(folder, "chat.db"), join(folder, "away.db")];
  return {
    url: `sqlite:${file}`,
    lock: () => rename(file, away),
    unlock: () => rename(away, file),
    discard: () => rm(folder, { recursive: true, force: true }),
  };
}

/** A database of its own on a PostgreSQL server, which is given by the URL of another one. */
export async function postgres(server: string): Promise<Database> {
  const name = `dialogue_page_${randomUUID().replaceAll("-", "")}`;
  const url = new URL(server);
  url.pathname = name;
  const run = async (sql: string) => {
    await promisify(execFile)("psql", [server, "--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1", `--command=${sql}`]);
  };
  await run(`create database ${name}`);
  return {
    url: url.href,
    lock: async () => {
      await run(`alter database ${name} allow_connections false`);
      await run(`select pg_terminate_backend(pid) from pg_stat_activity where datname = '${name}'`);
    },
    unlock: () => run(`alter database ${name} allow_connections true`),
    discard: () => run(`drop database if exists ${name} with (force)`),
  };
}
