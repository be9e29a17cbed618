import { describe, expect, test } from "vitest";
import { clientAddress, partyOf } from "../../server/domain/client-address.ts";

describe("[K13] whose address it is", () => {
  test.each([
    [undefined, 0, "10.0.0.9"],
    ["6.6.6.6", 0, "10.0.0.9"],
    ["6.6.6.6, 1.2.3.4", 1, "1.2.3.4"],
    ["6.6.6.6, 1.2.3.4, 10.0.0.8", 2, "1.2.3.4"],
    ["1.2.3.4", 5, "1.2.3.4"],
    [undefined, 1, "10.0.0.9"],
  ])("X-Forwarded-For %s behind %i proxies: %s", (forwardedFor, proxies, expected) => {
    expect(clientAddress("10.0.0.9", forwardedFor, proxies)).toBe(expected);
  });

  test.each([
    ["1.2.3.4", "1.2.3.4"],
    ["::ffff:1.2.3.4", "1.2.3.4"],
    ["2001:db8:0:7:1:2:3:4", "2001:db8:0:7::/64"],
    ["2001:DB8::0007:1:2:3:4", "2001:db8:0:7::/64"],
    ["fe80::1%eth0", "fe80:0:0:0::/64"],
    ["::1", "0:0:0:0::/64"],
    ["", "unknown"],
    ["\u001b[31m<script>", "unknown"],
  ])("%s is %s", (address, party) => {
    expect(partyOf(address)).toBe(party);
  });
});
