import { spawnSync } from 'node:child_process'
import * as fc from 'fast-check'
import t from 'tap'
import sheet from '../conf/S2_1_CHEAT_SHEET.json' with { type: 'json' }
import { parseAddress } from '../provision/address.ts'
import { quote, quoteForLogrotate } from '../provision/quote.ts'
import { merge, siteOf } from '../provision/site_of.ts'
import { check, runs } from './support/properties.ts'

const hostile = fc.oneof(
  fc.string({ unit: 'grapheme' }),
  fc.string({
    unit: fc.constantFrom(
      ...Array.from(' \'"`$(){}[]<>|&;*?!#~\\\n\t-=%a'),
      '$(id)',
      '`id`',
      "'\\''",
      'é',
      '币',
    ),
  }),
  fc.constantFrom('', '-rf', '--', '$HOME', '~', '*', '$(touch /tmp/never)', "a'b", '\\', '\n\n', '!!'),
)

await t.test('A quoted word is that word to every shell, and is never executed', test => {
  for (const shell of ['sh', 'dash', 'bash']) {
    check(
      fc.property(fc.array(hostile, { minLength: 1, maxLength: 12 }), words => {
        const given = words.map(word => word.replaceAll('\0', ''))
        const script = `printf '%s\\0' ${given.map(quote).join(' ')}`
        const { stdout, stderr, status } = spawnSync(shell, ['-c', script], { encoding: 'utf8' })
        return status === 0 && stderr === '' && stdout === given.map(word => `${word}\0`).join('')
      }),
      runs(60),
    )
  }
  for (const refused of [undefined, null, 3, 'a\0b', '\ud800'])
    test.throws(() => quote(refused as string), { name: 'UserError' })
  test.end()
})

await t.test('Addresses that ssh could take for something else are refused', test => {
  test.same(parseAddress('ops@203.0.113.7'), { user: 'ops', host: '203.0.113.7', port: undefined })
  test.same(parseAddress('ops@[2001:db8::7]:2222'), { user: 'ops', host: '2001:db8::7', port: 2222 })
  test.same(parseAddress('md-1'), { user: undefined, host: 'md-1', port: undefined })
  for (const text of [
    '',
    '-oProxyCommand=id',
    'a b',
    '-l@x',
    'ops@-x',
    'x:0',
    'x:99999',
    '$(id)',
    'x;id',
    "x'",
    'x\ny',
  ])
    test.throws(() => parseAddress(text), { name: 'UserError', message: /no address of a host/ }, text)
  test.end()
})

await t.test('Paths that no crontab or logrotate file can carry are refused with their place', test => {
  const options = { name: 'md-1', under: undefined, secrets: {} }
  for (const bad of ['/opt/a\nb', '/opt/$(id)', "/opt/a'b", '/opt/a%b', '/opt/a|b', '/'])
    test.throws(
      () => siteOf(sheet, [{ from: 'hosts.md-1.vars', vars: { paths: { jobs: bad } } }], options),
      { name: 'UserError', message: /paths\.jobs/ },
      bad,
    )
  test.equal(
    siteOf(sheet, [{ from: 'x', vars: { paths: { jobs: '/opt/my jobs' } } }], options).jobs,
    '/opt/my jobs',
  )
  test.throws(() => quoteForLogrotate('relative'), { name: 'UserError' })
  test.end()
})

await t.test('Variables win over those before them, key by key, and nothing given is changed', test => {
  const below = { a: { b: 1, c: [1, 2] }, d: 1 }
  const above = JSON.parse('{"a": {"c": [3]}, "__proto__": {"polluted": true}, "d": null}') as object
  const merged = merge(below, above) as Record<string, unknown>
  test.same(merged['a'], { b: 1, c: [3] })
  test.equal(merged['d'], null)
  test.equal(({} as Record<string, unknown>)['polluted'], undefined)
  test.same(below, { a: { b: 1, c: [1, 2] }, d: 1 })
  test.end()
})
