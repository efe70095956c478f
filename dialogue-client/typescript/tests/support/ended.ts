import type { ChildProcess } from "node:child_process";
import { once } from "node:events";

/** Ends a process, at once unless told otherwise; resolves when it has ended. */
export async function ended(process: ChildProcess, signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
  if (process.exitCode !== null || process.signalCode !== null) return;
  const exited = once(process, "exit");
  process.kill(signal);
  await exited;
}
