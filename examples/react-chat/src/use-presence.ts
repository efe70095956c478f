import { useCallback, useEffect, useRef, useState } from "react";
import { useClient, useEvent } from "./dialogue";
import type { General } from "./general";

/** The server tells who left before it has counted. */
const SETTLE_MS = 200;

/** How many are in the room, asked for anew whenever somebody comes or goes. */
export function usePresence(room: General): number | undefined {
  const client = useClient();
  const [size, setSize] = useState<number>();
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);

  const count = useCallback(() => {
    clearTimeout(timer.current);
    timer.current = setTimeout(async () => {
      const rooms = await client.listRooms().catch(() => []);
      const info = rooms.find(({ id }) => id === room?.roomId);
      if (info) setSize(info.size);
    }, SETTLE_MS);
  }, [client, room]);

  useEvent(room, "user:joined", count);
  useEvent(room, "user:left", count);
  useEffect(() => {
    if (!room) return;
    count();
    const off = room.onState((state) => state === "joined" && count());
    return () => {
      clearTimeout(timer.current);
      off();
    };
  }, [room, count]);
  return room && size;
}
