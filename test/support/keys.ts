import { rest } from "./rest.ts";
import type { Json } from "./wire.ts";

interface Address {
  readonly url: string;
  readonly key: string;
}

/** A managed key, with the hub to use it at. */
export interface MadeKey extends Address {
  readonly id: string;
  readonly body: Json;
}

/** Made by the operator whose key the address holds. */
export async function makeKey(hub: Address, wish: object): Promise<MadeKey> {
  const { status, body } = await rest(hub, "POST /admin/keys", { body: wish });
  if (status !== 201) throw new Error(`no key was made: ${JSON.stringify(body)}`);
  return { url: hub.url, key: body.key, id: body.id, body };
}

/** How `GET /admin/keys` shows a key, or undefined. */
export async function shownKey(hub: Address, id: string): Promise<Json> {
  const { body } = await rest(hub, "GET /admin/keys");
  return body.items.find((key: Json) => key.id === id);
}
