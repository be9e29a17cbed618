import { collectDefaultMetrics, Registry } from "@prometheus-io/client";

/**
 * What Node tells of the process: CPU, memory, file descriptors, event loop, garbage collection. To be called once, by
 * whoever owns the process: its observers run until the process ends.
 */
export function observeProcess(): () => Promise<string> {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  return () => registry.metrics();
}
