import type { CSSProperties } from "react";

/** A letter in a colour, the same for one name everywhere. */
export function Avatar({ name }: { name: string }) {
  let hash = 0;
  for (const character of name) hash = (hash * 31 + character.codePointAt(0)!) % 1009;
  // All hues but the muddy yellows.
  const style = { "--hue": 120 + ((hash * 106) % 310) } as CSSProperties;
  return (
    <span className="avatar" style={style} aria-hidden="true">
      {[...name][0]?.toUpperCase()}
    </span>
  );
}
