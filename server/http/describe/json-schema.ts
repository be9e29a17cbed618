import { z } from "zod";
import { GLOSSARY } from "./glossary.ts";
import { NAMES } from "./names.ts";

export type JsonSchema = { [key: string]: unknown };

/** Schemas as JSON Schema 2020-12; those with a name stand once, in `named`, and are referred to. */
export class SchemaBook {
  /** By name, in the order in which they were met. */
  readonly named: Record<string, JsonSchema> = {};
  readonly #prefix = "#/components/schemas/";

  /** What a sender may send: for what only hubs send, that is also what comes. */
  schemaOf(schema: z.ZodType): JsonSchema {
    const {
      $defs = {},
      $schema,
      ...top
    } = z.toJSONSchema(schema, {
      io: "input",
      metadata: NAMES,
      unrepresentable: "any",
      override: ({ zodSchema, jsonSchema }) => {
        if (zodSchema._zod.def.type === "custom" && jsonSchema.wire === undefined) throw new Error(UNTOLD);
        tidy(jsonSchema as JsonSchema);
      },
    }) as JsonSchema & { $defs?: Record<string, JsonSchema> };
    for (const [name, { id, ...definition }] of Object.entries($defs)) {
      this.named[name] ??= this.#pointed(definition) as JsonSchema;
    }
    const { id, ...own } = this.#pointed(top) as JsonSchema;
    if (typeof id !== "string") return own;
    this.named[id] ??= own;
    return this.ref(id);
  }

  ref(name: string): JsonSchema {
    return { $ref: `${this.#prefix}${name}` };
  }

  #pointed(node: unknown): unknown {
    if (Array.isArray(node)) return node.map((item) => this.#pointed(item));
    if (typeof node !== "object" || node === null) return node;
    const pointed = Object.fromEntries(
      Object.entries(node).map(([key, value]) =>
        key === "$ref" && typeof value === "string"
          ? [key, value.replace("#/$defs/", this.#prefix)]
          : [key, this.#pointed(value)],
      ),
    );
    return "properties" in pointed && pointed.type === "object" ? { ...pointed, properties: told(pointed) } : pointed;
  }
}

const UNTOLD = "a schema that is checked by code needs its JSON Schema in names.ts";

/** The fields of an object with what they mean, where they do not say it themselves. */
function told({ properties }: JsonSchema): JsonSchema {
  return Object.fromEntries(
    Object.entries(properties as Record<string, JsonSchema>).map(([name, field]) => {
      const description = field.description ?? GLOSSARY[name];
      return [name, description === undefined ? field : { ...field, description }];
    }),
  );
}

/** What zod cannot say, and what it says too much. */
function tidy(schema: JsonSchema): void {
  const { wire } = schema;
  if (typeof wire === "object") {
    const { id, default: whenAbsent } = schema;
    for (const key of Object.keys(schema)) delete schema[key];
    Object.assign(
      schema,
      wire,
      id === undefined ? {} : { id },
      whenAbsent === undefined ? {} : { default: whenAbsent },
    );
  }
  // That arrays are not to be changed is a matter of our own types.
  delete schema.readOnly;
  if (schema.maximum === Number.MAX_SAFE_INTEGER) delete schema.maximum;
}
