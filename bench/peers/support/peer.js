import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const ROOT = new URL("../", import.meta.url);

/** What runs the servers. */
export const NODE = process.execPath;
export const BUN = fileURLToPath(new URL("node_modules/.bin/bun", ROOT));

/** A running server, as a process of its own. */
export class Peer {
  #process;

  /** Everything that it printed, line by line. */
  #lines;

  /**
   * @param {import("node:child_process").ChildProcessByStdio<null, import("node:stream").Readable, null>} process
   * @param {string[]} lines
   */
  constructor(process, lines) {
    this.#process = process;
    this.#lines = lines;
  }

  /**
   * Starts a server; resolves when it listens.
   *
   * @param {string} runtime
   * @param {string} script
   */
  static async start(runtime, script) {
    const child = spawn(runtime, [script], { cwd: fileURLToPath(ROOT), stdio: ["ignore", "pipe", "inherit"] });
    /** @type {string[]} */
    const lines = [];
    const output = createInterface({ input: child.stdout }).on("line", (line) => lines.push(line));
    const ended = once(child, "exit").then(([code]) => {
      throw new Error(`the server ended with ${code} before it listened`);
    });
    await Promise.race([once(output, "line"), ended]);
    ended.catch(() => {});
    return new Peer(child, lines);
  }

  get url() {
    return `http://${/^listening on (127\.0\.0\.1:\d+)$/.exec(this.#lines[0] ?? "")?.[1]}`;
  }

  /** Asks the process to end; resolves with the signal that ended it, and what it printed. */
  async stop() {
    const ended = once(this.#process, "close");
    this.#process.kill("SIGTERM");
    const [, signal] = await ended;
    return { signal, lines: this.#lines };
  }
}
