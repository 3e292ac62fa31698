import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import Database from 'better-sqlite3'
import { type Browser, chromium, type Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { createTable } from '../scripts/candles/candle_table.ts'
import { day, hour } from '../scripts/job/time.ts'
import { monthEnd, monthStart, on, writeKnownMonth } from './support/audit/known_month.ts'
import { writeHistory } from './support/audit/written_history.ts'
import { expectStatus } from './support/command.ts'
import { skipWithoutPackages } from './support/debian.ts'
import { makeWorkspace, type Workspace } from './support/workspace.ts'

const skip = skipWithoutPackages({ chromium: 'chromium' })
const hostile = '"><script>alert(1)</script>'
const symbols = ['BTCUSDT', 'ETHUSDT', 'SOLUSDT', hostile]

/** The known month, with candles; some lack, and some texts are not what they should be. */
function workspaceWithCandles(test: Test, journal: 'wal' | 'delete'): Workspace {
  const workspace = makeWorkspace(test, { url: 'http://127.0.0.1:9', symbols, now: monthEnd })
  workspace.configure(sheet => {
    sheet.backup = { warm: { path: 'backups/warm', mount: null }, cold: { bucket: 'abc' } }
  })
  mkdirSync(workspace.state)
  writeKnownMonth(workspace.state)
  const history = writeHistory(workspace.state)
  history.sync(on(29, 2), on(29, 2, 40), {
    outcome: 'deadline',
    summary: `</td><img src=x onerror=alert(1)> & "quoted" 'text'`,
  })
  history.close()
  mkdirSync(join(workspace.folder, 'data'))
  const database = new Database(workspace.database)
  database.pragma(`journal_mode = ${journal}`)
  createTable(database, 'ohlcv_h4')
  const insert = database.prepare('INSERT INTO ohlcv_h4 VALUES (?, ?, 1, 1, 1, 1, 1, 1, 1)')
  database.transaction(() => {
    for (const symbol of symbols)
      for (let at = monthStart - 5 * day; at <= on(28, 20); at += 4 * hour)
        if (symbol !== 'ETHUSDT' || at < on(12) || at >= on(13, 8)) insert.run(at, symbol)
  })()
  database.close()
  return workspace
}

type Looks = Parameters<Browser['newPage']>[0]

const browser =
  skip === false
    ? await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] })
    : undefined
t.teardown(() => browser?.close())

/** Opens the page, and keeps what it says and asks for. */
async function open(file: string, looks: Looks): Promise<{ page: Page; said: string[]; asked: string[] }> {
  const page = await (browser as Browser).newPage(looks)
  const [said, asked]: [string[], string[]] = [[], []]
  page.on('console', message => said.push(message.text()))
  page.on('pageerror', error => said.push(String(error)))
  page.on('dialog', dialog => said.push(dialog.message()))
  const address = pathToFileURL(file).href
  page.on('request', request => {
    if (request.url() !== address) asked.push(request.url())
  })
  await page.goto(address, { waitUntil: 'networkidle' })
  return { page, said, asked }
}

/** Texts whose contrast with what is behind them is less than WCAG's 4.5 : 1, with the ratio. */
const pale = `(() => {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true })
  const rgb = colour => {
    canvas.clearRect(0, 0, 1, 1)
    canvas.fillStyle = colour
    canvas.fillRect(0, 0, 1, 1)
    return [...canvas.getImageData(0, 0, 1, 1).data]
  }
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map(v => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4))
    return 0.2126 * x + 0.7152 * y + 0.0722 * z
  }
  const behind = element => {
    // a text in a cell lies on the shape before it
    const shape = element.matches('text') && element.previousElementSibling
    if (shape && shape.matches('path') && element.getAttribute('fill').includes('cell')) return rgb(getComputedStyle(shape).fill)
    for (let at = element; at; at = at.parentElement) {
      const colour = rgb(getComputedStyle(at).backgroundColor)
      if (colour[3] > 0) return colour
    }
  }
  const texts = [...document.querySelectorAll('body *')].filter(element =>
    [...element.childNodes].some(node => node.nodeType === 3 && node.textContent.trim() !== ''))
  return texts.flatMap(element => {
    const style = getComputedStyle(element)
    const [a, b] = [light(rgb(element.matches('text, tspan') ? style.fill : style.color)), light(behind(element))]
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)
    return ratio < 4.5 ? [element.textContent.slice(0, 30) + ' ' + ratio.toFixed(2)] : []
  })
})()`

/** The line of the table behind the chart of candles. */
const cellsOfEth = `[...([...document.querySelectorAll('tr')]
  .find(row => row.cells[0].textContent === 'ETHUSDT')?.cells ?? [])].map(cell => cell.textContent)`

