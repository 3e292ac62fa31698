import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import * as fc from 'fast-check'
import t from 'tap'
import schema from '../conf/cheat_sheet.schema.json' with { type: 'json' }
import shipped from '../conf/S2_1_CHEAT_SHEET.json' with { type: 'json' }
import { loadConfig } from '../scripts/job/config.ts'
import { UserError } from '../scripts/job/errors.ts'
import { helpText, integerFlag, parseFlags, scriptArguments } from '../scripts/job/flags.ts'
import { nearest } from '../scripts/job/nearest.ts'
import { day, fileStamp, formatDuration, formatTime, hour, minute, parseTime } from '../scripts/job/time.ts'
import { marketDataDir, skipWithoutMarketData } from './support/exchange/recorded.ts'
import { check, seed, runs as tries } from './support/properties.ts'
import { thrownBy } from './support/thrown.ts'
import { temporaryFolder } from './support/workspace.ts'

const now = Date.parse('2024-05-05T12:10:30Z')
t.comment(`FC_SEED=${seed}`)

/** A property as JSON.parse makes it, also where its name means something to JavaScript. */
function define(tree: unknown, name: string): void {
  if (typeof tree !== 'object' || tree === null) return
  Object.defineProperty(tree, name, { value: 1, enumerable: true, configurable: true })
}

