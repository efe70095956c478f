import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { announced } from "./announced.js";
import { ended } from "./ended.js";

/** Where the programs of the examples are. */
export const BINARIES = process.env.DIALOGUE_EXAMPLES ?? join(import.meta.dirname, "../../../../target/debug");

/** The example to run: `authenticated` takes what `login` makes. */
export type Example = "authenticated" | "chat" | "persistence" | "rooms";

/** What `authenticated` signs its tokens with. */
export const SECRET = "a secret of the tests, long enough";

/** A running example, as a process of its own. */
export class ExampleServer {
  private constructor(
    private readonly example: Example,
    private readonly environment: NodeJS.ProcessEnv,
    private process: ChildProcess,
    readonly url: string,
  ) {}

  /** Starts the server on a free port; resolves when it listens. */
  static async start(example: Example, environment: NodeJS.ProcessEnv = {}): Promise<ExampleServer> {
    const process = launch(example, "0", environment);
    return new ExampleServer(example, environment, process, await listening(process));
  }

  /** Starts a killed server again, on the same port. */
  async restart(): Promise<void> {
    this.process = launch(this.example, new URL(this.url).port, this.environment);
    await listening(this.process);
  }

  /** Ends the process at once, as a crash would. */
  kill(): Promise<void> {
    return ended(this.process);
  }

  /** Asks the process to stop, and waits until it has. */
  stop(): Promise<void> {
    return ended(this.process, "SIGTERM");
  }

  /** Stops the process from running, with its connections open. */
  freeze(): void {
    this.process.kill("SIGSTOP");
  }

  /** Lets a frozen process go on. */
  thaw(): void {
    this.process.kill("SIGCONT");
  }
}

function launch(example: Example, port: string, environment: NodeJS.ProcessEnv): ChildProcess {
  const env = { ...process.env, PORT: port, JWT_SECRET: SECRET, ...environment };
  return spawn(join(BINARIES, example), { env, stdio: ["ignore", "pipe", "inherit"] });
}

async function listening(server: ChildProcess): Promise<string> {
  const exited = once(server, "exit").then(([code]) => {
    throw new Error(`the server ended with ${code} before it listened`);
  });
  const otherwise = "the server closed its output before it listened";
  const url = await Promise.race([announced(server.stdout!, /listening on (http:\/\/\S+)/, otherwise), exited]);
  exited.catch(() => {});
  return url;
}
