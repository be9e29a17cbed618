import type { DisplayState } from "../../shared/display.ts";
import { ago, printable } from "../output.ts";
import { percent } from "../session-text.ts";
import type { Connection, Picture } from "./picture.ts";
import { hasEnded, type WatchRow } from "./rows.ts";
import { displayWidth, padTo, truncate } from "./text-width.ts";

export type Style = "bold" | "dim" | "green" | "yellow" | "red";

/** A piece of a line; the text alone says everything, colours only help. */
export interface Piece {
  readonly text: string;
  readonly styles?: readonly Style[];
}
export type Line = readonly Piece[];

export interface Space {
  /** Infinity: nothing is cut. */
  readonly columns: number;
  readonly lines: number;
  /** Which keys there are, where there are any. */
  readonly hint?: string;
}

const GAP = "  ";
const BAR_CELLS = 8;
/** From so many columns on there is room for machines and bars. */
const WIDE = 100;
/** And from so many on for projects, and for what goes on. */
const HAS_PROJECT = 64;
const HAS_WHAT = 36;

/** Lines of at most `columns` and at most `lines` of them: what needs a person stays, the rest is counted. */
export function layout(picture: Picture, space: Space): Line[] {
  const { columns, lines, hint } = space;
  const head = headLines(picture, columns);
  const table = tableOf(picture, space);
  const needed = head.length + table.head.length + table.rows.flat().length + (hint === undefined ? 0 : 1);
  const isCut = needed > lines;
  let room = lines - head.length - table.head.length - (isCut || hint !== undefined ? 1 : 0);
  const shown = table.rows.findIndex((row) => {
    room -= row.length;
    return room < 0;
  });
  const count = shown === -1 ? table.rows.length : shown;
  const foot = isCut || hint !== undefined ? [footLine(picture.rows.slice(count), space)] : [];
  return [...head, ...table.head, ...table.rows.slice(0, count).flat(), ...foot].slice(0, Math.max(1, lines));
}

function headLines(picture: Picture, columns: number): Line[] {
  const connection = connectionPiece(picture);
  const room = columns - displayWidth(connection.text);
  const title = truncate(`State Hub  ${picture.url}  ${scopeText(picture)}`, room - GAP.length);
  const first: Line =
    title === "" || room <= GAP.length
      ? [{ ...connection, text: truncate(connection.text, columns) }]
      : [
          { text: title.slice(0, 9), styles: ["bold"] },
          { text: columns === Number.POSITIVE_INFINITY ? title.slice(9) + GAP : padTo(title.slice(9), room - 9) },
          connection,
        ];
  const { cause = "" } = picture.connection;
  return [
    first,
    [{ text: truncate(countsText(picture.counts), columns) }],
    [{ text: truncate(printable(cause), columns), styles: ["yellow"] }],
  ];
}

function scopeText({ projectId, projects: { followed, known } }: Picture): string {
  if (projectId !== undefined) return `project ${projectId}`;
  const all = known === 1 ? "1 project" : `${known} projects`;
  return followed < known ? `${followed} of ${all}` : all;
}

function connectionPiece({ connection, projects, at }: Picture): Piece {
  switch (connection.state) {
    case "connecting":
      return { text: "◌ connecting", styles: ["yellow"] };
    case "live":
      return { text: "● live", styles: ["green"] };
    case "away":
      return { text: awayText(connection, projects.followed, at), styles: ["bold", "red"] };
  }
}

function awayText({ since, asOf, projects }: Connection & { state: "away" }, followed: number, at: number): string {
  const who = projects < followed ? `${projects} of ${followed} projects not connected` : "not connected";
  return `○ ${who} for ${ago(new Date(since).toISOString(), at)}; as of ${new Date(asOf).toTimeString().slice(0, 8)}`;
}

/** `2 need you · 1 lost · 3 working`, in the order of the table. */
function countsText(counts: Picture["counts"]): string {
  const parts = [...counts].map(([state, count]) =>
    state === "needs you" ? `${count} ${count === 1 ? "needs" : "need"} you` : `${count} ${state}`,
  );
  return parts.length === 0 ? "no sessions" : parts.join(" · ");
}

