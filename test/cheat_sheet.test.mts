import { execFileSync } from 'node:child_process'
import { chmodSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { alertsFor, channelEnvironment, routingKey } from './support/alerts/here.ts'
import { type MailServer, mailPassword, startMailServer } from './support/alerts/mail_server.ts'
import { shownBySlack, startServices } from './support/alerts/services.ts'
import { expectStatus } from './support/command.ts'
import { makeWorkspace, temporaryFolder } from './support/workspace.ts'

t.jobs = 2
const nowhere = 'http://127.0.0.1:9'

/** A workspace with Slack and PagerDuty at hand, and a mail server where one is given. */
async function setUp(test: Test, mail?: MailServer) {
  const services = await startServices(test)
  const workspace = makeWorkspace(test, { url: nowhere })
  workspace.configure(sheet => {
    sheet.alerts = alertsFor(services, mail === undefined ? [] : ['ops@candlekeep.example'])
  })
  const mailEnvironment =
    mail === undefined ? {} : { CANDLEKEEP_SMTP_URL: mail.url, NODE_EXTRA_CA_CERTS: mail.certificate }
  const env = { ...channelEnvironment(services), ...mailEnvironment }
  const tryOut = (changed: Record<string, string | undefined> = {}, ...args: string[]) => {
    return workspace.run('cheat_sheet', ['--test-alert', ...args], { env: { ...env, ...changed } })
  }
  return { services, workspace, env, tryOut }
}

await t.test('the cheat sheet', async group => {
  await group.test('says whether it is valid, and which tiers and channels it has', async test => {
    const { workspace, env } = await setUp(test)
    const cold = { bucket: 'backups', age_recipients: ['age1qqqq'] }
    workspace.configure(sheet => (sheet.backup = { warm: { path: 'warm', mount: '.' }, cold }))
    const { status, stdout, stderr } = await workspace.run('cheat_sheet', ['--validate'], { env })
    test.same(
      [status, stderr, stdout.trimEnd().split('\n')],
      [
        0,
        '',
        [
          `✅ ${workspace.file} is valid · 3 symbols`,
          `✅ hot       ${workspace.folder}/backups/hot`,
          `⚠️  warm      ${workspace.folder}/warm: nothing is mounted at ${workspace.folder} now`,
          '✅ cold      s3://backups/candlekeep/, encrypted',
          '✅ Slack     configured',
          '–  e-mail    not configured: set alerts.email.to and CANDLEKEEP_SMTP_URL',
          '✅ PagerDuty configured',
        ],
      ],
    )
    const { json } = await workspace.run('cheat_sheet', ['--validate', '--json'], { env })
    test.match(json, { config: workspace.file, symbols: 3, channels: ['slack', 'pagerduty'] })
    test.strictSame(readdirSync(workspace.folder), ['cheat_sheet.json'], 'and leaves no trace')
  })

  await group.test('is not all well where a channel is there that cannot be used', async test => {
    const { services, workspace, env } = await setUp(test)
    const file = join(temporaryFolder(test), 'webhook')
    writeFileSync(file, services.slackUrl)
    chmodSync(file, 0o644)
    const open = {
      ...env,
      CANDLEKEEP_SLACK_WEBHOOK_URL: undefined,
      CANDLEKEEP_SLACK_WEBHOOK_URL_FILE: file,
    }
    const ended = await workspace.run('cheat_sheet', ['--validate'], { env: open })
    expectStatus(test, ended, 2)
    test.match(ended.stdout, / is valid · 3 symbols\n(.*\n){3}❌ Slack .* is open to others \(mode 0644\)/)
    const { json } = await workspace.run('cheat_sheet', ['--validate', '--json'], { env: open })
    test.match(json, { exit_status: 2, channels: ['pagerduty'], faulty: ['slack'] })
  })

  await group.test('says what is wrong with it', async test => {
    const { workspace } = await setUp(test)
    workspace.configure(sheet => Object.assign(sheet, { alerts: { slak: {}, settle_minutes: -1 } }))
    const { status, stdout } = await workspace.run('cheat_sheet')
    test.equal(status, 78)
    test.match(stdout, 'alerts.slak: unknown key — did you mean "slack"?')
    test.match(stdout, 'alerts.settle_minutes: -1 is out of range — must be >= 0')
  })
})

await t.test('a test alert', async group => {
  await group.test('arrives through each channel, marked as a test', async test => {
    const mail = await startMailServer(test)
    const { services, workspace, tryOut } = await setUp(test, mail)
    const ended = await tryOut()
    expectStatus(test, ended, 0)
    test.equal(ended.stdout, '✅ Slack     sent\n✅ e-mail    sent\n✅ PagerDuty sent\n')
    test.match(shownBySlack(services.slack[0] as never), /^🔵 TEST: .*\nNothing is wrong/)
    test.match(mail.mails, [
      { headers: { subject: '[candlekeep] TEST: ' }, text: 'Nothing is wrong', secure: true },
    ])
    const [trigger, resolve] = services.pagerduty
    test.match(trigger, { event_action: 'trigger', payload: { summary: 'TEST: ', severity: 'info' } })
    test.match(resolve, { event_action: 'resolve', dedup_key: trigger?.dedup_key ?? '' })
    test.strictSame(
      readdirSync(workspace.folder),
      ['cheat_sheet.json'],
      'nothing of it goes into the history',
    )
    test.same(services.faults, [])
  })

  await group.test('says which channel does not work, and where to look', async test => {
    const mail = await startMailServer(test)
    const { services, tryOut } = await setUp(test, mail)
    const gone = services.slackUrl.replace('marker', 'another-marker')
    const wrong = mail.url.replace(encodeURIComponent(mailPassword), 'wrong-marker')
    const some = await tryOut({ CANDLEKEEP_SLACK_WEBHOOK_URL: gone, CANDLEKEEP_SMTP_URL: wrong })
    expectStatus(test, some, 2)
    test.same(some.stdout.trimEnd().split('\n'), [
      '❌ Slack     it answered 404 (the webhook is gone or switched off); check CANDLEKEEP_SLACK_WEBHOOK_URL',
      '❌ e-mail    it refused user and password (535); check CANDLEKEEP_SMTP_URL',
      '✅ PagerDuty sent',
    ])
    const all = await tryOut({
      CANDLEKEEP_SLACK_WEBHOOK_URL: 'http://hooks.slack.example/marker',
      CANDLEKEEP_SMTP_URL: 'mail.example/marker',
      CANDLEKEEP_PAGERDUTY_ROUTING_KEY: 'marker-too-short',
    })
    expectStatus(test, all, 1)
    test.same(all.stdout.trimEnd().split('\n'), [
      '❌ Slack     CANDLEKEEP_SLACK_WEBHOOK_URL is not an https:// address',
      '❌ e-mail    CANDLEKEEP_SMTP_URL is neither smtps://USER:PASSWORD@HOST:465 nor smtp://USER:PASSWORD@HOST:587',
      '❌ PagerDuty it answered 400 (is the routing key that of an Events API v2 integration?); check CANDLEKEEP_PAGERDUTY_ROUTING_KEY',
    ])
    const json = await tryOut({ CANDLEKEEP_SLACK_WEBHOOK_URL: gone }, '--json')
    test.match(json.json, {
      exit_status: 2,
      channels: {
        slack: { result: 'failed', why: /404/ },
        email: { result: 'sent' },
        pagerduty: { result: 'sent' },
      },
    })
    test.notMatch(JSON.stringify([some, all, json]), /marker/)
  })

  await group.test('without a channel is a failure: nobody would hear of an alert', async test => {
    const { tryOut } = await setUp(test)
    const none = { CANDLEKEEP_SLACK_WEBHOOK_URL: undefined, CANDLEKEEP_PAGERDUTY_ROUTING_KEY: '' }
    const ended = await tryOut(none)
    expectStatus(test, ended, 1)
    test.match(ended.stdout, '–  Slack     not configured: set CANDLEKEEP_SLACK_WEBHOOK_URL\n')
    test.match(ended.stdout, '❌ no channel is configured: nobody would hear of an alert')
  })
})

await t.test('mail is handed in', async group => {
  await group.test('by STARTTLS, where the address is smtp://', async test => {
    const mail = await startMailServer(test, { secure: false })
    const { tryOut } = await setUp(test, mail)
    expectStatus(test, await tryOut(), 0)
    test.match(mail.mails, [{ secure: true, to: ['ops@candlekeep.example'] }])
    test.same(mail.passwords, [mailPassword])
  })

  await group.test('to no server without TLS, and no password is told to it', async test => {
    const mail = await startMailServer(test, { secure: false, starttls: false })
    const { tryOut } = await setUp(test, mail)
    const ended = await tryOut()
    expectStatus(test, ended, 2)
    test.match(ended.stdout, '❌ e-mail    it does not offer TLS; check CANDLEKEEP_SMTP_URL')
    test.same([mail.mails, mail.passwords], [[], []])
  })

  for (const secure of [true, false]) {
    await group.test(`to no server with a certificate that nobody vouches for (${secure})`, async test => {
      const mail = await startMailServer(test, { secure })
      const { tryOut } = await setUp(test, mail)
      const ended = await tryOut({ NODE_EXTRA_CA_CERTS: undefined })
      expectStatus(test, ended, 2)
      test.match(
        ended.stdout,
        /❌ e-mail {4}its certificate is not trusted \(DEPTH_ZERO_SELF_SIGNED_CERT; NODE_EXTRA/,
      )
      const options = '?tls.rejectUnauthorized=false&requireTLS=false'
      const loose = await tryOut({
        NODE_EXTRA_CA_CERTS: undefined,
        CANDLEKEEP_SMTP_URL: `${mail.url}/${options}`,
      })
      expectStatus(test, loose, 2)
      test.same([mail.mails, mail.passwords], [[], []], 'whatever the address asks for')
    })
  }

  await group.test('for those whom the server knows', async test => {
    const mail = await startMailServer(test)
    const { services, workspace, tryOut } = await setUp(test, mail)
    const to = (...addresses: string[]) => {
      workspace.configure(sheet => {
        sheet.alerts = alertsFor(services, addresses)
        sheet.alerts.email = { ...alertsFor(services, addresses).email, from: 'candle@keep.example' }
      })
    }
    to('ops@candlekeep.example', 'nobody@candlekeep.example')
    const some = await tryOut()
    expectStatus(test, some, 0)
    test.match(some.stdout, '✅ e-mail    sent; but 1 of 2 recipients were refused')
    test.match(mail.mails, [{ from: 'candle@keep.example', to: ['ops@candlekeep.example'] }])
    test.match(mail.mails[0]?.headers['message-id'], /^<candlekeep\.[0-9a-f]{32}@keep\.example>$/)
    to('nobody@candlekeep.example')
    test.match((await tryOut()).stdout, '❌ e-mail    it answered 550; check CANDLEKEEP_SMTP_URL')
  })

  await group.test('and refused for a while or for good', async test => {
    const mail = await startMailServer(test)
    const { tryOut } = await setUp(test, mail)
    const answers = [451, 421]
    mail.refuse = () => {
      const responseCode = answers.shift()
      return responseCode === undefined ? undefined : Object.assign(new Error('later'), { responseCode })
    }
    expectStatus(test, await tryOut(), 0)
    test.equal(mail.mails.length, 1, 'it is tried again after a 4xx')
    let refusals = 0
    mail.refuse = () => Object.assign(new Error('never'), { responseCode: 554, count: refusals++ })
    test.match((await tryOut()).stdout, '❌ e-mail    it answered 554; check CANDLEKEEP_SMTP_URL')
    test.equal(refusals, 1, 'and not after a 5xx')
    const away = await tryOut({ CANDLEKEEP_SMTP_URL: 'smtps://u:marker@127.0.0.1:9' })
    test.match(away.stdout, '❌ e-mail    ECONNREFUSED; check CANDLEKEEP_SMTP_URL')
  })
})

await t.test('a secret in a file is used, unless others can read it', async test => {
  const { services, tryOut } = await setUp(test)
  const folder = temporaryFolder(test)
  const file = join(folder, 'key')
  writeFileSync(file, `${routingKey}\n`, { mode: 0o600 })
  const named = { CANDLEKEEP_PAGERDUTY_ROUTING_KEY: undefined, CANDLEKEEP_PAGERDUTY_ROUTING_KEY_FILE: file }
  expectStatus(test, await tryOut(named), 0)
  test.equal(services.pagerduty[0]?.routing_key, routingKey)
  expectStatus(test, await tryOut({ CANDLEKEEP_PAGERDUTY_ROUTING_KEY_FILE: '/absent' }), 0)

  const said = async (path: string) => {
    const ended = await tryOut({ ...named, CANDLEKEEP_PAGERDUTY_ROUTING_KEY_FILE: path })
    test.equal(ended.status, 2)
    test.notMatch(ended.stdout, /marker/)
    return ended.stdout.split('\n').find(line => line.includes('PagerDuty'))
  }
  const about = '❌ PagerDuty CANDLEKEEP_PAGERDUTY_ROUTING_KEY_FILE:'
  for (const mode of [0o640, 0o604, 0o620, 0o644]) {
    chmodSync(file, mode)
    test.equal(
      await said(file),
      `${about} ${file} is open to others (mode 0${mode.toString(8)}): chmod 600 ${file}`,
    )
  }
  test.equal(await said(join(folder, 'absent')), `${about} ${join(folder, 'absent')} cannot be read (ENOENT)`)
  test.equal(await said(folder), `${about} ${folder} is not a file`)
  const pipe = join(folder, 'pipe')
  execFileSync('mkfifo', ['-m', '600', pipe])
  test.equal(await said(pipe), `${about} ${pipe} is not a file`)
  const empty = join(folder, 'empty')
  writeFileSync(empty, '\n', { mode: 0o600 })
  test.equal(await said(empty), `${about} ${empty} is empty`)
})
