/** What a program without a bundle inherits of our environment. */
export const INHERITED = ["TERM", "LANG"] as const;
