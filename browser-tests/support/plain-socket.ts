import { io, type Socket } from "socket.io-client";

/** A plain Socket.IO client, as anyone may write one: it knows the protocol's names and nothing else. */
export class PlainSocket {
  /** Everything that came in, in order. */
  readonly received: (readonly [event: string, payload: unknown])[] = [];

  private constructor(private readonly socket: Socket) {
    socket.onAny((event: string, payload: unknown) => this.received.push([event, payload]));
  }

  /** Connects; resolves with the socket and what `dialogue:connected` said. */
  static async connect(
    url: string,
    transport: "websocket" | "polling",
    auth: object = {},
  ): Promise<{ socket: PlainSocket; who: { clientId: string; userId: string } }> {
    const socket = new PlainSocket(
      io(url, { auth, transports: [transport], forceNew: true, reconnection: false, autoConnect: false }),
    );
    const who = socket.next<{ clientId: string; userId: string }>("dialogue:connected");
    const refused = new Promise<never>((_, reject) => socket.socket.once("connect_error", reject));
    socket.socket.connect();
    return { socket, who: await Promise.race([who, refused]) };
  }

  /** Sends a request that is acknowledged; resolves with the acknowledgement. */
  async ask(request: string, ...payload: unknown[]): Promise<Record<string, unknown>> {
    return await this.socket.timeout(5_000).emitWithAck(request, ...payload);
  }

  /** Sends a request that is acknowledged, and hands the acknowledgement to a callback. */
  askInFlight(request: string, payload: unknown, answered: (answer: Record<string, unknown>) => void): void {
    this.socket.emit(request, payload, answered);
  }

  /** Sends a request that is not acknowledged. */
  tell(request: string, ...payload: unknown[]): void {
    this.socket.emit(request, ...payload);
  }

  /** The next event of this name that `matches`. */
  next<Payload>(event: string, matches: (payload: Payload) => boolean = () => true): Promise<Payload> {
    return new Promise((resolve) => {
      const listen = (payload: Payload) => {
        if (!matches(payload)) return;
        this.socket.off(event, listen);
        resolve(payload);
      };
      this.socket.on(event, listen);
    });
  }

  close(): void {
    this.socket.disconnect();
  }
}
