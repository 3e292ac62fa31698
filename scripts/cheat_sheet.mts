/**
 * Validates the configuration, and tries whether alerts arrive.
 *
 *     npx zx scripts/cheat_sheet.mts --test-alert
 */
import { describeChannels, sendTestAlerts } from './alerts/test_alert.ts'
import { describeTiers } from './backup/describe.ts'
import { job } from './job/job.ts'
import { minute } from './job/time.ts'

await job(
  {
    name: 'cheat_sheet',
    script: import.meta.filename,
    summary: 'Validates the configuration, and tries whether alerts arrive.',
    flags: {
      validate: {
        help: 'say whether the configuration is valid, which tiers and channels it has (the default)',
      },
      'test-alert': { help: 'send a message that is marked as a test through each configured channel' },
    } as const,
    locks: [],
    wishes: given => ({ testAlert: given['test-alert'] }),
    recorded: () => false,
    deadlineMs: () => minute,
  },
  async ({ config, wishes, clock, terminal }) => {
    // an invalid configuration has ended the run before
    if (wishes.testAlert) return sendTestAlerts(config, clock)
    const { lines, configured, faulty } = describeChannels(config)
    const summary = `✅ ${config.file} is valid · ${config.sync.symbols.length} symbols`
    return {
      outcome: faulty.length === 0 ? 'done' : 'partly',
      report: [terminal.colour.green(summary), ...describeTiers(config), ...lines],
      summary,
      figures: { config: config.file, symbols: config.sync.symbols.length, channels: configured, faulty },
    }
  },
)
