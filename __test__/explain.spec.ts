// What decides about a path: the rule, its file and its line, at both ends, and what then really happens.
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';

import test from 'ava';

import { ConfigError, explain, sync } from '../dist/index.js';
import { cli, exit } from './helpers/cli.js';
import { failure, setup } from './helpers/setup.js';
import { dir } from './helpers/temp.js';

test('the rule that decides is named with its file and line, at both ends, here and at a server', async (t) => {
  const { work, served, access, server, client, url } = await setup(t);
  const [source, destination, remote] = [dir(work, 'src'), dir(work, 'dest'), dir(served, 'dest')];
  for (const tree of [source, destination, remote]) {
    mkdirSync(`${tree}/sub/deep`, { recursive: true });
    for (const name of ['a.tmp', 'b', 'sub/a.tmp', 'sub/deep/b', 'sub/c.o']) writeFileSync(`${tree}/${name}`, '');
  }
  writeFileSync(`${source}/.f`, '# of the source\n+ c.o\n- *.tmp\n');
  writeFileSync(`${source}/sub/.f`, '- /deep\n');
  for (const tree of [destination, remote]) writeFileSync(`${tree}/.f`, '\nP b\n');
  writeFileSync(`${work}/rules`, '; comment\n- *.o\n');
  const filter = [{ dirMerge: '.f' }, { mergeFile: `${work}/rules` }, { exclude: '/b' }];
  const options = { ...access, filter };
  const inSource = source.slice(1);
  for (const [to, below] of [
    [destination, destination.slice(1)],
    [server.url('root', 'dest'), 'dest'],
  ] as const) {
    const short = async (path: string): Promise<unknown> => {
      const told = await explain(source, to, path, options);
      t.deepEqual(
        told.map(({ side }) => side),
        ['source', 'destination'],
      );
      return told.map((one) => [one.path, one.included, one.rule, one.file, one.line, one.index]);
    };
    t.deepEqual(await short('sub/a.tmp'), [
      ['sub/a.tmp', false, '- *.tmp', `${inSource}/.f`, 3, undefined],
      ['sub/a.tmp', true, undefined, undefined, undefined, undefined],
    ]);
    t.deepEqual(await short('sub/deep/b'), [
      ['sub/deep', false, '- /deep', `${inSource}/sub/.f`, 1, undefined],
      ['sub/deep/b', false, 'P b', `${below}/.f`, 2, undefined],
    ]);
    t.deepEqual(await short('sub/c.o'), [
      ['sub/c.o', true, '+ c.o', `${inSource}/.f`, 2, undefined],
      ['sub/c.o', false, '- *.o', `${work}/rules`, 2, 1],
    ]);
    t.deepEqual(await short('b'), [
      ['b', false, '- /b', undefined, undefined, 2],
      ['b', false, 'P b', `${below}/.f`, 2, undefined],
    ]);
  }
  const pulled = await explain(server.url('root', 'dest'), source, 'sub/a.tmp', options);
  t.deepEqual(
    pulled.map((one) => [one.side, one.included, one.file]),
    [
      ['source', true, undefined],
      ['destination', false, `${inSource}/.f`],
    ],
  );
  // What was said is what is done.
  await sync(source, destination, { filter, delete: true, allowMassDelete: true });
  t.deepEqual(
    ['sub/a.tmp', 'sub/deep/b', 'sub/c.o', 'b'].map((path) => existsSync(`${destination}/${path}`)),
    [false, true, true, true],
  );
  const words = ['-a', '-f', ': .f', '--explain=sub/a.tmp', '--explain', 'gone', `${source}/`, `${url('dest')}/`];
  const ran = await cli(t, client, words);
  t.is(ran.code, exit.ok, ran.stderr);
  t.is(
    ran.stdout,
    [
      `source: sub/a.tmp is not sent: rule "- *.tmp" (${inSource}/.f, line 3)`,
      'destination: sub/a.tmp may be deleted: no rule matches',
      'source: gone may be sent: no rule matches; nothing is there',
      'destination: gone may be deleted: no rule matches; nothing is there',
      '',
    ].join('\n'),
  );
  t.true(existsSync(`${remote}/sub/a.tmp`), 'nothing was done');
  const error = await failure(t, explain(source, destination, '../x', options), ConfigError);
  t.is(error.code, 'ERR_SPARSYNC_CONFIG');
});

