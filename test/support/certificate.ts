import { generateKeyPairSync, randomBytes, sign } from "node:crypto";

/** PEM texts. */
export interface Certificate {
  readonly key: string;
  readonly cert: string;
}

/** Of localhost and 127.0.0.1, signed by itself: whoever names it as a CA trusts it, nobody else does. */
export function selfSigned(): Certificate {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
  const name = sequence(der(0x31, sequence(OID.commonName, der(0x0c, Buffer.from("localhost")))));
  const validity = sequence(time("20200101000000Z"), time("21200101000000Z"));
  const algorithm = sequence(OID.ecdsaWithSha256);
  const extensions = der(0xa3, sequence(extension(OID.basicConstraints, CA), extension(OID.alternativeNames, NAMES)));
  const serial = der(0x02, Buffer.concat([Buffer.from([1]), randomBytes(8)]));
  const key = publicKey.export({ type: "spki", format: "der" });
  const body = sequence(VERSION_3, serial, algorithm, name, validity, name, key, extensions);
  const signature = der(0x03, Buffer.from([0]), sign("sha256", body, privateKey));
  const lines = sequence(body, algorithm, signature).toString("base64").replace(/.{64}/g, "$&\n");
  return {
    key: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
    cert: `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`,
  };
}

/** A value in the encoding that certificates are written in. */
function der(tag: number, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  const size = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}

function sequence(...parts: readonly Buffer[]): Buffer {
  return der(0x30, ...parts);
}

function time(text: string): Buffer {
  return der(0x18, Buffer.from(text));
}

function extension(id: Buffer, value: Buffer): Buffer {
  return sequence(id, der(0x04, value));
}

const oid = (hex: string) => der(0x06, Buffer.from(hex, "hex"));
const OID = {
  commonName: oid("550403"),
  ecdsaWithSha256: oid("2a8648ce3d040302"),
  basicConstraints: oid("551d13"),
  alternativeNames: oid("551d11"),
};
const VERSION_3 = der(0xa0, der(0x02, Buffer.from([2])));
const CA = sequence(der(0x01, Buffer.from([0xff])));
const NAMES = sequence(der(0x82, Buffer.from("localhost")), der(0x87, Buffer.from([127, 0, 0, 1])));
