import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

/** Socket.IO's DISCONNECT as the WebSocket frame of a server. */
const DISCONNECT = Buffer.from([0x81, 2, ...Buffer.from("41")]);

/** Stands between a client and a server, and closes connections over WebSocket as that server would. */
export class Proxy {
  #client: Socket | undefined;

  private constructor(private readonly server: Server) {}

  /** Listens on a free port for what is meant for the server at `url`. */
  static async start(url: string): Promise<Proxy> {
    const server = createServer();
    const proxy = new Proxy(server);
    server.on("connection", (client) => {
      const upstream = connect(Number(new URL(url).port), "127.0.0.1");
      client.pipe(upstream).pipe(client);
      client.on("error", () => upstream.destroy());
      upstream.on("error", () => client.destroy());
      proxy.#client = client;
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** Tells the latest client, in the server's name, that it is disconnected. */
  disconnect(): void {
    this.#client!.write(DISCONNECT);
  }

  stop(): void {
    this.server.close();
  }
}
