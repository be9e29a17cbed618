import { type Html, html, inline } from "./html.ts";
import type { JsonSchema } from "./json-schema.ts";

interface Described extends JsonSchema {
  readonly $ref?: string;
  readonly type?: string;
  readonly format?: string;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly items?: Described;
  readonly properties?: Readonly<Record<string, Described>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: Described | boolean;
  readonly anyOf?: readonly Described[];
  readonly oneOf?: readonly Described[];
  readonly allOf?: readonly Described[];
  readonly description?: string;
  readonly default?: unknown;
}

/** The fields of an object, one a row; of a choice, each choice's. Schemas with a name are linked to. */
export function fieldsOf(schema: JsonSchema): Html {
  const { $ref, properties, anyOf, oneOf, allOf } = schema as Described;
  if ($ref !== undefined) return html`<p>${typeOf(schema)}</p>`;
  if (allOf !== undefined) return html`${allOf.map(fieldsOf)}`;
  const choices = anyOf ?? oneOf;
  if (choices !== undefined) {
    return html`${choices.map((choice, index) => html`${index > 0 && html`<p class="soft">or</p>`}${fieldsOf(choice)}`)}`;
  }
  if (properties === undefined) return html`<p>${typeOf(schema)}</p>`;
  const rows = Object.entries(properties);
  return rows.length === 0 ? html`<p class="soft">An empty object.</p>` : rowsOf(rows, (schema as Described).required);
}

function rowsOf(rows: readonly (readonly [string, Described])[], required: readonly string[] = []): Html {
  return html`<div class="table"><table><tbody>${rows.map(
    ([name, field]) => html`<tr><td><span class="name${required.includes(name) ? " must" : ""}">${name}</span></td>
<td>${typeOf(field)}</td><td>${inline(field.description ?? "")}</td></tr>`,
  )}</tbody></table></div>`;
}

/** A type in a few words. */
export function typeOf(schema: JsonSchema): Html {
  const said = schema as Described;
  const { $ref, type, items, additionalProperties, anyOf, oneOf, properties } = said;
  if ($ref !== undefined) return refLink($ref);
  if (said.const !== undefined) return html`<code>${JSON.stringify(said.const)}</code>`;
  if (said.enum !== undefined)
    return html`${said.enum.map((word, index) => html`${index > 0 && " "}<code>${String(word)}</code>`)}`;
  const choices = anyOf ?? oneOf;
  if (choices !== undefined)
    return html`${choices.map((choice, index) => html`${index > 0 && " or "}${typeOf(choice)}`)}`;
  if (type === "array")
    return html`list of ${items === undefined ? "anything" : typeOf(items)}${between(said, "Items", "")}`;
  if (properties !== undefined) return html`object ${fieldsOf(schema)}`;
  if (type === "object")
    return html`object${typeof additionalProperties === "object" && html` of ${typeOf(additionalProperties)} by name`}`;
  return html`${said.format === "date-time" ? "time" : (type ?? "anything")}${between(said, "Length", " characters")}${between(said, "imum", "")}${
    said.default !== undefined && html`, default <code>${JSON.stringify(said.default)}</code>`
  }`;
}

function refLink($ref: string): Html {
  const name = $ref.slice($ref.lastIndexOf("/") + 1);
  return html`<a href="#schema-${name}">${name}</a>`;
}

/** `minItems` and its like. */
function between(schema: Described, suffix: string, unit: string): Html | false {
  const [min, max] = [schema[`min${suffix}`], schema[`max${suffix}`]];
  if (min === undefined && max === undefined) return false;
  if (max === undefined) return html`, at least ${String(min)}${unit}`;
  return html`, ${min === undefined ? "at most" : `${min} to`} ${String(max)}${unit}`;
}
