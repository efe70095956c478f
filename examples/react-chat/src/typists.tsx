import { useEffect, useState } from "react";
import { useConnection, useEvent } from "./dialogue";
import type { General } from "./general";

/** When to stop believing that somebody is typing. */
const FORGET_MS = 6_000;

/** Who is typing. */
export function Typists({ room }: { room: General }) {
  const { userId } = useConnection();
  const [typists, setTypists] = useState<ReadonlyMap<string, number>>(new Map());

  const set = (who: string, until: number | undefined) =>
    setTypists((typists) => {
      const others = new Map(typists);
      others.delete(who);
      if (until !== undefined) others.set(who, until);
      return others;
    });
  useEvent(room, "typing", ({ from, data }) => set(from, data.isTyping ? Date.now() + FORGET_MS : undefined));
  useEvent(room, "message", ({ from }) => set(from, undefined));
  useEvent(room, "user:left", ({ data }) => set(data.userId, undefined));

  useEffect(() => {
    if (typists.size === 0) return;
    const next = Math.min(...typists.values());
    const timer = setTimeout(() => {
      setTypists((typists) => new Map([...typists].filter(([, until]) => until > Date.now())));
    }, next - Date.now() + 1);
    return () => clearTimeout(timer);
  }, [typists]);

  const names = [...typists.keys()].filter((name) => name !== userId);
  return (
    <p className="typists" aria-live="polite">
      {names.length > 0 && (
        <>
          <span className="dots" aria-hidden="true">
            <i />
            <i />
            <i />
          </span>
          <span className="names">
            {names.length < 3 ? names.join(" and ") : `${names[0]} and ${names.length - 1} others`}{" "}
            {names.length === 1 ? "is" : "are"} typing…
          </span>
        </>
      )}
    </p>
  );
}
