import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { Frames, textFrame } from "./frames.js";

/** What becomes of a text that the server sends over WebSocket: others in its place, or none. */
export type Edit = (text: string) => readonly string[];

/** Changes nothing. */
export const asItIs: Edit = (text) => [text];

interface Link {
  readonly client: Socket;
  readonly upstream: Socket;
}

/** Stands between clients and a server: cuts, delays and stalls connections, and edits what the server says over WebSocket. */
export class Proxy {
  /** How long what the server sends is under way, in milliseconds, from now on. */
  delayMs = 0;
  /** How many bytes of the server a connection passes on in a second, from now on. */
  bytesPerSecond = Infinity;
  /** What becomes of what the server says, from now on. */
  edit = asItIs;
  /** Is called with each new connection, from now on. */
  onLink = () => {};
  /** The transport of the first request of each connection that asks for one, in order. */
  readonly transports: string[] = [];
  readonly #links = new Set<Link>();
  #stalled = false;
  #refusing = false;

  private constructor(
    private readonly server: Server,
    private port: number,
  ) {}

  /** Listens on a free port for what is meant for the server at `url`. */
  static async start(url: string): Promise<Proxy> {
    const server = createServer();
    const proxy = new Proxy(server, Number(new URL(url).port));
    server.on("connection", (client) => proxy.#link(client));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** Leads to another server from now on, and cuts every connection to the one before. */
  leadTo(url: string): void {
    this.port = Number(new URL(url).port);
    this.cut();
  }

  /** Says something over WebSocket to every client, in the server's name. */
  say(text: string): void {
    for (const { client } of this.#links) client.write(textFrame(text));
  }

  /** Tells every client, in the server's name, that it is disconnected. */
  disconnect(): void {
    this.say("41");
  }

  /** Cuts every connection. */
  cut(): void {
    for (const { client, upstream } of this.#links) {
      client.destroy();
      upstream.destroy();
    }
  }

  /** Ends every connection in order, as a server does that has nothing more to say. */
  hangUp(): void {
    for (const { client } of this.#links) client.end();
  }

  /** Cuts every connection, and every new one until {@link admit}. */
  refuse(): void {
    this.#refusing = true;
    this.cut();
  }

  /** Lets new connections through again. */
  admit(): void {
    this.#refusing = false;
  }

  /** Lets nothing through in either direction until {@link flow}, with the connections open. */
  stall(): void {
    this.#stalled = true;
    for (const { client, upstream } of this.#links) {
      client.pause();
      upstream.pause();
    }
  }

  flow(): void {
    this.#stalled = false;
    for (const { client, upstream } of this.#links) {
      client.resume();
      upstream.resume();
    }
  }

  stop(): void {
    this.cut();
    this.server.close();
  }

  #link(client: Socket): void {
    this.onLink();
    if (this.#refusing) return void client.destroy();
    const upstream = connect(this.port, "127.0.0.1");
    const link = { client, upstream };
    this.#links.add(link);
    const end = () => {
      this.#links.delete(link);
      client.destroy();
      upstream.destroy();
    };
    for (const socket of [client, upstream]) socket.on("error", end).on("close", end);
    const frames = new Frames((text) => this.edit(text));
    let sent = Promise.resolve();
    client.once("data", (head: Buffer) => {
      const transport = /[?&]transport=(\w+)/.exec(head.toString("latin1"))?.[1];
      if (transport !== undefined) this.transports.push(transport);
    });
    client.on("data", (chunk) => upstream.write(chunk));
    upstream.on("data", (chunk) => {
      const edited = frames.edit(chunk);
      const { delayMs } = this;
      sent = sent.then(async () => {
        if (delayMs > 0) await new Promise((resolve) => setTimeout(resolve, delayMs));
        if (this.bytesPerSecond === Infinity) return void (client.destroyed || client.write(edited));
        const size = Math.ceil(this.bytesPerSecond / 50);
        for (let at = 0; at < edited.length && !client.destroyed; at += size) {
          await new Promise((resolve) => setTimeout(resolve, 20));
          if (!client.destroyed) client.write(edited.subarray(at, at + size));
        }
      });
    });
    if (this.#stalled) {
      client.pause();
      upstream.pause();
    }
  }
}
