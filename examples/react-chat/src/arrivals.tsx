import { useEffect, useState } from "react";
import { useConnection, useEvent } from "./dialogue";
import type { General } from "./general";

const SHOWN_MS = 5_000;

/** Who came or went last. */
export function Arrivals({ room }: { room: General }) {
  const { userId } = useConnection();
  const [news, setNews] = useState<string>();

  const tell = (who: string, news: string) => who !== userId && setNews(news);
  useEvent(room, "user:joined", ({ data }) => tell(data.userId, `${data.username} joined`));
  useEvent(room, "user:left", ({ data }) => tell(data.userId, `${data.userId} left`));

  useEffect(() => {
    const timer = setTimeout(() => setNews(undefined), SHOWN_MS);
    return () => clearTimeout(timer);
  }, [news]);

  return (
    <p className="arrivals" role="status">
      {news}
    </p>
  );
}
