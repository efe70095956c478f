import { isObject } from "./schema.js";

/** The keyword for rules that JSON Schema cannot express. */
export const RULES = "x-dialogue-rules";

/** A rule as the server writes it. */
interface Rule {
  /** The name of the rule in the `validator` crate. */
  readonly rule: string;
  /** The name of the app's function, for `custom` and `schema`. */
  readonly name?: string;
  /** The issue code, if the app sets one. */
  readonly code?: string;
  /** The message, if the app sets one. */
  readonly message?: string;
  readonly params?: { readonly [name: string]: unknown };
}

/** Whether these are rules as the server writes them. */
export function areRules(rules: unknown): rules is readonly Rule[] {
  const isRule = (rule: unknown) =>
    isObject(rule) &&
    typeof rule.rule === "string" &&
    [rule.name, rule.code, rule.message].every((text) => text === undefined || typeof text === "string") &&
    (rule.params === undefined || isObject(rule.params));
  return Array.isArray(rules) && rules.every(isRule);
}

/** The description with one line per rule appended. */
export function describeRules(description: unknown, rules: readonly Rule[]): string {
  const lines = typeof description === "string" ? [description, ""] : [];
  for (const rule of rules) {
    const code = rule.code ?? rule.name;
    lines.push(`Rule: ${rule.message ?? words(rule)}${code === undefined ? "" : ` (\`${code}\`)`}.`);
  }
  return lines.join("\n");
}

function words({ rule, params = {} }: Rule): string {
  switch (rule) {
    case "must_match":
      return `must be the same as \`${shown(params.other)}\``;
    case "does_not_contain":
      return `must not contain ${JSON.stringify(params.needle)}`;
    case "non_control_character":
      return "must not contain control characters";
    case "credit_card":
      return "must be a credit card number";
    case "ip":
      return "must be an IP address";
    case "contains":
      return `must contain ${JSON.stringify(params.needle)}`;
    case "length":
      return `must have a length of ${params.equal === undefined ? bounds(params) : shown(params.equal)}`;
    case "range":
      return `must be ${bounds(params)}`;
    default:
      return "is checked by the server";
  }
}

function bounds(params: { readonly [name: string]: unknown }): string {
  const bounds = { min: "at least", exclusive_min: "more than", max: "at most", exclusive_max: "less than" };
  const given = Object.entries(bounds).filter(([name]) => params[name] !== undefined);
  return given.map(([name, words]) => `${words} ${shown(params[name])}`).join(" and ");
}

/** A parameter as text: a string unchanged, any other value as JSON. */
function shown(parameter: unknown): string {
  return typeof parameter === "string" ? parameter : `${JSON.stringify(parameter)}`;
}
