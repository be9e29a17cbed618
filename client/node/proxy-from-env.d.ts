/** The package brings no types. */
declare module "proxy-from-env" {
  /** The proxy's address by the environment, or "". */
  export function getProxyForUrl(url: string): string;
}
