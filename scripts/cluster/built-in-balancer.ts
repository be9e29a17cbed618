import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { BalancerSettings, RunningBalancer } from "./balancer.ts";
import { statusCsv } from "./balancer-status.ts";
import { isReady } from "./hubs.ts";
import { TcpBalancer } from "./tcp-balancer.ts";

/** As haproxy is told to. */
const CHECK_EVERY_MS = 500;

/**
 * For machines without haproxy: new connections go to the ready hub with the fewest; those that are there stay. It
 * passes bytes on and adds no X-Forwarded-For.
 */
export async function startBuiltInBalancer(settings: BalancerSettings): Promise<RunningBalancer> {
  const { hubs, certificate } = settings;
  const up = new Set<number>();
  const check = async () => {
    await Promise.all(
      hubs.map(async ({ port }) => {
        if (await isReady(`http://127.0.0.1:${port}`)) up.add(port);
        else up.delete(port);
      }),
    );
  };
  await check();
  let checking = Promise.resolve();
  let isChecking = false;
  const timer = setInterval(() => {
    if (isChecking) return;
    isChecking = true;
    checking = check().finally(() => {
      isChecking = false;
    });
  }, CHECK_EVERY_MS);

  const balancer: TcpBalancer = await TcpBalancer.listen({
    port: settings.port,
    candidates: () => [...up].sort((a, b) => balancer.connectionsTo(a) - balancer.connectionsTo(b)),
    ...(certificate === undefined ? {} : { tlsBundle: readFileSync(certificate.bundleFile, "utf8") }),
  });
  const status = createServer((_request, response) => {
    response.setHeader("Content-Type", "text/plain");
    response.end(statusCsv(hubs.map(({ name, port }) => ({ name, isUp: up.has(port) }))));
  }).listen(0, "127.0.0.1");
  await once(status, "listening");

  return {
    kind: "built-in balancer",
    pid: undefined,
    logFile: undefined,
    statusUrl: `http://127.0.0.1:${(status.address() as AddressInfo).port}/`,
    stop: async () => {
      clearInterval(timer);
      await checking;
      status.close();
      status.closeAllConnections();
      await balancer.close();
    },
  };
}
