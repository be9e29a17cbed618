import { z } from "zod";

/** One thing wrong with one field of an otherwise good message. */
export interface Fault {
  /** As `details.errors[].field` names it; inside a record of free names, the record. */
  readonly field: string;
  readonly what: string;
  /** The message as JSON text, since some faults (`1e400`) exist only there. */
  readonly json: string;
}

/** The part of JSON Schema that the messages use. */
interface Shape {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, Shape>>;
  readonly required?: readonly string[];
  readonly items?: Shape;
  readonly oneOf?: readonly Shape[];
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly pattern?: string;
  readonly format?: string;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly additionalProperties?: Shape | boolean;
  readonly propertyNames?: Shape;
}

type Path = readonly (string | number)[];

/** Text that stands for itself in the JSON, unquoted. */
class Literal {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

const BAD_IDS = [
  "",
  "a b",
  "a#b",
  "a/b",
  "../x",
  "\n",
  "a\u0000",
  "a\u202eb",
  "é",
  "e\u0301",
  "\ud800",
  ".a",
  "$a",
  "-a",
];
/** Things that only look as if they had a length, or could be made a number. */
const PRETENDERS: readonly object[] = [
  { length: 1 },
  { length: { valueOf: 1, toString: 1 } },
  { size: {} },
  { valueOf: 1, toString: 1 },
];
const OPERATORS = [{ $ne: null }, { $gt: "" }, { $where: "sleep(1000)" }, { _bsontype: "ObjectId", id: "x" }];
const ANYTHING = ["x", "", 1, 0, -1, 1.5, true, false, null, [], ["x"], {}, { x: 1 }];

/**
 * Every field of a schema, each missing, null, of every wrong type, too long, too short, out of range, by a message
 * that is good but for this. The message must hold every field whose faults are wanted.
 */
export function faultsOf(schema: z.ZodType, good: object): Fault[] {
  const shape = z.toJSONSchema(schema, { io: "input", unrepresentable: "any" }) as Shape;
  return faultsAt(shape, good, [], good);
}

function faultsAt(shape: Shape, root: object, path: Path, value: unknown): Fault[] {
  const faults: Fault[] = [];
  const add = (what: string, bad: unknown) => faults.push(fault(root, path, what, bad));
  for (const bad of badValues(shape, value)) add(show(bad), bad);
  if (shape.oneOf !== undefined) {
    const kind = (value as { kind: string }).kind;
    const branch = shape.oneOf.find(({ properties }) => properties?.kind?.const === kind);
    return [...faults, ...(branch === undefined ? [] : inside(branch, root, path, value))];
  }
  return [...faults, ...inside(shape, root, path, value)];
}

function inside(shape: Shape, root: object, path: Path, value: unknown): Fault[] {
  if (Array.isArray(value)) {
    return shape.items === undefined
      ? []
      : value.flatMap((item, index) => faultsAt(shape.items as Shape, root, [...path, index], item));
  }
  const faults: Fault[] = [];
  for (const [name, field] of Object.entries(shape.properties ?? {})) {
    const there = (value as Record<string, unknown>)[name];
    if (shape.required?.includes(name)) faults.push(fault(root, [...path, name], "missing", undefined));
    if (there !== undefined) faults.push(...faultsAt(field, root, [...path, name], there));
  }
  return faults;
}

function badValues(shape: Shape, value: unknown): unknown[] {
  const wrongTypes = (isRight: (candidate: unknown) => boolean) => [
    ...ANYTHING.filter((candidate) => !isRight(candidate)),
    ...OPERATORS,
    ...PRETENDERS.filter((candidate) => !isRight(candidate)),
    new Literal("1e400"),
    new Literal("-1e400"),
  ];
  if (shape.const !== undefined) return wrongTypes(() => false);
  switch (shape.type ?? (shape.oneOf === undefined && isObject(value) ? "object" : "union")) {
    case "string":
      return [...wrongTypes((candidate) => typeof candidate === "string"), ...badStrings(shape)];
    case "integer":
      return [...wrongTypes((candidate) => Number.isInteger(candidate)), ...badNumbers(shape), 2 ** 53, -(2 ** 53)];
    case "number":
      return [...wrongTypes((candidate) => typeof candidate === "number"), ...badNumbers(shape)];
    case "boolean":
      return wrongTypes((candidate) => typeof candidate === "boolean");
    case "array":
      return [...wrongTypes(Array.isArray), ...badArrays(shape, value as readonly unknown[])];
    case "object":
      return [...wrongTypes(isObject), ...badRecords(shape)];
    default:
      return wrongTypes(isObject);
  }
}

function badStrings({ pattern, format, minLength, maxLength, enum: words }: Shape): unknown[] {
  return [
    "\ud800",
    ...(pattern !== undefined && format === undefined ? [...BAD_IDS, "a".repeat(129)] : []),
    ...(format !== undefined ? ["", "yesterday", "2026-13-01T00:00:00.000Z", "2026-01-01"] : []),
    ...(words !== undefined ? ["", "NOPE", `${words[0]} `] : []),
    ...((minLength ?? 0) > 0 ? [""] : []),
    ...(maxLength !== undefined ? ["x".repeat(maxLength + 1)] : []),
  ];
}

function badNumbers({ minimum, maximum }: Shape): unknown[] {
  return [
    ...(minimum !== undefined ? [minimum - 1, minimum - 0.001] : []),
    ...(maximum !== undefined && maximum < Number.MAX_SAFE_INTEGER ? [maximum + 1, maximum + 0.001] : []),
  ];
}

function badArrays({ minItems, maxItems }: Shape, value: readonly unknown[]): unknown[] {
  return [
    ...((minItems ?? 0) > 0 ? [[]] : []),
    ...(maxItems !== undefined ? [Array.from({ length: maxItems + 1 }, () => value[0])] : []),
  ];
}

/** A record of free names, such as `metrics`. */
function badRecords({ additionalProperties }: Shape): unknown[] {
  if (typeof additionalProperties !== "object") return [];
  return [{ cpu: "0.7" }, { cpu: null }, { cpu: new Literal("1e400") }, { "": 1 }, { ["x".repeat(65)]: 1 }];
}

function fault(root: object, path: Path, what: string, bad: unknown): Fault {
  const field = path.reduce<string>(
    (text, part) => (typeof part === "number" ? `${text}[${part}]` : text === "" ? part : `${text}.${part}`),
    "",
  );
  return { field, what, json: write(replaced(root, path, bad)) };
}

function replaced(node: unknown, path: Path, bad: unknown): unknown {
  const [first, ...rest] = path;
  if (first === undefined) return bad;
  if (Array.isArray(node)) return node.map((item, index) => (index === first ? replaced(item, rest, bad) : item));
  const entries = Object.entries(node as object).filter(
    ([name]) => name !== first || rest.length > 0 || bad !== undefined,
  );
  return Object.fromEntries(entries.map(([name, item]) => [name, name === first ? replaced(item, rest, bad) : item]));
}

function write(value: unknown): string {
  if (value instanceof Literal) return value.text;
  if (Array.isArray(value)) return `[${value.map(write).join(",")}]`;
  if (!isObject(value)) return JSON.stringify(value);
  return `{${Object.entries(value)
    .map(([name, item]) => `${JSON.stringify(name)}:${write(item)}`)
    .join(",")}}`;
}

function show(value: unknown): string {
  const text = write(value);
  return text.length > 60 ? `${text.slice(0, 40)}… (${text.length} characters)` : text;
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
