import { DialogueError } from "./error.js";

type SegmentParameter<Segment extends string> = Segment extends `{${infer Name}}` ? Name : never;

/** The names of a pattern's parameters: `"documentId"` for `"doc:{documentId}"`; `never` for a plain room id. */
export type ParameterName<Pattern extends string> = Pattern extends `${infer Segment}:${infer Rest}`
  ? SegmentParameter<Segment> | ParameterName<Rest>
  : SegmentParameter<Pattern>;

/** A value for each parameter of a pattern: `{ documentId: string | number }` for `"doc:{documentId}"`. */
export type PatternParameters<Pattern extends string> = {
  readonly [Name in ParameterName<Pattern>]: string | number;
};

/** A whole segment between colons that is written in braces, with the colon before it. */
const PARAMETER = /(^|:)\{([^:]+)\}(?=:|$)/g;

/** Whether a room is named by a pattern, so that its parameters are needed. */
export function hasParameters(pattern: string): boolean {
  return pattern.search(PARAMETER) >= 0;
}

/**
 * The room id that a pattern and its parameters stand for: each value is
 * percent-encoded as `encodeURIComponent` does.
 *
 * @throws DialogueError `INVALID_REQUEST` if a value is missing, empty or not valid Unicode.
 */
export function fillPattern(pattern: string, parameters: Readonly<Record<string, string | number>>): string {
  return pattern.replace(PARAMETER, (_, before, name) => {
    // A parameter may be called what every object has, such as `constructor`.
    return before + encode(pattern, name, parameters[name]);
  });
}

function encode(pattern: string, name: string, value: string | number | undefined): string {
  const text = `${value ?? ""}`;
  try {
    if (text) return encodeURIComponent(text);
  } catch {
    // It has half of a character.
  }
  throw new DialogueError("INVALID_REQUEST", `\`${pattern}\` needs a text for \`${name}\``);
}