function footLine(hidden: readonly WatchRow[], { columns, hint = "" }: Space): Line {
  const counts = new Map<DisplayState, number>();
  for (const { state } of hidden) counts.set(state, (counts.get(state) ?? 0) + 1);
  const more = hidden.length === 0 ? "" : truncate(`… ${hidden.length} more: ${countsText(counts)}`, columns);
  const room = columns - displayWidth(hint);
  const text = displayWidth(more) + GAP.length > room ? more : padTo(more, room) + hint;
  return [{ text, styles: ["dim"] }];
}

type ColumnName = "STATE" | "SINCE" | "SESSION" | "PROJECT" | "MACHINE" | "WHAT";

interface Column {
  readonly name: ColumnName;
  readonly width: number;
}

interface Table {
  readonly head: readonly Line[];
  /** Lines of each row. */
  readonly rows: readonly (readonly Line[])[];
}

function tableOf(picture: Picture, { columns, lines }: Space): Table {
  const { at, projectId } = picture;
  // More cannot be seen, and there may be thousands.
  const rows = picture.rows.slice(0, lines);
  if (rows.length === 0) return { head: [], rows: [] };
  const cells = rows.map((row) => cellsOf(row, at, columns));
  const shape = shapeOf(cells, columns, projectId === undefined);
  return {
    head: [lineOf(HEAD, shape).map((piece) => ({ ...piece, styles: ["dim"] }))],
    rows: rows.map((row, index) => rowLines(row, cells[index] ?? HEAD, shape, columns)),
  };
}

type Cells = Readonly<Record<ColumnName, string>>;

const HEAD: Cells = {
  STATE: "STATE",
  SINCE: "SINCE",
  SESSION: "SESSION",
  PROJECT: "PROJECT",
  MACHINE: "MACHINE",
  WHAT: "WHAT",
};

function cellsOf(row: WatchRow, at: number, columns: number): Cells {
  return {
    // What was so when the connection was lost never looks like what is so.
    STATE: row.live ? row.state : `${row.state}?`,
    SINCE: (isLeast(row) ? "≥" : "") + ago(row.since, at),
    SESSION: row.session_id,
    PROJECT: row.project_id,
    MACHINE: row.machine_id,
    WHAT: printable(whatText(row, columns >= WIDE)),
  };
}

/** Some states are only known to hold since the last change, which may have been about something else. */
function isLeast({ state, since, created_at }: WatchRow): boolean {
  return ["working", "idle", "paused", "unknown"].includes(state) && since !== created_at;
}

function whatText(row: WatchRow, hasBar: boolean): string {
  const { state, reason, title, activity, progress, waiting_for } = row;
  const doing = [title, activity].filter((part) => part !== undefined).join(": ");
  const done = progress === undefined ? "" : percent(progress);
  switch (state) {
    case "needs you":
      return waiting_for?.options === undefined ? reason : `${reason} [${waiting_for.options.join(" | ")}]`;
    case "stalled":
      return doing + done === "" ? reason : `stands at ${[done, doing].filter((part) => part !== "").join(GAP)}`;
    case "lost":
    case "stale":
    case "unknown":
    case "failed":
      return doing === "" ? reason : `${reason} (${doing})`;
    case "working":
      if (progress === undefined) return doing;
      return `${hasBar ? `${barText(progress)} ` : ""}${done.padStart(5)}${GAP}${doing}`;
    default:
      return doing;
  }
}

/** A question that does not fit beside the names gets a line of its own. */
function rowLines(row: WatchRow, cells: Cells, shape: readonly Column[], columns: number): Line[] {
  const what = shape.find(({ name }) => name === "WHAT");
  if (row.state !== "needs you" || what === undefined || displayWidth(cells.WHAT) <= what.width) {
    return [styled(lineOf(cells, shape), row)];
  }
  const indent = shape.slice(0, 2).reduce((sum, { width }) => sum + width + GAP.length, 0);
  const question = " ".repeat(indent) + truncate(cells.WHAT, columns - indent);
  return [
    styled(lineOf({ ...cells, WHAT: row.waiting_for?.kind ?? "" }, shape), row),
    [{ text: question, styles: row.live ? ["bold"] : ["dim"] }],
  ];
}

