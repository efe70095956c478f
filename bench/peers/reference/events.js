// Definitions of events, and what they allow.

/**
 * @typedef {object} EventDefinition
 * @property {string} name
 * @property {import("zod").ZodType} [schema]
 * @property {{ enabled: boolean, limit: number }} [history]
 */

/**
 * An event as every member of its room gets it.
 *
 * @typedef {object} EventMessage
 * @property {string} event
 * @property {string} roomId
 * @property {unknown} data
 * @property {string} from
 * @property {number} timestamp in milliseconds since the Unix epoch
 */

/**
 * @param {string} name
 * @param {Omit<EventDefinition, "name">} [options]
 * @returns {EventDefinition}
 */
export function defineEvent(name, options) {
  return { name, ...options };
}

/**
 * The definition of an event, if it is among those that a room allows.
 *
 * @param {string} name
 * @param {readonly EventDefinition[]} allowed
 */
export function getEventByName(name, allowed) {
  return allowed.find((event) => event.name === name);
}

/**
 * The data as its schema leaves it, or why it does not fit.
 *
 * @param {EventDefinition} event
 * @param {unknown} data
 */
export function validateEventData({ schema }, data) {
  return schema ? schema.safeParse(data) : { success: /** @type {const} */ (true), data };
}
