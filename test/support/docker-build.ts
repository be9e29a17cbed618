import { spawnSync } from "node:child_process";
import { chmodSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync } from "node:fs";
import { basename, dirname, join, matchesGlob, relative } from "node:path";
import { type Copy, DockerfileParser, type Instruction } from "dockerfile-ast";
import { ROOT } from "./documents.ts";

/** What the last stage of a Dockerfile says of the image. */
export interface Image {
  /** Stands for `/` of the image. */
  readonly root: string;
  readonly workdir: string;
  readonly env: Readonly<Record<string, string>>;
  readonly user: string | undefined;
  readonly stopSignal: string | undefined;
  readonly command: readonly string[];
  readonly healthCheck: readonly string[];
}

/**
 * Carries out the project's Dockerfile without an engine: each stage is a folder, each RUN a command of this machine in
 * it, COPY takes only what .dockerignore lets through. Base images stay empty: what they bring has to be here.
 */
export function buildImage(into: string, env: NodeJS.ProcessEnv): Image {
  const stages = new Map<string, string>();
  const ignore = readIgnore();
  let image: Image | undefined;
  for (const instruction of DockerfileParser.parse(readFileSync(join(ROOT, "Dockerfile"), "utf8")).getInstructions()) {
    if (instruction.getKeyword() === "FROM") {
      const name = /\bAS\s+(\S+)$/i.exec(instruction.getRawArgumentsContent() ?? "")?.[1] ?? "last";
      const root = join(into, name);
      mkdirSync(root);
      stages.set(name, root);
      image = { root, workdir: "/", env: {}, user: undefined, stopSignal: undefined, command: [], healthCheck: [] };
    } else if (image === undefined) throw new Error("the Dockerfile does not begin with FROM");
    else image = carryOut(instruction, image, { stages, ignore, env });
  }
  if (image === undefined) throw new Error("the Dockerfile has no stage");
  return image;
}

interface Build {
  readonly stages: ReadonlyMap<string, string>;
  readonly ignore: (path: string) => boolean;
  readonly env: NodeJS.ProcessEnv;
}

function carryOut(instruction: Instruction, image: Image, build: Build): Image {
  const text = instruction.getArgumentsContent() ?? "";
  switch (instruction.getKeyword()) {
    case "WORKDIR":
      mkdirSync(join(image.root, text), { recursive: true });
      return { ...image, workdir: text };
    case "ENV": {
      const pairs = text.split(/\s+/).map((pair) => pair.split("=", 2) as [string, string]);
      return { ...image, env: { ...image.env, ...Object.fromEntries(pairs) } };
    }
    case "COPY":
      copy(instruction as Copy, image, build);
      return image;
    case "RUN": {
      const run = spawnSync("sh", ["-c", text], {
        cwd: join(image.root, image.workdir),
        encoding: "utf8",
        env: build.env,
      });
      if (run.status !== 0) throw new Error(`RUN ${text}: ${run.stdout}${run.stderr}`);
      return image;
    }
    case "USER":
      return { ...image, user: text };
    case "STOPSIGNAL":
      return { ...image, stopSignal: text };
    case "HEALTHCHECK":
      return { ...image, healthCheck: words(text) };
    case "CMD":
      return { ...image, command: words(text) };
    case "EXPOSE":
      return image;
    default:
      throw new Error(`${instruction.getKeyword()} is not known here`);
  }
}

/** `["node", "server/main.ts"]`, also where options or CMD stand before it. */
function words(text: string): string[] {
  const list = /\[.*\]$/.exec(text)?.[0];
  if (list === undefined) throw new Error(`not a list of words: ${text}`);
  return JSON.parse(list) as string[];
}

function copy(instruction: Copy, image: Image, { stages, ignore }: Build): void {
  const from = instruction.getFromFlag()?.getValue() ?? undefined;
  const paths = instruction.getArguments().map((argument) => argument.getValue());
  const target = paths.pop() ?? "";
  const source = from === undefined ? ROOT : stages.get(from);
  if (source === undefined) throw new Error(`there is no stage ${from}`);
  for (const path of paths) {
    const found = join(source, path);
    if (!existsSync(found)) throw new Error(`COPY ${path}: there is no such file`);
    if (from === undefined && statSync(found).isFile() && ignore(path)) throw new Error(`COPY ${path}: it is ignored`);
    const into = join(image.root, image.workdir, target);
    // The content of a folder is copied, of a file the file itself.
    const isFolder = statSync(found).isDirectory();
    cpSync(found, isFolder || !target.endsWith("/") ? into : join(into, basename(path)), {
      recursive: true,
      verbatimSymlinks: true,
      filter: (file) => from !== undefined || statSync(file).isDirectory() || !ignore(relative(ROOT, file)),
    });
  }
}

/** The last pattern that fits a path, or a folder above it, decides. */
function readIgnore(): (path: string) => boolean {
  const lines = readFileSync(join(ROOT, ".dockerignore"), "utf8").split("\n");
  const patterns = lines.filter((line) => line !== "" && !line.startsWith("#"));
  return (path) => {
    const last = patterns.findLast((pattern) =>
      withFolders(path).some((part) => matchesGlob(part, pattern.replace("!", ""))),
    );
    return last !== undefined && !last.startsWith("!");
  };
}

function withFolders(path: string): string[] {
  const above = dirname(path);
  return above === "." ? [path] : [path, ...withFolders(above)];
}

/** Every file below the folder, links not followed; and readable by anybody, as in an image. */
export function publishFiles(folder: string): string[] {
  chmodSync(folder, 0o755);
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    return entry.isDirectory() ? publishFiles(path) : [path];
  });
}