await t.test('the configuration', async group => {
  const folder = temporaryFolder(group)
  const file = join(folder, 'sheet.json')
  const load = (text: string) => {
    writeFileSync(file, text)
    return loadConfig(file)
  }
  type Tree = { [key: string]: Tree }
  const copy = () => structuredClone(shipped) as unknown as Tree
  const changed = (change: (sheet: Tree) => void) => {
    const sheet = copy()
    change(sheet)
    return JSON.stringify(sheet)
  }
  const put = (path: string, value: unknown) => (sheet: Tree) => {
    const steps = path.split('.')
    const parent = steps.slice(0, -1).reduce((tree, step) => tree[step] as Tree, sheet)
    if (value === undefined) delete parent[steps.at(-1) as string]
    else parent[steps.at(-1) as string] = value as Tree
  }

  await group.test('is refused with status 78, the path, what is wrong, and what was meant', async test => {
    const refusals: [path: string, value: unknown, problem: string][] = [
      ['sync.lookbak', 4, 'sync.lookbak: unknown key — did you mean "lookback"?'],
      [
        'paths.elsewhere',
        '/',
        'paths.elsewhere: unknown key — one of workspace, database, state, logs, metrics',
      ],
      ['sync.__proto', 1, 'sync.__proto: unknown key — one of'],
      ['a b', 1, '["a b"]: unknown key'],
      ['sync.lookback', '4', 'sync.lookback: must be integer, not "4" — write 4'],
      ['sync.lookback', 4.4, 'sync.lookback: must be integer, not 4.4 — write 4'],
      ['sync.min_success_ratio', '0.5', 'sync.min_success_ratio: must be number, not "0.5" — write 0.5'],
      ['sync.symbols', 'BTCUSDT', 'sync.symbols: must be array, not "BTCUSDT" — write ["BTCUSDT"]'],
      ['sync.base_url', 7, 'sync.base_url: must be string or null, not 7'],
      ['sync', null, 'sync: must be object, not null'],
      ['sync.concurrency', 0, 'sync.concurrency: 0 is out of range — must be >= 1'],
      ['sync.concurrency', 65, 'sync.concurrency: 65 is out of range — must be <= 64'],
      ['sync.timeout_minutes', 0, 'sync.timeout_minutes: 0 is out of range — must be > 0'],
      [
        'sync.retry.timeout.backoff_seconds',
        [1, -1],
        'sync.retry.timeout.backoff_seconds[1]: -1 is out of range',
      ],
      ['sync.interval', '4hr', 'sync.interval: "4hr" is not allowed — did you mean "4h"?'],
      ['sync.interval', 'weekly', 'sync.interval: "weekly" is not allowed — one of 1h, 4h, 1d'],
      ['sync.symbols', [], 'sync.symbols: [] must NOT have fewer than 1 items'],
      [
        'sync.symbols',
        ['AUSDT', 'BUSDT', 'AUSDT'],
        'sync.symbols[2]: "AUSDT" stands at sync.symbols[0] already — npx zx scripts/symbols.mts --fix',
      ],
      [
        'sync.symbols',
        ['BTC USDT'],
        'sync.symbols[0]: "BTC USDT" has the wrong form — a symbol as the exchange',
      ],
      [
        'sync.base_url',
        'fapi.binance.com',
        'sync.base_url: "fapi.binance.com" has the wrong form — an address',
      ],
      [
        'alerts.heartbeat.url_env',
        'my url',
        'alerts.heartbeat.url_env: "my url" has the wrong form — the name',
      ],
      ['paths.workspace', undefined, 'paths.workspace: is missing'],
      ['sync.symbols', undefined, 'sync.symbols: is missing'],
      ['sync', undefined, 'sync: is missing'],
    ]
    for (const [path, value, problem] of refusals) {
      const error = thrownBy(() => load(changed(put(path, value))))
      test.equal(error.status, 78)
      test.ok(error.message.startsWith(`${file} is not valid:\n`))
      test.ok(error.message.includes(`\n  ${problem}`), `${problem}\n${error.message}`)
    }
    for (const document of ['null', '[]', '"text"', '7']) {
      test.match(thrownBy(() => load(document)).message, `  must be object, not ${document}`)
    }
  })

  await group.test('is told all its problems at once', async test => {
    const text = changed(sheet => {
      put('sync.lookbak', 4)(sheet)
      put('sync.interval', '4hr')(sheet)
      put('paths.workspace', undefined)(sheet)
    })
    const lines = thrownBy(() => load(text)).message.split('\n')
    test.equal(lines.length, 4)
  })

  await group.test('passes with the problems that its caller is there to mend', async test => {
    writeFileSync(file, changed(put('sync.symbols', ['AUSDT', 'AUSDT'])))
    test.same(loadConfig(file, ({ path }) => path === 'sync.symbols[1]').sync.symbols, ['AUSDT', 'AUSDT'])
    test.equal(thrownBy(() => loadConfig(file, ({ path }) => path === 'sync.symbols[2]')).status, 78)
  })

  await group.test('that is no JSON, no file, or not there is said so', async test => {
    test.match(
      thrownBy(() => load('{"paths": }')),
      { status: 78, message: `${file} is not JSON: ` },
    )
    test.match(
      thrownBy(() => load('')),
      { status: 78, hint: 'A comma too many or too few is the usual cause.' },
    )
    const absent = thrownBy(() => loadConfig(join(folder, 'absent.json')))
    test.match(absent, { status: 78, message: 'absent.json does not exist', hint: '--config FILE' })
    test.match(
      thrownBy(() => loadConfig(folder)),
      { status: 78, message: 'cannot be read (EISDIR)' },
    )
  })

  await group.test('is the named file, else $CANDLEKEEP_CONFIG, else the shipped one', async test => {
    const before = process.env.CANDLEKEEP_CONFIG
    test.teardown(() => {
      if (before === undefined) delete process.env.CANDLEKEEP_CONFIG
      else process.env.CANDLEKEEP_CONFIG = before
    })
    writeFileSync(file, JSON.stringify(shipped))
    delete process.env.CANDLEKEEP_CONFIG
    test.match(loadConfig(undefined).file, /\/conf\/S2_1_CHEAT_SHEET\.json$/)
    process.env.CANDLEKEEP_CONFIG = file
    test.equal(loadConfig(undefined).file, file)
    process.env.CANDLEKEEP_CONFIG = '/absent.json'
    test.equal(loadConfig(file).file, file)
  })

  await group.test('gets the defaults of the schema, which are the shipped values', async test => {
    const { paths, sync } = shipped
    const full = loadConfig(undefined)
    const { $schema: _, ...bare } = full
    const least = { paths: { workspace: paths.workspace }, sync: { symbols: sync.symbols } }
    test.strictSame(load(JSON.stringify(least)), { ...bare, file, isDefault: false })
    let compared = 0
    const compare = (node: Tree, value: Tree | undefined, path: string) => {
      for (const [name, property] of Object.entries(node.properties ?? {})) {
        const given = value?.[name]
        compare(property, given, `${path}.${name}`)
        if (!('default' in property) || 'properties' in property) continue
        test.strictSame(given, property.default, `${path}.${name}`)
        compared++
      }
    }
    compare(schema as unknown as Tree, shipped as unknown as Tree, '')
    test.ok(compared >= 18, `${compared} defaults`)
  })

  await group.test(
    'has absolute paths: a workspace beside the file, the rest in the workspace',
    async test => {
      const paths = {
        workspace: 'agent',
        database: '../db/a.db',
        state: '/s',
        logs: 'logs',
        metrics: 'metrics',
        jobs: '/opt/jobs',
      }
      const absolute = load(changed(put('paths', paths))).paths
      const workspace = join(folder, 'agent')
      test.strictSame(absolute, {
        workspace,
        database: join(folder, 'db/a.db'),
        state: '/s',
        logs: `${workspace}/logs`,
        metrics: `${workspace}/metrics`,
        jobs: '/opt/jobs',
        install: '/opt/crypto-futures-agent',
      })
    },
  )

  await group.test(
    'of the shipped symbols is what traded in March 2026',
    { skip: skipWithoutMarketData() },
    async test => {
      const known = JSON.parse(readFileSync(join(marketDataDir(), 'symbols.json'), 'utf8')) as Tree
      test.equal(shipped.sync.symbols.length, 60)
      test.same([...shipped.sync.symbols].sort(), [...(known.trading_2026_03 as unknown as string[])].sort())
    },
  )

  await group.test('is either taken or refused with status 78, whatever has become of it', async test => {
    const step = fc.nat(30)
    const spoilt = fc.oneof(
      fc.jsonValue(),
      fc.constantFrom(undefined, 0, -1, 1e300, '', '4h', [], {}, '__proto__'),
    )
    const mutation = fc.record({ way: fc.array(step, { minLength: 1, maxLength: 5 }), value: spoilt })
    const key = fc.option(fc.constantFrom('__proto__', 'constructor', 'lookbak', '0', ''))
    let taken = 0
    const survives = (text: string) => {
      try {
        load(text)
        taken++
      } catch (error) {
        if (!(error instanceof UserError) || error.status !== 78) throw error
      }
    }
    check(
      fc.property(fc.array(mutation, { minLength: 1, maxLength: 3 }), key, (mutations, added) => {
        const sheet = copy()
        for (const { way, value } of mutations) mutate(sheet, way, value)
        if (added !== null) define(sheet.sync, added)
        survives(JSON.stringify(sheet))
      }),
      tries(400),
    )
    const text = JSON.stringify(shipped)
    check(
      fc.property(fc.nat(text.length), fc.nat(20), fc.string({ maxLength: 4 }), (at, length, other) => {
        survives(text.slice(0, at) + other + text.slice(at + length))
      }),
      tries(200),
    )
    test.ok(taken > 0, `${taken} of 600 were still valid`)
  })

  /** Puts `value` somewhere below `tree`: `way` chooses the branches. */
  function mutate(tree: Tree, [first = 0, ...way]: number[], value: unknown): void {
    const keys = Object.keys(tree)
    const chosen = keys[first % keys.length]
    if (chosen === undefined) return
    const below: unknown = tree[chosen]
    if (way.length > 0 && typeof below === 'object' && below !== null)
      return mutate(below as Tree, way, value)
    if (value === undefined) delete tree[chosen]
    else tree[chosen] = structuredClone(value) as Tree
  }
})

