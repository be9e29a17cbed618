import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Issued, issue } from "../../scripts/cluster/certificate.ts";

export interface Certificates extends Issued {
  /** PEM file of an authority that nobody trusts by himself. */
  readonly caFile: string;
  remove(): void;
}

/** An authority and a server's certificate for these names. */
export function makeCertificates(names: readonly string[]): Certificates {
  const folder = mkdtempSync(join(tmpdir(), "state-hub-tls-"));
  const caFile = join(folder, "ca.pem");
  const issued = issue(names);
  writeFileSync(caFile, issued.ca);
  return { ...issued, caFile, remove: () => rmSync(folder, { recursive: true, force: true }) };
}
