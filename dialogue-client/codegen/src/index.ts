export { type Contract, type EventContract, parseContract, type RoomContract } from "./contract.js";
export { generate } from "./generate.js";
export type { Schema } from "./schema.js";
