import type { ErrorBody } from "../errors.ts";

/** Answer to a request: `{ok: true, …}` or `{ok: false, error}`. */
export type Ack<T extends object> = ({ readonly ok: true } & T) | { readonly ok: false; readonly error: ErrorBody };

export type AckCallback<T extends object> = (ack: Ack<T>) => void;
