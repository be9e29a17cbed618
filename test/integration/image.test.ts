import { spawn, spawnSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { copyFileSync, existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { afterEach, expect, test, vi } from "vitest";
import { freePort } from "../../server/embedded/port-check.ts";
import { buildImage, publishFiles } from "../support/docker-build.ts";
import { eventually } from "../support/eventually.ts";
import { Stage } from "../support/test-hub.ts";

// npm installs what the hub needs into an empty folder.
vi.setConfig({ testTimeout: 300_000 });

const stage = new Stage();
afterEach(stage.clear);

/** nobody */
const OTHER_USER = 65_534;

test("the Dockerfile's steps make a hub that runs as another user, writes nothing, tells its health, and ends by its signal", async () => {
  const folder = stage.add(mkdtempSync(join(tmpdir(), "state-hub-image-")), (path) =>
    rmSync(path, { recursive: true }),
  );
  const { PATH = "", HOME = folder } = process.env;
  // What the base image brings: the pinned Node. In the image's own folder, where another user may reach it.
  const bin = join(folder, "node");
  copyFileSync(process.execPath, bin);
  const image = buildImage(folder, {
    ...{ PATH: [dirname(process.execPath), PATH].join(delimiter), HOME },
    npm_config_prefer_offline: "true",
  });
  const before = publishFiles(folder).toSorted();
  const cwd = join(image.root, image.workdir);
  const copied = ["LICENSE", "cli", "deploy", "node_modules", "package.json", "server", "shared"];
  expect([readdirSync(cwd), readdirSync(join(cwd, "cli"))]).toEqual([copied, ["hubs-file.ts"]]);
  const tools = ["typescript", "vitest", "node", "commander"].filter((name) =>
    existsSync(join(cwd, "node_modules", name)),
  );
  expect(tools, "nothing that a hub does not need").toEqual([]);
  expect([image.user, image.command[0], image.healthCheck[0]]).toEqual(["node", "node", "node"]);

  const PORT = String(await freePort());
  const env = { ...image.env, PORT, HOST: "127.0.0.1", API_KEYS: randomUUID(), MONGODB_URI: stage.database().uri };
  const user = process.getuid?.() === 0 ? { uid: OTHER_USER, gid: OTHER_USER } : {};
  const check = () => spawnSync(bin, image.healthCheck.slice(1), { cwd, env, encoding: "utf8", ...user });

  expect(check()).toMatchObject({ status: 1, stdout: expect.stringContaining("ECONNREFUSED") });
  const hub = spawn(bin, image.command.slice(1), { cwd, env, stdio: ["ignore", "pipe", "inherit"], ...user });
  stage.add(hub, (open) => open.kill("SIGKILL"));
  await eventually("the container is healthy", () => hub.exitCode !== null || check().status === 0, 60_000);
  expect(check()).toMatchObject({ status: 0, stdout: '200 {"status":"ok"}\n' });

  const exit = once(hub, "exit");
  hub.kill(image.stopSignal as NodeJS.Signals);
  expect(await exit).toEqual([0, null]);
  expect(publishFiles(folder).toSorted()).toEqual(before);
});
