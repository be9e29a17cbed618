/** What keeps a hub from its Redis, for operators: Redis' own words and what to do, never a command or its arguments. */
export function explainTrouble(error: Error & { readonly code?: string }): string {
  // Redis repeats the arguments of a command that it does not know, and in a login these hold the password.
  const words = (error.message || error.code || error.name).replace(/,? with args.*/s, "");
  const advice = ADVICE.find(({ sign }) => sign.test(`${error.code ?? ""} ${words}`))?.advice;
  return advice === undefined ? words : `${advice} (${words})`;
}

const ADVICE: readonly { readonly sign: RegExp; readonly advice: string }[] = [
  {
    sign: /unknown command/i,
    advice: "this Redis is too old, 7.0 or newer is needed, or it is a Sentinel: name the Redis itself",
  },
  {
    sign: /\b(MOVED|ASK|CROSSSLOT|CLUSTERDOWN)\b/,
    advice: "this Redis runs in cluster mode, which hubs cannot use: name one without it",
  },
  {
    sign: /SELF_SIGNED_CERT|UNABLE_TO_VERIFY|UNABLE_TO_GET_ISSUER/,
    advice: "the certificate of this Redis is not trusted: name the file of its CA in NODE_EXTRA_CA_CERTS",
  },
];
