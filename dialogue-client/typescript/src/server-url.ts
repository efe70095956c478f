/**
 * The origin to connect to, always as `http` or `https`.
 *
 * @throws TypeError if it is missing outside a browser, or is not the plain origin of a server.
 */
export function serverOrigin(url: string | undefined): string {
  if (url === undefined) {
    if (typeof location === "undefined") throw new TypeError("`url` is required outside a browser");
    return location.origin;
  }
  const { protocol, host, pathname, search, hash } = new URL(url);
  const secure = /^(?:http|ws)(s?):$/.exec(protocol)?.[1];
  if (secure === undefined || pathname + search + hash !== "/") {
    throw new TypeError(`\`url\` must be http(s):// or ws(s):// and a host, but is \`${url}\`: use \`path\` for a prefix`);
  }
  return `http${secure}://${host}`;
}
