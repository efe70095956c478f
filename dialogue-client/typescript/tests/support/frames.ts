const SWITCHED = Buffer.from("HTTP/1.1 101 ");
const HEAD_END = Buffer.from("\r\n\r\n");
const TEXT = 0x81;

/** One connection's bytes from the server to the client: once it is a WebSocket, its texts may be edited. */
export class Frames {
  #head: Buffer = Buffer.alloc(0);
  #phase: "head" | "frames" | "other" = "head";
  #rest: Buffer = Buffer.alloc(0);

  constructor(private readonly change: (text: string) => readonly string[]) {}

  /** The bytes to send in place of these. */
  edit(chunk: Buffer): Buffer {
    if (this.#phase === "other") return chunk;
    if (this.#phase === "frames") return this.#editFrames(chunk);
    this.#head = Buffer.concat([this.#head, chunk]);
    if (this.#head.length < SWITCHED.length) return Buffer.alloc(0);
    if (!this.#head.subarray(0, SWITCHED.length).equals(SWITCHED)) {
      this.#phase = "other";
      return this.#head;
    }
    const end = this.#head.indexOf(HEAD_END);
    if (end < 0) return Buffer.alloc(0);
    this.#phase = "frames";
    const length = end + HEAD_END.length;
    return Buffer.concat([this.#head.subarray(0, length), this.#editFrames(this.#head.subarray(length))]);
  }

  #editFrames(chunk: Buffer): Buffer {
    let rest = Buffer.concat([this.#rest, chunk]);
    const edited: Buffer[] = [];
    for (let frame = firstFrame(rest); frame; frame = firstFrame(rest)) {
      const whole = rest.subarray(0, frame.end);
      if (whole[0] === TEXT) edited.push(...this.change(whole.subarray(frame.start).toString()).map(textFrame));
      else edited.push(whole);
      rest = rest.subarray(frame.end);
    }
    this.#rest = rest;
    return Buffer.concat(edited);
  }
}

/** A text as the frame of a server, which masks nothing. */
export function textFrame(text: string): Buffer {
  const payload = Buffer.from(text);
  const { length } = payload;
  const head = Buffer.alloc(length < 126 ? 2 : length < 65_536 ? 4 : 10);
  head[0] = TEXT;
  if (length < 126) head[1] = length;
  else if (length < 65_536) (head[1] = 126), head.writeUInt16BE(length, 2);
  else (head[1] = 127), head.writeBigUInt64BE(BigInt(length), 2);
  return Buffer.concat([head, payload]);
}

/** Where the payload of the first frame starts and ends, if all of it is there. */
function firstFrame(bytes: Buffer): { start: number; end: number } | undefined {
  if (bytes.length < 2) return undefined;
  const short = bytes[1]! & 0x7f;
  const start = short < 126 ? 2 : short === 126 ? 4 : 10;
  if (bytes.length < start) return undefined;
  const length = short < 126 ? short : short === 126 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2));
  return bytes.length < start + length ? undefined : { start, end: start + length };
}
