import { useEffect, useState } from "react";
import { useConnection } from "./dialogue";

/** After this, a connection that is still being opened is said not to come. */
const SLOW_MS = 5_000;

/** Whether the client has tried to connect for a while, in vain. */
export function useUnreachable(): boolean {
  const { state } = useConnection();
  const [unreachable, setUnreachable] = useState(false);

  useEffect(() => {
    if (state !== "connecting") return;
    const timer = setTimeout(() => setUnreachable(true), SLOW_MS);
    return () => {
      clearTimeout(timer);
      setUnreachable(false);
    };
  }, [state]);

  return unreachable;
}
