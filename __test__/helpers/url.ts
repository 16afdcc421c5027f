/** The URL of a path below a root, at a host and port. */
export function urlAt(authority: string, ...names: readonly string[]): string {
  return [`sparsync://${authority}`, ...names].join('/');
}
