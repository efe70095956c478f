import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const BINARY = process.env.DIALOGUE_CHAT ?? fileURLToPath(new URL("../../../../target/debug/chat", import.meta.url));

/** A running chat server, as a process of its own. */
export class ChatServer {
  private constructor(
    private process: ChildProcess,
    readonly url: string,
  ) {}

  /** Starts the server on a free port; resolves when it listens. */
  static async start(): Promise<ChatServer> {
    const process = launch("0");
    return new ChatServer(process, await listening(process));
  }

  /** Starts a killed server again, on the same port. */
  async restart(): Promise<void> {
    this.process = launch(new URL(this.url).port);
    await listening(this.process);
  }

  /** Ends the process at once, as a crash would. */
  async kill(): Promise<void> {
    const { process } = this;
    if (process.exitCode !== null || process.signalCode !== null) return;
    const exited = once(process, "exit");
    process.kill("SIGKILL");
    await exited;
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

function launch(port: string): ChildProcess {
  return spawn(BINARY, { env: { ...process.env, PORT: port }, stdio: ["ignore", "pipe", "inherit"] });
}

async function listening(server: ChildProcess): Promise<string> {
  const lines = createInterface({ input: server.stdout! });
  const exited = once(server, "exit").then(([code]) => {
    throw new Error(`the chat server ended with ${code} before it listened`);
  });
  const line = (async () => {
    for await (const line of lines) {
      const url = /listening on (http:\/\/\S+)/.exec(line)?.[1];
      if (url) return url;
    }
    throw new Error("the chat server closed its output before it listened");
  })();
  const url = await Promise.race([line, exited]);
  exited.catch(() => {});
  server.stdout!.resume();
  return url;
}
