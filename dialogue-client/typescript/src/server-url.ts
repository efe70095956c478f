/**
 * The origin to connect to, always as `http` or `https`.
 *
 * @throws TypeError if it is missing outside a browser, or is not the plain origin of a server.
 */
export function serverOrigin(url = globalThis.location?.origin): string {
  const { origin, pathname, search, hash } = new URL(url?.replace(/^ws/i, "http") ?? "none:");
  if (!/^http/.test(origin) || pathname + search + hash !== "/") {
    throw new TypeError(`\`url\` must be http(s):// or ws(s):// and a host, not \`${url}\`: use \`path\` for a prefix`);
  }
  return origin;
}
