/** The most of a path that rules look at, in UTF-16 units. */
const MOST = 8192;

/**
 * The path of a request as rules see it: without its query, percent-decoded once. Nothing if servers could see
 * another one in it: dot segments, empty segments, encoded slashes, backslashes or NUL, what would decode twice,
 * what is no UTF-8. A rule with paths lets none of these through.
 */
export function readPath(target: string): string | undefined {
  const path = target.split("?", 1)[0]!;
  // Beyond the characters of RFC 3986 clients and servers differ.
  if (path.length > MOST || !/^\/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*$/.test(path)) return;
  if (path.includes("//")) return;
  if (/%(?:2f|5c|25|0|1|7f)/i.test(path)) return;
  let decoded: string;
  try {
    decoded = decodeURIComponent(path);
  } catch {
    return;
  }
  // `..;a` is a dot segment to servers that know parameters of segments.
  return decoded.split("/").some((segment) => /^\.{1,2}(?:;|$)/.test(segment)) ? undefined : decoded;
}
