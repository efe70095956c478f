import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { ended } from "../../dialogue-client/typescript/tests/support/ended.js";
import { BINARIES } from "../../dialogue-client/typescript/tests/support/example-server.js";

/** `examples/bot`, as a process of its own. */
export class Bot {
  private constructor(private readonly process: ChildProcess) {}

  /** Starts it: it joins the chat at `url` under a name. */
  static start(url: string, name: string): Bot {
    const env = { ...process.env, CHAT: url.replace(/^http/, "ws"), NAME: name };
    return new Bot(spawn(join(BINARIES, "bot"), { env, stdio: ["ignore", "ignore", "inherit"] }));
  }

  /** Stops the process from running, with its connection open. */
  freeze(): void {
    this.process.kill("SIGSTOP");
  }

  /** Lets a frozen process go on. */
  thaw(): void {
    this.process.kill("SIGCONT");
  }

  /** Ends the process. */
  kill(): Promise<void> {
    return ended(this.process);
  }
}