await t.test('the page in a browser', { skip }, async group => {
  const workspace = workspaceWithCandles(group, 'wal')
  const file = join(workspace.folder, 'audit.html')
  expectStatus(group, await workspace.run('sla_audit', ['--html', file]), 3)
  const wide = await open(file, { viewport: { width: 1200, height: 900 } })

  await group.test('says nothing to the console and asks for nothing', test => {
    test.same(wide.said, [])
    test.same(wide.asked, [])
    test.end()
  })

  await group.test('has its charts drawn, each with a name and a table behind it', async test => {
    const charts = await wide.page.evaluate<
      { name: string; role: string; shapes: number; texts: number; width: number; tables: number }[]
    >(`[...document.querySelectorAll('svg')].map(svg => ({
      name: svg.getAttribute('aria-label'),
      role: svg.getAttribute('role'),
      shapes: svg.querySelectorAll('path, circle').length,
      texts: svg.querySelectorAll('text').length,
      width: svg.getBoundingClientRect().width,
      tables: svg.closest('section').querySelectorAll('table').length,
    }))`)
    test.same(
      charts.map(({ name }) => name),
      [
        'Age of the last sync over the time',
        'Age of the newest proven backup over the time',
        'How long each sync took',
        'Daily syncs and backups by tier, day by day',
        'Stored candles by symbol and day',
        'Incidents over the time',
      ],
    )
    for (const { name, role, shapes, texts, width, tables } of charts)
      test.ok(role === 'img' && shapes > 5 && texts > 3 && width > 600 && tables > 0, name)
  })

  await group.test('has a cell for each symbol and day, coloured by what is stored', async test => {
    const fills = await wide.page.evaluate<
      string[]
    >(`[...document.querySelectorAll('svg[aria-label^="Stored"] path')]
      .map(path => path.getAttribute('fill'))`)
    const of = (name: string) => fills.filter(fill => fill === `var(--cell-${name})`).length
    // of the last day nothing is expected: it is not over, and the last sync was before its first candle closed
    test.equal(of('full') + of('part') + of('none') + of('blank'), symbols.length * 29)
    test.same([of('none'), of('part')], [1, 1], 'what lacks of ETHUSDT')
    const cells = await wide.page.evaluate<string[]>(cellsOfEth)
    test.same(cells?.slice(11, 16), ['6/6', '6/6', '0/6', '4/6', '6/6'])
  })

  await group.test('shows text that comes from anywhere as text', async test => {
    const { scripts, images, text } = await wide.page.evaluate<{
      scripts: number
      images: number
      text: string
    }>(`({
      scripts: document.scripts.length, images: document.images.length, text: document.body.textContent
    })`)
    test.same([scripts, images], [0, 0])
    test.ok(text.includes(hostile), 'the name of a symbol')
    test.ok(text.includes(`</td><img src=x onerror=alert(1)> & "quoted" 'text'`), 'the summary of a run')
  })

  await group.test('is one document with headings in order', async test => {
    const levels = await wide.page.evaluate<number[]>(
      `[...document.querySelectorAll('h1, h2, h3')].map(heading => Number(heading.tagName[1]))`,
    )
    test.equal(levels.filter(level => level === 1).length, 1)
    test.ok(levels.every((level, i) => level <= (levels[i - 1] ?? 0) + 1))
    test.equal(await wide.page.getAttribute('html', 'lang'), 'en')
    test.match(await wide.page.textContent('.verdict'), /^1 of 5 targets met/)
    test.equal(await wide.page.locator('.cards li').count(), 5)
  })

  await group.test('can be read in the light, in the dark and on paper', async test => {
    const background = () => wide.page.evaluate('getComputedStyle(document.body).backgroundColor')
    test.same(await wide.page.evaluate(pale), [], 'light')
    test.equal(await background(), 'rgb(255, 255, 255)')
    await wide.page.emulateMedia({ colorScheme: 'dark' })
    test.same(await wide.page.evaluate(pale), [], 'dark')
    test.equal(await background(), 'rgb(13, 17, 23)')
    await wide.page.emulateMedia({ media: 'print' })
    test.same(await wide.page.evaluate(pale), [], 'paper')
    test.equal(await background(), 'rgb(255, 255, 255)', 'also of who reads in the dark')
    test.equal(await wide.page.locator('details:visible').count(), 0)
  })

  await group.test('fits on a phone: what is wider scrolls in a box of its own', async test => {
    const { page, said, asked } = await open(file, {
      viewport: { width: 375, height: 800 },
      colorScheme: 'dark',
    })
    const [whole, chart, box] = await page.evaluate<[number, number, number]>(`[
      document.documentElement.scrollWidth,
      document.querySelector('svg').getBoundingClientRect().width,
      document.querySelector('.scroll').getBoundingClientRect().width,
    ]`)
    test.ok(whole <= 375 && box < 375 && chart > 600, `${whole}, ${box}, ${chart}`)
    test.same([said, asked], [[], []])
    test.same(await page.evaluate(pale), [])
    await page.close()
  })
})

await t.test('where there is nothing to draw, the page says so', { skip }, async test => {
  const workspace = makeWorkspace(test, { url: 'http://127.0.0.1:9', now: monthEnd })
  const file = join(workspace.folder, 'audit.html')
  mkdirSync(workspace.state)
  expectStatus(test, await workspace.run('sla_audit', ['--html', file]), 0)
  const { page, said, asked } = await open(file, {})
  test.same([said, asked], [[], []])
  test.match(await page.textContent('main'), /The history is empty: there is nothing to judge/)
  test.equal(await page.locator('svg').count(), 0)
  await page.close()
})

await t.test(
  'in rollback mode, candles are counted in a copy; a database that cannot be read is told of',
  { skip },
  async test => {
    const workspace = workspaceWithCandles(test, 'delete')
    const file = join(workspace.folder, 'audit.html')
    const args = ['--from', '2028-02-20', '--to', '2028-02-24T06:00', '--html', file]
    await workspace.run('sla_audit', args)
    const { page } = await open(file, {})
    const cells = await page.evaluate(cellsOfEth)
    // of the day that it ends in, the sync of 01:01 brought nothing
    test.same(cells, ['ETHUSDT', '6/6', '6/6', '0/6', '4/6'])
    writeFileSync(workspace.database, 'no database')
    await workspace.run('sla_audit', args)
    await page.reload()
    test.match(await page.textContent('main'), /What is stored cannot be shown: /)
    test.equal(await page.locator('svg').count(), 5, 'the others are drawn')
    await page.close()
  },
)
