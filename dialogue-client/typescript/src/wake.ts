import type { Unsubscribe } from "./handlers.js";

/**
 * Calls back when waiting any longer makes no sense to whoever sits before a
 * browser: the network is back, or the page is shown again. Elsewhere, never.
 */
export function onWake(handler: () => void): Unsubscribe {
  const { document } = globalThis;
  const shown = () => {
    if (document.visibilityState === "visible") handler();
  };
  document?.addEventListener("visibilitychange", shown);
  globalThis.addEventListener?.("online", handler);
  return () => {
    document?.removeEventListener("visibilitychange", shown);
    globalThis.removeEventListener?.("online", handler);
  };
}