await t.test('flags', async group => {
  const flags = {
    symbols: { value: 'A,B', help: 'which' },
    lookback: { value: 'N', help: 'how many' },
    'dry-run': { help: 'change nothing' },
    help: { help: 'this text' },
  } as const

  await group.test('are read with their value after a space or an equals sign', async test => {
    const none = { symbols: undefined, lookback: undefined, 'dry-run': false, help: false }
    test.strictSame(parseFlags(flags, []), none)
    test.strictSame(parseFlags(flags, ['--symbols', 'A', '--dry-run']), {
      ...none,
      symbols: 'A',
      'dry-run': true,
    })
    test.strictSame(parseFlags(flags, ['--symbols=A=B,--C']), { ...none, symbols: 'A=B,--C' })
    test.strictSame(parseFlags(flags, ['--symbols=', '--lookback', '-3']), {
      ...none,
      symbols: '',
      lookback: '-3',
    })
  })

  await group.test('that cannot be meant are refused with status 64 and what was meant', async test => {
    const refusals: [args: string[], message: string, hint: string][] = [
      [['--symbls', 'A'], 'unknown argument --symbls', 'Did you mean --symbols?'],
      [['--dryrun'], 'unknown argument --dryrun', 'Did you mean --dry-run?'],
      [['-help'], 'unknown argument -help', 'Did you mean --help?'],
      [['--symbls=A'], 'unknown argument --symbls=A', 'Did you mean --symbols?'],
      [['--utterly-else'], 'unknown argument --utterly-else', '--help shows the flags.'],
      [['--toString'], 'unknown argument --toString', '--help shows the flags.'],
      [['BTCUSDT'], 'unknown argument BTCUSDT', '--help shows the flags.'],
      [['--'], 'unknown argument --', '--help shows the flags.'],
      [['--symbols'], '--symbols needs a value: --symbols A,B', '--help shows the flags.'],
      [['--symbols', '--dry-run'], '--symbols needs a value: --symbols A,B', '--help shows the flags.'],
      [['--dry-run=yes'], '--dry-run takes no value', '--help shows the flags.'],
    ]
    for (const [args, message, hint] of refusals) {
      const error = thrownBy(() => parseFlags(flags, args))
      test.strictSame(
        { message: error.message, hint: error.hint, status: error.status },
        { message, hint, status: 64 },
      )
    }
  })

  await group.test('are either read or refused with status 64, whatever is written', async () => {
    const word = fc.oneof(
      fc.string(),
      fc.constantFrom('--symbols', '--dry-run', '--lookback=', '--help', '--'),
    )
    check(
      fc.property(fc.array(word), args => {
        try {
          parseFlags(flags, args)
        } catch (error) {
          if (!(error instanceof UserError) || error.status !== 64) throw error
        }
      }),
      tries(200),
    )
  })

  await group.test('with a whole number keep to their bounds', async test => {
    test.equal(integerFlag('n', undefined, 1, 9), undefined)
    for (const [text, number] of [
      ['1', 1],
      ['9', 9],
      ['007', 7],
    ] as const)
      test.equal(integerFlag('n', text, 1, 9), number)
    for (const text of ['0', '10', '-1', '1.5', '1e0', '', ' 1', '0x1', 'x', '9'.repeat(400)]) {
      const { message, status } = thrownBy(() => integerFlag('n', text, 1, 9))
      test.strictSame(
        [message, status],
        [`--n ${JSON.stringify(text)} is not a whole number from 1 to 9`, 64],
      )
    }
  })

  await group.test('are all in the help', async test => {
    const text = helpText(fileURLToPath(new URL('../scripts/try.mts', import.meta.url)), 'Tries.', flags)
    const shown = [
      'Tries.',
      'Usage: npx zx scripts/try.mts [flags]',
      '--symbols A,B',
      '--dry-run',
      '--config FILE',
    ]
    for (const part of [...shown, '--json', '124 deadline']) test.ok(text.includes(part), part)
  })

  await group.test('come after the script, whoever runs it', async test => {
    test.same(scriptArguments(['node', '/p/a.mts', '--x', 'b.mts']), ['--x', 'b.mts'])
    test.same(scriptArguments(['node', '/bin/zx', 'scripts/a.mts', '--x']), ['--x'])
    test.same(scriptArguments(['node', '/bin/zx', 'scripts/a.mts', '--', '--x', '--']), ['--x', '--'])
  })
})

