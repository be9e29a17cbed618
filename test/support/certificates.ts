import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface Certificates {
  /** PEM file of an authority that nobody trusts by himself. */
  readonly caFile: string;
  readonly ca: string;
  /** Of a server, signed by it. */
  readonly key: string;
  readonly cert: string;
  remove(): void;
}

/** An authority and a server's certificate for these names, made by the system's openssl; good for two days. */
export function makeCertificates(names: readonly string[]): Certificates {
  const folder = mkdtempSync(join(tmpdir(), "state-hub-tls-"));
  const at = (name: string) => join(folder, name);
  const make = (...args: string[]) => {
    const common = [
      "req",
      "-x509",
      "-newkey",
      "ec",
      "-pkeyopt",
      "ec_paramgen_curve:prime256v1",
      "-nodes",
      "-days",
      "2",
    ];
    execFileSync("openssl", [...common, ...args], { stdio: "pipe" });
  };
  make("-subj", "/CN=an authority of a test", "-keyout", at("ca.key"), "-out", at("ca.pem"));
  const alternatives = names.map((name) => (/^[\d.]+$/.test(name) ? `IP:${name}` : `DNS:${name}`)).join(",");
  const signed = ["-CA", at("ca.pem"), "-CAkey", at("ca.key")];
  const leaf = ["-addext", `subjectAltName=${alternatives}`, "-addext", "basicConstraints=critical,CA:FALSE"];
  make("-subj", `/CN=${names[0]}`, ...signed, ...leaf, "-keyout", at("server.key"), "-out", at("server.pem"));
  return {
    caFile: at("ca.pem"),
    ca: readFileSync(at("ca.pem"), "utf8"),
    key: readFileSync(at("server.key"), "utf8"),
    cert: readFileSync(at("server.pem"), "utf8"),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
