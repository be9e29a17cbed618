import { METRICS } from "../declared/operations.ts";
import type { HttpDeps } from "../deps.ts";
import type { Resource } from "../describe/declaration.ts";
import { telling } from "../endpoint.ts";

/** For Prometheus, with an operator's key; answered in every state of the hub. */
export function metricsResources({ metrics }: HttpDeps): Resource[] {
  return [
    {
      path: "/metrics",
      get: telling(METRICS, async (_request, response) => {
        const text = await metrics.text();
        response.status(200).set("Content-Type", metrics.contentType).end(text);
      }),
    },
  ];
}
