import { generateKeyPairSync, randomBytes, X509Certificate } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { isIP } from "node:net";
import { join } from "node:path";
import forge from "node-forge";

/** For trying TLS on one machine: a certificate authority of one's own, and what the balancer shows. */
export interface Certificate {
  /** What clients have to trust. */
  readonly caFile: string;
  /** Certificate and private key of the balancer, as haproxy wants them: in one file. */
  readonly bundleFile: string;
}

const DAY_MS = 24 * 60 * 60 * 1_000;
/** Clients refuse certificates that live much longer than a year. */
const VALID_DAYS = 365;
/** Renewed by a start when less is left. */
const RENEW_DAYS = 30;
const NAMES = ["localhost", "127.0.0.1", "::1"];

/** Made once in this folder, readable by its owner alone; made anew, authority and all, before it expires. */
export function selfSigned(folder: string): Certificate {
  const certificate = { caFile: join(folder, "ca.pem"), bundleFile: join(folder, "balancer.pem") };
  if (!isGood(certificate)) make(certificate);
  return certificate;
}

function isGood({ caFile, bundleFile }: Certificate): boolean {
  if (!existsSync(caFile) || !existsSync(bundleFile)) return false;
  const [ca, shown] = [caFile, bundleFile].map((file) => new X509Certificate(readFileSync(file)));
  if (ca === undefined || shown === undefined || !shown.verify(ca.publicKey)) return false;
  return shown.validToDate.getTime() - Date.now() > RENEW_DAYS * DAY_MS;
}

function make({ caFile, bundleFile }: Certificate): void {
  const { ca, cert, key } = issue(NAMES);
  writeFileSync(bundleFile, `${cert}${key}`, { mode: 0o600 });
  writeFileSync(caFile, ca, { mode: 0o600 });
}

/** PEM texts: an authority, and a server's certificate that it signed, with its key. */
export interface Issued {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

/**
 * A new authority and a certificate of it for these names and addresses. The authority's private key is thrown away:
 * nobody can ever sign anything else with it.
 */
export function issue(names: readonly string[]): Issued {
  const authority = newKeys();
  const server = newKeys();
  const issuer = [{ name: "commonName", value: `State Hub authority, made ${new Date().toISOString()}` }];
  const ca = sign(authority.publicKey, issuer, issuer, authority.privateKey, [
    { name: "basicConstraints", cA: true, critical: true },
    { name: "keyUsage", keyCertSign: true, cRLSign: true, critical: true },
  ]);
  const subject = [{ name: "commonName", value: names[0] ?? "" }];
  const cert = sign(server.publicKey, subject, issuer, authority.privateKey, [
    { name: "basicConstraints", cA: false },
    { name: "keyUsage", digitalSignature: true, keyEncipherment: true, critical: true },
    { name: "extKeyUsage", serverAuth: true },
    {
      name: "subjectAltName",
      altNames: names.map((name) => (isIP(name) === 0 ? { type: 2, value: name } : { type: 7, ip: name })),
    },
  ]);
  return { ca, cert, key: forge.pki.privateKeyToPem(server.privateKey) };
}

function newKeys(): forge.pki.rsa.KeyPair {
  // Node's are made in a fraction of the time.
  const { publicKey, privateKey } = generateKeyPairSync("rsa", {
    modulusLength: 2048,
    publicKeyEncoding: { type: "spki", format: "pem" },
    privateKeyEncoding: { type: "pkcs1", format: "pem" },
  });
  return { publicKey: forge.pki.publicKeyFromPem(publicKey), privateKey: forge.pki.privateKeyFromPem(privateKey) };
}

function sign(
  publicKey: forge.pki.rsa.PublicKey,
  subject: forge.pki.CertificateField[],
  issuer: forge.pki.CertificateField[],
  key: forge.pki.rsa.PrivateKey,
  extensions: object[],
): string {
  const certificate = forge.pki.createCertificate();
  certificate.publicKey = publicKey;
  // Positive and of one length, whatever the random bytes are.
  certificate.serialNumber = `01${randomBytes(15).toString("hex")}`;
  certificate.validity.notBefore = new Date(Date.now() - DAY_MS);
  certificate.validity.notAfter = new Date(Date.now() + VALID_DAYS * DAY_MS);
  certificate.setSubject(subject);
  certificate.setIssuer(issuer);
  certificate.setExtensions([...extensions]);
  certificate.sign(key, forge.md.sha256.create());
  return forge.pki.certificateToPem(certificate);
}
