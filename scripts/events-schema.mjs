// Writes docs/events.schema.json, the JSON schema of the lines that the command prints as JSON, from their TypeScript types.
//   --check  fails when the committed file is not what the types say
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ROOT } from './process.mjs';

const FILE = join(ROOT, 'docs', 'events.schema.json');

/** How values that JSON does not have are printed. */
const PRINTED = {
  Uint8Array: { type: 'string', contentEncoding: 'base64' },
  Date: { type: 'string', format: 'date-time' },
};

async function schemaText() {
  // Not at the top: this module is loaded before the dependencies are installed.
  const { default: ts } = await import('typescript');
  const source = join(ROOT, 'ts', 'cli', 'json-lines.ts');
  const { config } = ts.readConfigFile(join(ROOT, 'tsconfig.json'), ts.sys.readFile);
  const { options } = ts.parseJsonConfigFileContent({ ...config, include: [source] }, ts.sys, ROOT);
  const program = ts.createProgram([source], options);
  const checker = program.getTypeChecker();
  const exported = checker.getExportsOfModule(checker.getSymbolAtLocation(program.getSourceFile(source)));
  const root = (name) => checker.getDeclaredTypeOfSymbol(exported.find((symbol) => symbol.name === name));
  const schemas = new Schemas(ts, checker, namedSets(ts, checker, program));
  const anyOf = schemas.of(root('JsonLine'));
  const logLine = { description: 'A line of a server log in JSON.', ...schemas.of(root('LogLine')) };
  return written(
    {
      $schema: 'https://json-schema.org/draft/2020-12/schema',
      $id: 'urn:sparsync-native:events:1',
      title: 'Lines of sparsync --json (schema 1), and of a server log in JSON ($defs/logLine)',
      $comment: 'Written by scripts/events-schema.mjs; never edited.',
      ...anyOf,
    },
    { ...schemas.definitions, logLine },
  );
}

/** A definition on each line: as prettier has it the file would be twice as large. */
function written(document, definitions) {
  const line = ([name, value]) => `${JSON.stringify(name)}: ${JSON.stringify(value)}`;
  const lines = Object.entries(definitions).map((each) => `    ${line(each)}`);
  const head = Object.entries(document).map((each) => `  ${line(each)},\n`);
  return `{\n${head.join('')}  "$defs": {\n${lines.join(',\n')}\n  }\n}\n`;
}

/** The names of exported closed sets, by their words. */
function namedSets(ts, checker, program) {
  const names = new Map();
  for (const file of program.getSourceFiles().filter(({ fileName }) => fileName.startsWith(join(ROOT, 'ts')))) {
    for (const statement of file.statements.filter(ts.isTypeAliasDeclaration)) {
      const type = checker.getTypeAtLocation(statement.name);
      if (type.isUnion() && type.types.every((each) => each.isStringLiteral())) {
        names.set(JSON.stringify(type.types.map(({ value }) => value).sort()), statement.name.text);
      }
    }
  }
  return names;
}

/** Schemas of types. Interfaces are definitions, each once. */
class Schemas {
  definitions = {};

  constructor(ts, checker, sets) {
    this.ts = ts;
    this.checker = checker;
    this.sets = sets;
  }

  of(type) {
    const { TypeFlags } = this.ts;
    if (type.isUnion()) return this.union(type.types);
    if (type.isLiteral()) return { const: type.value };
    if (type.flags & TypeFlags.BooleanLiteral) return { const: type.intrinsicName === 'true' };
    if (type.flags & TypeFlags.String) return { type: 'string' };
    if (type.flags & TypeFlags.Number) return { type: 'number' };
    if (this.checker.isArrayType(type))
      return { type: 'array', items: this.of(this.checker.getTypeArguments(type)[0]) };
    const name = (type.aliasSymbol ?? type.symbol)?.name;
    if (name in PRINTED) return PRINTED[name];
    if (!type.isClassOrInterface()) return this.object(type);
    if (!(name in this.definitions)) {
      this.definitions[name] = {};
      this.definitions[name] = { ...described(type.symbol, this.checker), ...this.object(type) };
    }
    return { $ref: `#/$defs/${name}` };
  }

  union(types) {
    // In an order of their own: the compiler's follows from what else there is.
    const present = types
      .filter((type) => !(type.flags & this.ts.TypeFlags.Undefined))
      .sort((one, other) => (this.sortKey(one) < this.sortKey(other) ? -1 : 1));
    if (present.every((type) => type.flags & this.ts.TypeFlags.BooleanLiteral)) return { type: 'boolean' };
    if (present.length > 1 && present.every((type) => type.isStringLiteral())) {
      return this.set(present.map(({ value }) => value));
    }
    const [only, ...others] = merged(present.map((type) => this.of(type)));
    return others.length === 0 ? only : { anyOf: [only, ...others] };
  }

  /** What types of a union are sorted by: words, names, or what their `type` says. */
  sortKey(type) {
    if (type.isLiteral()) return String(type.value);
    const kind = type.getProperty('type');
    const said = kind === undefined ? undefined : this.checker.getTypeOfSymbol(kind);
    return type.isClassOrInterface() || said?.isLiteral() !== true ? (type.symbol?.name ?? '') : String(said.value);
  }

  set(words) {
    const name = this.sets.get(JSON.stringify(words));
    if (name === undefined) return { enum: words };
    this.definitions[name] = { enum: words };
    return { $ref: `#/$defs/${name}` };
  }

  object(type) {
    const index = type.getStringIndexType();
    if (index !== undefined) return { type: 'object', additionalProperties: this.of(index) };
    const properties = type.getProperties();
    const typeOf = (property) => this.checker.getTypeOfSymbol(property);
    const isOptional = (property) =>
      (property.flags & this.ts.SymbolFlags.Optional) !== 0 ||
      (typeOf(property).isUnion() && typeOf(property).types.some(({ flags }) => flags & this.ts.TypeFlags.Undefined));
    return {
      type: 'object',
      properties: Object.fromEntries(
        properties.map((property) => [
          property.name,
          // What the parts of a mapped type mean stands where they are declared.
          { ...this.of(typeOf(property)), ...(type.isClassOrInterface() ? described(property, this.checker) : {}) },
        ]),
      ),
      required: properties.filter((property) => !isOptional(property)).map(({ name }) => name),
      additionalProperties: false,
    };
  }
}

/** The two literals of a boolean that stands in a larger union are one type. */
function merged(schemas) {
  const others = schemas.filter((schema) => typeof schema.const !== 'boolean');
  return others.length === schemas.length ? schemas : [...others, { type: 'boolean' }];
}

/** The first sentence of a documentation, as a description. */
function described(symbol, checker) {
  const text = symbol
    .getDocumentationComment(checker)
    .map((part) => part.text)
    .join('')
    .replaceAll(/\s+/g, ' ');
  const sentence = /^.*?\.(?= |$)/.exec(text)?.[0];
  return sentence === undefined ? {} : { description: sentence };
}

/** Whether the committed file is what the types say. */
export async function eventsSchemaIsCurrent() {
  return existsSync(FILE) && readFileSync(FILE, 'utf8') === (await schemaText());
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (process.argv.includes('--check')) process.exitCode = (await eventsSchemaIsCurrent()) ? 0 : 1;
  else writeFileSync(FILE, await schemaText());
}
