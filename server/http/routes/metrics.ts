import type { HttpDeps } from "../deps.ts";
import { forOperators, type Resource } from "../endpoint.ts";

/** For Prometheus, with an operator's key; answered in every state of the hub. */
export function metricsResources({ metrics }: HttpDeps): Resource[] {
  return [
    {
      path: "/metrics",
      get: forOperators(async (_request, response) => {
        const text = await metrics.text();
        response.status(200).set("Content-Type", metrics.contentType).end(text);
      }),
    },
  ];
}
