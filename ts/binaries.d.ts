// Each platform package has only a binary, without types. What an import of it gives depends on the bundler.
declare module 'sparsync-native-*' {
  const binary: unknown;
  export default binary;
}
