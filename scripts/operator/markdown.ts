import { join } from 'node:path'
import type { CheatSheet } from '../job/config_types.ts'
import { morningTime, operatorSheet } from './content.ts'

/** The operator's cheat sheet for docs/cheat_sheet.md. Commands are those of a host that the installer has set up. */
export function markdownSheet(config: CheatSheet): string {
  const script = join(config.paths.jobs, 'candlekeep.sh')
  const sheet = operatorSheet(config, command => `${script} ${command}`)
  const lines = [
    '# Cheat sheet',
    '',
    '<!-- Written by `npm run generate` from scripts/operator/content.ts and conf/S2_1_CHEAT_SHEET.json: change those. -->',
    '',
    `On the host, as root or as the user of the jobs; \`npx zx\` on the machine that sets hosts up. \`${script} cheat_sheet\` shows`,
    'this page with the answers of now.',
    '',
    `## Every morning, ${morningTime}`,
    '',
    ...sheet.morning.map(({ question, check }) => `- [ ] ${question} (\`${check}\`)`),
    '',
    `All of them at once: \`${script} health_check\`.`,
    '',
    '## When a sync fails',
    ...sheet.syncFails.flatMap(({ text, commands }, at) => ['', `${at + 1}. ${text}`, ...block(commands)]),
    '',
    '## When something is wrong',
    '',
    '| symptom | look | more |',
    '| --- | --- | --- |',
    ...sheet.symptoms.map(
      ({ symptom, commands, runbook }) =>
        `| ${symptom} | ${commands.map(code).join('<br>')} | [${runbook}](runbooks/${runbook}.md) |`,
    ),
    '',
    '## Commands',
    '',
    '| command | does | by itself |',
    '| --- | --- | --- |',
    ...sheet.commands.map(({ command, does, runs = '' }) => `| ${code(command)} | ${does} | ${runs} |`),
    '',
    'Each takes `--help`, `--json` and `--config FILE`.',
    '',
    '## Numbers',
    '',
    '| | |',
    '| --- | --- |',
    ...sheet.numbers.map(([name, value]) => `| ${name} | ${value} |`),
  ]
  return `${lines.join('\n')}\n`
}

function code(command: string): string {
  return `\`${command}\``
}

/** Below a step of a list. */
function block(commands: string[]): string[] {
  return ['   ```', ...commands.map(command => `   ${command}`), '   ```']
}