test('a key that may not read is told where a rule stands, and not what it says', async (t) => {
  const { work, served, server, access } = await setup(t, { rights: 'write,delete' });
  const [source, remote] = [dir(work, 'src'), dir(served, 'dest')];
  writeFileSync(`${source}/a`, '');
  writeFileSync(`${remote}/.f`, 'P secret*\nP a\n');
  const told = await explain(source, server.url('root', 'dest'), 'a', { ...access, filter: [': .f'] });
  t.deepEqual([told[1].rule, told[1].file, told[1].line, told[1].included], ['', 'dest/.f', 2, false]);
  writeFileSync(`${remote}/.f`, 'P x\nsecret rule\n');
  const run = sync(source, server.url('root', 'dest'), { ...access, filter: [': .f'] });
  const error = await failure(t, run, ConfigError);
  t.regex(error.message, /line 2/);
  t.notRegex(JSON.stringify([error.message, error.details, error.path]), /secret/);
});

test('rules of standard input, which can be read once, are named by their lines', async (t) => {
  const { work, client } = await setup(t);
  const source = dir(work, 'src');
  writeFileSync(`${source}/a.o`, '');
  const words = ['-a', '--exclude-from=-', '--explain=a.o', `${source}/`, `${work}/dest/`];
  const ran = await cli(t, client, words, { input: '# objects\n*.o\n' });
  t.is(ran.code, exit.ok, ran.stderr);
  t.regex(ran.stdout, /^source: a\.o is not sent: rule "- \*\.o" \(-, line 2\)$/m);
});

test('what rules decide is told where it is decided: of both ends here, of a server never', async (t) => {
  const { work, served, access, url } = await setup(t);
  const [source, destination, remote] = [dir(work, 'src'), dir(work, 'dest'), dir(served, 'dest')];
  for (const tree of [source, destination, remote]) {
    mkdirSync(`${tree}/sub`);
    for (const name of ['a.tmp', 'b', 'sub/c.o', 'sub/z']) writeFileSync(`${tree}/${name}`, '');
  }
  writeFileSync(`${work}/rules`, '; comment\n- *.o\n');
  const rules = [{ exclude: '*.tmp' }, { mergeFile: `${work}/rules` }, 'P z'];
  const told = async (from: string, to: string, more: object = {}): Promise<string[]> => {
    const found: string[] = [];
    const job = sync(from, to, {
      ...access,
      filter: rules,
      delete: true,
      dryRun: true,
      events: { filter: true },
      ...more,
    });
    for await (const event of job) {
      if (event.type !== 'filter') continue;
      const { side, path, kind, included, rule, file, line, index } = event;
      found.push([side, path, kind, included, rule, file, line, index].join(' '));
    }
    return found.toSorted();
  };
  const of = (side: string): string[] => [
    `${side} a.tmp file false - *.tmp   0`,
    `${side} sub/c.o file false - *.o ${work}/rules 2 1`,
  ];
  const there = [...of('destination'), 'destination sub/z file false P z   2'];
  t.deepEqual(await told(source, destination), [...there, ...of('source')]);
  t.deepEqual(await told(source, url('dest')), of('source'));
  t.deepEqual(await told(url('dest'), destination), there);
  t.deepEqual(await told(source, destination, { delete: false }), of('source'));
  t.deepEqual(await told(source, destination, { delete: false, filesFrom: ['sub'] }), of('source').slice(1));
  t.deepEqual(await told(source, destination, { events: { items: true } }), []);
});
