const PLACE: string = "@BUILD_ID@";
/** Names the build: `deno task build` puts a hash of the program here. In a checkout, where code changes, it stays empty. */
export const BUILD_ID: string = PLACE[0] === "@" ? "" : PLACE;
