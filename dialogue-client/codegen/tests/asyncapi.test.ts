import specs from "@asyncapi/specs";
import { Ajv, type AnySchema } from "ajv";
import formats from "ajv-formats";
import { expect, test } from "vitest";
import { shapes } from "./support.js";

test("the contract as AsyncAPI is what AsyncAPI's own schema says", () => {
  const document = JSON.parse(shapes("asyncapi"));
  // The schema holds the one of JSON Schema itself, under its own id.
  const ajv = new Ajv({ allErrors: true, meta: false, strict: false, validateSchema: false });
  formats.default(ajv);
  const validate = ajv.compile(specs.schemas["3.0.0"] as AnySchema);
  validate(document);
  expect(validate.errors).toBeNull();

  validate({ ...document, channels: { all: { address: 1 } } });
  expect(validate.errors).not.toBeNull();
});
