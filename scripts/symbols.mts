/**
 * Checks the symbol list against what the exchange trades, and mends it.
 *
 *     npx zx scripts/symbols.mts
 */
import { Exchange } from './candles/exchange.ts'
import { describeSymbol } from './candles/report.ts'
import { fixList, writeList } from './candles/symbol_list.ts'
import { judgeSymbols } from './candles/symbols.ts'
import type { Outcome } from './job/ending.ts'
import { UserError } from './job/errors.ts'
import { job } from './job/job.ts'
import { minute } from './job/time.ts'

const timeLimit = 5 * minute

await job(
  {
    name: 'symbols',
    script: import.meta.filename,
    summary: 'Checks the symbol list against what the exchange trades.',
    flags: { fix: { help: 'write the corrected list into the configuration' } } as const,
    locks: [],
    wishes: ({ fix }) => ({ fix }),
    recorded: () => false,
    deadlineMs: () => timeLimit,
    tolerate: ({ path, rule }) =>
      path.startsWith('sync.symbols[') && (rule === 'uniqueItems' || rule === 'pattern'),
  },
  async ({ config, wishes, clock, signal, log, terminal }): Promise<Outcome> => {
    const exchange = new Exchange({ config, clock, signal, log, giveUpAt: clock.now() + timeLimit })
    const contracts = await exchange.contracts().finally(() => exchange.close())
    const judged = judgeSymbols(config.sync.symbols, contracts)
    const wrong = judged.filter(({ verdict }) => verdict !== 'trading')
    const report = wrong.map(entry => `${String(entry.index + 1).padStart(4)}${describeSymbol(entry)}`)
    const figures = { configured: judged.length, trading: judged.length - wrong.length, wrong }

    if (wrong.length === 0) {
      const summary = `✅ ${judged.length}/${judged.length} symbols trade`
      return { outcome: 'done', report: [terminal.colour.green(summary)], summary, figures }
    }
    if (!wishes.fix) {
      const summary = `⚠️ ${figures.trading}/${judged.length} symbols trade; --fix corrects the list`
      return { outcome: 'partly', report: [...report, terminal.colour.yellow(summary)], summary, figures }
    }
    const { symbols, removed, replaced } = fixList(judged)
    if (symbols.length < judged.length / 2) {
      throw new UserError(
        `only ${symbols.length} of ${judged.length} symbols would be left: nothing was written`,
        {
          hint: 'Is this the right exchange (sync.base_url)? Otherwise mend the list by hand.',
        },
      )
    }
    writeList(config.file, symbols)
    const summary = `✅ ${symbols.length} symbols written to ${config.file}: ${replaced.length} replaced, ${removed.length} removed`
    return {
      outcome: 'done',
      report: [
        ...report,
        ...replaced.map(({ symbol, suggestion }) => `  - ${symbol}\n  + ${suggestion}`),
        ...removed.map(({ symbol }) => `  - ${symbol}`),
        terminal.colour.green(summary),
      ],
      summary,
      figures: { ...figures, symbols },
    }
  },
)
