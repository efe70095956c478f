import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { announced } from "../../dialogue-client/typescript/tests/support/announced.js";
import { ended } from "../../dialogue-client/typescript/tests/support/ended.js";

const PAGE = join(import.meta.dirname, "../../examples/react-chat");

/** The page of `examples/react-chat`, as Vite serves it to whoever develops it: with React's StrictMode at work. */
export class ViteServer {
  private constructor(
    private readonly process: ChildProcess,
    readonly url: string,
  ) {}

  /** Starts it on a free port before a chat server; resolves when it listens. */
  static async start(server: string): Promise<ViteServer> {
    const env = { ...process.env, SERVER: server, NO_COLOR: "1" };
    const vite = spawn(process.execPath, ["node_modules/vite/bin/vite.js", "--host=127.0.0.1", "--port=0"], {
      cwd: PAGE,
      env,
      stdio: ["ignore", "pipe", "inherit"],
    });
    const otherwise = "Vite ended before it listened: `npm run client && npm ci` in examples/react-chat installs it";
    return new ViteServer(vite, await announced(vite.stdout, /Local:\s+(http:\/\/\S+?)\/$/, otherwise));
  }

  stop(): Promise<void> {
    return ended(this.process, "SIGTERM");
  }
}
