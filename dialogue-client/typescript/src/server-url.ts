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
  const parsed = new URL(url);
  const secure = /^(?:http|ws)(s?):$/.exec(parsed.protocol)?.[1];
  if (secure === undefined) {
    throw new TypeError(`\`url\` must start with http://, https://, ws:// or wss://, but is \`${url}\``);
  }
  if (parsed.pathname !== "/" || parsed.search !== "" || parsed.hash !== "") {
    throw new TypeError(`\`url\` must be an origin without a path, but is \`${url}\`: use \`path\` for a prefix`);
  }
  return `http${secure}://${parsed.host}`;
}