await t.test('the nearest name', async group => {
  await group.test('is the one with few letters changed, or none', async test => {
    const names = ['symbols', 'since', 'lookback']
    for (const [given, meant] of [
      ['symbol', 'symbols'],
      ['SYMBOLS', 'symbols'],
      ['lokback', 'lookback'],
      ['sinse', 'since'],
      ['loop', undefined],
      ['', undefined],
    ] as const)
      test.equal(nearest(given, names), meant, given)
    test.equal(nearest('x', []), undefined)
  })

  await group.test('of a candidate is itself', async test => {
    const names = fc.uniqueArray(fc.string({ minLength: 1 }), {
      minLength: 1,
      selector: name => name.toLowerCase(),
    })
    check(
      fc.property(names, candidates => candidates.every(name => nearest(name, candidates) === name)),
      tries(200),
    )
    test.pass()
  })
})

await t.test('times', async group => {
  await group.test('are written for people and for file names', async test => {
    test.equal(formatTime(now), '2024-05-05 12:10 UTC')
    test.equal(fileStamp(now), '2024-05-05_12-10-30')
  })

  await group.test('are read as written, UTC where no zone is given', async test => {
    for (const [text, time] of [
      ['2026-03-15', '2026-03-15T00:00:00Z'],
      ['2026-03-15T01:00', '2026-03-15T01:00:00Z'],
      ['2026-03-15 01:00:30', '2026-03-15T01:00:30Z'],
      ['2026-03-15T01:00:30.250Z', '2026-03-15T01:00:30.250Z'],
      ['2026-03-15T01:00+05:30', '2026-03-14T19:30:00Z'],
      ['2024-02-29', '2024-02-29T00:00:00Z'],
    ] as const)
      test.equal(parseTime(text, now, '--since'), Date.parse(time), text)
    test.equal(parseTime('36h', now, '--since'), now - 36 * hour)
    test.equal(parseTime('30d', now, '--since'), now - 30 * day)
    test.equal(parseTime('2w', now, '--since'), now - 14 * day)
    const times = fc.integer({ min: Date.parse('1970-01-01'), max: Date.parse('9999-12-31') })
    check(
      fc.property(times, time => parseTime(new Date(time).toISOString(), now, '--since') === time),
      tries(200),
    )
  })

  await group.test('that do not exist are refused', async test => {
    const wrong = ['', 'yesterday', '2026-02-30', '2025-02-29', '2026-13-01', '2026-3-1', '2026-03-15T25:00Z']
    for (const text of [
      ...wrong,
      '2026-03-15T01',
      '30',
      '30m',
      '-3d',
      '1.5d',
      '2026-03-15T01:00+99:00',
      '15.03.2026',
    ]) {
      const error = thrownBy(() => parseTime(text, now, '--since'))
      test.match(
        error,
        { status: 64, message: `--since ${JSON.stringify(text)} is not a time`, hint: '36h' },
        text,
      )
    }
  })

  await group.test('that have passed are told in the two largest units', async test => {
    for (const [ms, text] of [
      [0, '0 ms'],
      [850.4, '850 ms'],
      [999.6, '1.0 s'],
      [12_345, '12.3 s'],
      [59_940, '59.9 s'],
      [59_960, '1 min'],
      [4 * minute + 5_000, '4 min 5 s'],
      [hour - 400, '1 h'],
      [2 * hour + 10 * minute, '2 h 10 min'],
      [day - 1_000, '1 d'],
      [3 * day + 4 * hour, '3 d 4 h'],
    ] as const)
      test.equal(formatDuration(ms), text)
    const units: Record<string, number> = { ms: 1, s: 1000, min: minute, h: hour, d: day }
    const limits: Record<string, number> = { ms: 1000, s: 60, min: 60, h: 24, d: Infinity }
    check(
      fc.property(fc.double({ min: 0, max: 400 * day, noNaN: true }), ms => {
        const parts = [...formatDuration(ms).matchAll(/([\d.]+) (ms|s|min|h|d)/g)]
        const sum = parts.reduce(
          (total, [, number, unit]) => total + Number(number) * (units[unit as string] ?? 0),
          0,
        )
        const smallest = units[parts.at(-1)?.[2] as string] as number
        const within = parts.every(([, number, unit]) => Number(number) < (limits[unit as string] as number))
        return within && Math.abs(sum - ms) <= Math.max(0.5, ms * 0.05, smallest / 2)
      }),
      tries(1000),
    )
  })
})
