import { isIPv4, isIPv6 } from "node:net";

/**
 * Where a request comes from: the address of the connection, or what the nearest of `proxies` proxies in front says of it.
 * What stands further left in `X-Forwarded-For` anybody can have written.
 */
export function clientAddress(remote: string | undefined, forwardedFor: string | undefined, proxies: number): string {
  const hops = [remote ?? "", ...(forwardedFor ?? "").split(",").reverse()].map((hop) => hop.trim());
  const known = forwardedFor === undefined ? 1 : hops.length;
  return hops[Math.min(proxies, known - 1)] ?? "";
}

/** What stands for one party: an IPv4 address, or the /64 network that a whole household or machine of IPv6 has. */
export function partyOf(address: string): string {
  const plain = address.replace(/^::ffff:(?=\d+\.)/i, "");
  if (isIPv4(plain)) return plain;
  return isIPv6(plain) ? networkOf(plain) : "unknown";
}

function networkOf(address: string): string {
  const [head = "", tail] = address.replace(/%.*$/, "").toLowerCase().split("::");
  const before = head === "" ? [] : head.split(":");
  const after = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = tail === undefined ? [] : Array<string>(Math.max(0, 8 - before.length - after.length)).fill("0");
  const groups = [...before, ...zeros, ...after].slice(0, 4);
  return `${groups.map((group) => group.replace(/^0+(?=.)/, "")).join(":")}::/64`;
}
