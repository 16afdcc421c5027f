// The platform packages hold a binary each, and no types: what an import of one gives is up to the bundler.
declare module 'sparsync-native-*' {
  const binary: unknown;
  export default binary;
}
