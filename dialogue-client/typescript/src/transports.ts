import { type ManagerOptions, NodeWebSocket, NodeXHR } from "socket.io-client";

/** What a client may connect over. */
export type Transport = "polling" | "websocket";

/**
 * Socket.IO's transports of these names, to be tried in order. A WebSocket on which
 * nothing has come in time has failed: a proxy may open one and let nothing through.
 */
export function transportsOf(
  names: readonly Transport[],
  timeoutMs: number,
): NonNullable<ManagerOptions["transportImplementations"]> {
  class ProvenWebSocket extends NodeWebSocket {
    #deadline: ReturnType<typeof setTimeout> | undefined;
    #settled = false;

    override doOpen(): this {
      this.#deadline = setTimeout(() => {
        this.onError("nothing came over the WebSocket", undefined);
        // Engine.IO goes on to the next transport without closing this one.
        this.close();
      }, timeoutMs);
      return super.doOpen();
    }

    override doClose(): void {
      this.#settle();
      super.doClose();
    }

    protected override onPacket(packet: Parameters<NodeWebSocket["onPacket"]>[0]): void {
      this.#settle();
      super.onPacket(packet);
    }

    protected override onClose(details?: Parameters<NodeWebSocket["onClose"]>[0]): void {
      // Otherwise Engine.IO would not go on to the next transport.
      if (!this.#settled) this.onError("the WebSocket was closed", details);
      this.#settle();
      super.onClose(details);
    }

    #settle(): void {
      this.#settled = true;
      clearTimeout(this.#deadline);
    }
  }
  return names.map((name) => (name === "websocket" ? ProvenWebSocket : NodeXHR));
}