function barText(progress: number): string {
  const full = Math.round(progress * BAR_CELLS);
  return "█".repeat(full) + "░".repeat(BAR_CELLS - full);
}

/**
 * Narrow terminals lose the columns that say least, and ids have a share of the line at first: the question needs the
 * rest. What it does not need goes to the ids.
 */
function shapeOf(cells: readonly Cells[], columns: number, hasProject: boolean): Column[] {
  const hasWhat = columns >= HAS_WHAT;
  const natural = (name: ColumnName) =>
    cells.reduce((most, row) => Math.max(most, displayWidth(row[name])), name.length);
  const ids: Column[] = [{ name: "SESSION", width: hasWhat ? 0.28 : 1 }];
  if (hasProject && columns >= HAS_PROJECT) ids.push({ name: "PROJECT", width: 0.16 });
  if (columns >= WIDE) ids.push({ name: "MACHINE", width: 0.14 });
  const [state, since, what] = [natural("STATE"), natural("SINCE"), hasWhat ? natural("WHAT") : 0];
  const gaps = (ids.length + (hasWhat ? 2 : 1)) * GAP.length;
  const room = Math.max(0, columns - state - since - gaps);
  const widths = ids.map(({ name, width }) => Math.min(natural(name), Math.floor(columns * width), room));
  let spare = room - what - widths.reduce((sum, width) => sum + width, 0);
  for (const [index, { name }] of ids.entries()) {
    const width = widths[index] ?? 0;
    const more = Math.max(0, Math.min(spare, natural(name) - width));
    widths[index] = width + more;
    spare -= more;
  }
  return [
    { name: "STATE", width: Math.min(state, columns) },
    { name: "SINCE", width: Math.max(0, Math.min(since, columns - state - GAP.length)) },
    ...ids.map(({ name }, index) => ({ name, width: widths[index] ?? 0 })),
    ...(hasWhat ? [{ name: "WHAT" as const, width: room - widths.reduce((sum, width) => sum + width, 0) }] : []),
  ];
}

function lineOf(cells: Cells, shape: readonly Column[]): Piece[] {
  return shape.map(({ name, width }, index) => {
    const isId = name === "SESSION" || name === "PROJECT" || name === "MACHINE";
    const text = isId ? truncateMiddle(cells[name], width) : truncate(cells[name], width);
    return { text: index === shape.length - 1 ? text : padTo(text, width) + GAP };
  });
}

/** Ids differ at their ends; they are plain ASCII. */
function truncateMiddle(id: string, columns: number): string {
  if (id.length <= columns || columns < 5) return truncate(id, columns);
  const tail = Math.floor((columns - 1) / 2);
  return `${id.slice(0, columns - 1 - tail)}…${id.slice(-tail)}`;
}

const STYLES: Readonly<Record<DisplayState, readonly Style[]>> = {
  "needs you": ["bold", "yellow"],
  lost: ["bold", "red"],
  stalled: ["bold", "yellow"],
  unknown: ["yellow"],
  stale: ["yellow"],
  working: ["green"],
  idle: [],
  paused: [],
  unmonitored: [],
  failed: ["red"],
  cancelled: ["dim"],
  finished: ["dim"],
};

function styled(line: readonly Piece[], row: WatchRow): Line {
  if (!row.live || hasEnded(row.state)) {
    const styles: readonly Style[] = row.live && row.state === "failed" ? STYLES.failed : ["dim"];
    return line.map((piece, index) => ({ ...piece, styles: index === 0 ? styles : ["dim"] }));
  }
  return line.map((piece, index) => (index === 0 ? { ...piece, styles: STYLES[row.state] } : piece));
}
