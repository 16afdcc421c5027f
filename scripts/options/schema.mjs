// The JSON schema of sparsync.toml, out of the flags of the command.
import { fromSources } from '../sources.mjs';

const sentence = (text) => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;

/** docs/sparsync.schema.json */
export async function schemaDocument() {
  const { ALL_TABLES, TABLES, flagHelp, isNamedPath, kindOf, settable } = await fromSources(
    'ts/cli/config-tables.ts',
    'ts/cli/config-values.ts',
    'ts/cli/help.ts',
  );
  const value = (flag) => {
    if (isNamedPath(flag)) return { $ref: '#/$defs/paths' };
    if (flag.choices !== undefined)
      return { enum: [...flag.choices, ...(flag.bare === undefined ? [] : [true]), false] };
    return { $ref: `#/$defs/${flag.many === true ? 'list' : kindOf(flag)}` };
  };
  const table = (name) => ({
    type: 'object',
    additionalProperties: false,
    properties: Object.fromEntries(
      settable(ALL_TABLES, name).map((flag) => {
        const isSame = name === 'verify' && settable(ALL_TABLES, 'sync').some((other) => other.name === flag.name);
        if (isSame) return [flag.name, { $ref: `#/properties/sync/properties/${flag.name}` }];
        return [flag.name, { ...value(flag), description: sentence(flagHelp(flag).help) }];
      }),
    ),
  });
  return JSON.stringify({
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'sparsync.toml',
    $comment: 'Written by scripts/options.mjs; never edited.',
    type: 'object',
    additionalProperties: false,
    properties: Object.fromEntries(TABLES.map((name) => [name, table(name)])),
    $defs: {
      switch: { type: 'boolean' },
      integer: { anyOf: [{ type: 'integer' }, { const: false }] },
      size: { anyOf: [{ type: 'integer' }, { type: 'string' }, { const: false }] },
      text: { anyOf: [{ type: 'string' }, { const: false }] },
      list: { anyOf: [{ type: 'string' }, { type: 'array', items: { type: 'string' } }, { type: 'boolean' }] },
      paths: {
        anyOf: [{ $ref: '#/$defs/list' }, { type: 'object', additionalProperties: { type: 'string' } }],
      },
    },
  });
}
