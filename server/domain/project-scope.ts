import { ALL_PROJECTS as ALL } from "../../shared/project-pattern.ts";

/** The projects that a key reaches, existing or not. */
export class ProjectScope {
  static readonly all = new ProjectScope([ALL]);

  /** As given, sorted and each once. */
  readonly patterns: readonly string[];
  readonly isAll: boolean;
  readonly ids: ReadonlySet<string>;
  /** Without the star. */
  readonly prefixes: readonly string[];

  /** @param patterns for each of which `isProjectPattern` holds */
  constructor(patterns: readonly string[]) {
    this.patterns = [...new Set(patterns)].sort();
    this.isAll = patterns.includes(ALL);
    this.ids = new Set(this.patterns.filter((pattern) => !pattern.endsWith(ALL)));
    this.prefixes = this.patterns.filter((pattern) => pattern.endsWith(ALL)).map((pattern) => pattern.slice(0, -1));
  }

  has(projectId: string): boolean {
    return this.isAll || this.ids.has(projectId) || this.prefixes.some((prefix) => projectId.startsWith(prefix));
  }

  equals(other: ProjectScope): boolean {
    return this.patterns.join() === other.patterns.join();
  }
}
