// Generated from conf/cheat_sheet.schema.json by `npm run generate`: change the schema, not this file.

export type Path = string
export type EmailAddress = string
/**
 * Somebody has to get up.
 */
export type Channels = ('slack' | 'email' | 'pagerduty')[]
/**
 * Somebody has to look today.
 */
export type Channels1 = ('slack' | 'email' | 'pagerduty')[]
/**
 * Good to know.
 */
export type Channels2 = ('slack' | 'email' | 'pagerduty')[]

/**
 * Everything that candlekeep can be told. Secrets are never in it: it names the environment variables that hold them.
 */
export interface CheatSheet {
  /**
   * Lets an editor complete and check this file.
   */
  $schema?: string
  /**
   * Where things are. Relative paths are relative to the workspace; a relative workspace is relative to this file.
   */
  paths: {
    /**
     * The trading agent's folder.
     */
    workspace: string
    /**
     * The agent's SQLite database.
     */
    database: string
    /**
     * candlekeep's own state: history (ops.db), locks, ban memory.
     */
    state: string
    /**
     * A log file a run.
     */
    logs: string
    /**
     * Where candlekeep.prom is written: the folder that node_exporter's textfile collector reads.
     */
    metrics: string
    /**
     * The programs that cron calls, on hosts that provisioning has set up.
     */
    jobs: string
    /**
     * candlekeep's releases there, each with its own Node.
     */
    install: string
  }
  /**
   * When jobs are due, UTC.
   */
  schedule: {
    /**
     * The daily candle sync: an hour after the UTC day closes.
     */
    daily_sync: string
    /**
     * The daily backup to all tiers.
     */
    backup: string
    /**
     * A backup to the hot tier every so many minutes, where the database has changed; half of them, or half an hour, away from the daily one.
     */
    hot_snapshot_minutes: 15 | 30 | 60 | 120 | 180 | 240 | 360 | 480 | 720 | 1440
    /**
     * A health check every so many hours, from midnight on.
     */
    health_check_hours: 1 | 2 | 3 | 4 | 6 | 8 | 12 | 24
    /**
     * The weekly restore drill.
     */
    restore_drill: string
    /**
     * Every day at this time the audit of the last month is made, unless it is kept already: on the first of a month, or as soon as the host is there again.
     */
    sla_audit: string
    /**
     * The tiers that it restores from; null: all that there are. One whose key is kept elsewhere cannot be among them.
     */
    restore_drill_tiers: ('hot' | 'warm' | 'cold')[] | null
  }
  /**
   * The daily candle sync.
   */
  sync: {
    /**
     * The exchange, by ccxt's name.
     */
    exchange: 'binanceusdm'
    /**
     * Where the exchange is asked; null is the exchange's own address.
     */
    base_url: string | null
    /**
     * Length of a candle.
     */
    interval: '1h' | '4h' | '1d'
    /**
     * Stored candles that are read again, at least, whenever there is something new.
     */
    lookback: number
    /**
     * How far back a symbol starts of which nothing is stored yet (--since overrides it).
     */
    history_days: number
    /**
     * Symbols that are fetched side by side.
     */
    concurrency: number
    /**
     * A request that takes longer, answer included, counts as timed out.
     */
    request_timeout_seconds: number
    /**
     * How long a commit waits while another process holds the database.
     */
    database_busy_seconds: number
    /**
     * Hard deadline of a run, exit status 124.
     */
    timeout_minutes: number
    /**
     * Share of the tradable symbols that must be complete for a run to count as a sync.
     */
    min_success_ratio: number
    /**
     * Share of the exchange's request weight a minute that we spend; the trading agent has the same address.
     */
    weight_budget_ratio: number
    /**
     * What is asked again, and after how long: one wait an entry, so two entries are two more tries.
     */
    retry: {
      timeout: Retry
      rate_limit: Retry
      server_error: Retry
    }
    /**
     * Binance USDT-M futures symbols, as the exchange writes them.
     *
     * @minItems 1
     * @maxItems 500
     */
    symbols: string[]
  }
  /**
   * What the health check takes for well.
   */
  health: {
    /**
     * Critical when the last sync, or the newest candle, is older.
     */
    max_data_age_hours: number
    /**
     * Warning when the database holds less (million bytes in use).
     */
    min_database_mb: number
    /**
     * Critical when the database holds so much less than a check of the last seven days saw.
     */
    max_shrink_ratio: number
    /**
     * Warning when less of a disk is free that we write to.
     */
    min_free_disk_ratio: number
    /**
     * Critical when no proven backup is younger; warning where one tier's is older.
     */
    max_backup_age_hours: number
    /**
     * Critical when no daily sync has run for so long.
     */
    max_log_age_hours: number
    /**
     * Hard deadline of a health check; what has not been looked at by then is unknown.
     */
    timeout_minutes: number
  }
  /**
   * Three copies on two media, one of them elsewhere.
   */
  backup: {
    /**
     * Plain databases on the same server: at hand at once.
     */
    hot: {
      /**
       * Their folder.
       */
      path: string
      /**
       * Days of which the newest proven backup is kept; a day without a backup does not count.
       */
      retention_days: number
      /**
       * Hours of which the newest proven backup is kept beside those of days.
       */
      hourly_keep: number
    }
    /**
     * Compressed copies on another disk.
     */
    warm: {
      /**
       * Their folder; null: there is no such tier.
       */
      path: Path | null
      /**
       * A mount point that has to be mounted before anything is written there; null: none has to be.
       */
      mount: Path | null
      /**
       * As for the hot tier.
       */
      retention_days: number
    }
    /**
     * Compressed copies in S3, or in a service that speaks its language. Credentials come by the AWS SDK's default chain.
     */
    cold: {
      /**
       * The bucket; null: there is no such tier.
       */
      bucket: string | null
      /**
       * How the names of all objects begin.
       */
      prefix: string
      /**
       * The bucket's region.
       */
      region: string
      /**
       * Where the service is asked; null is AWS's own address.
       */
      endpoint: string | null
      /**
       * Ask for HOST/BUCKET instead of BUCKET.HOST, as many compatible services want it.
       */
      path_style: boolean
      /**
       * Storage class of the databases; manifests are STANDARD. GLACIER and DEEP_ARCHIVE take hours to read.
       */
      storage_class:
        | 'STANDARD'
        | 'STANDARD_IA'
        | 'ONEZONE_IA'
        | 'INTELLIGENT_TIERING'
        | 'GLACIER_IR'
        | 'GLACIER'
        | 'DEEP_ARCHIVE'
      /**
       * As for the hot tier.
       */
      retention_days: number
      /**
       * Public keys (age) that databases are encrypted to before they leave this server; none: they are not.
       */
      age_recipients: string[]
      /**
       * Environment variable with the secret key, for recovery and --verify only; it should not be on the server otherwise.
       */
      age_identity_env: string
      /**
       * Object Lock mode of what is uploaded, for as many days as the retention has; the bucket must have been made with it. COMPLIANCE binds everyone.
       */
      object_lock: 'GOVERNANCE' | 'COMPLIANCE' | null
      /**
       * when_required: for services that do not know S3's checksums; what was uploaded is then read back instead.
       */
      checksums: 'when_supported' | 'when_required'
      /**
       * Upload with If-None-Match, so that nothing can be overwritten; false for services that do not know it.
       */
      conditional_writes: boolean
      /**
       * Larger files are uploaded in parts of this size (MiB), some of which are in memory at a time.
       */
      part_mb: number
    }
    /**
     * Hard deadline of a run, exit status 124.
     */
    timeout_minutes: number
  }
  /**
   * How a damaged database comes back.
   */
  recovery: {
    /**
     * A health check that finds the database damaged, as the one before did, starts the recovery itself.
     */
    automatic: boolean
    /**
     * Bring over what can still be read of the damaged database and the backup lacks.
     */
    salvage: boolean
    /**
     * A recovery may take so long, without the wait for an archived object.
     */
    max_restore_minutes: number
    /**
     * It waits so long for S3 to bring an object back from an archive class.
     */
    archive_wait_hours: number
    /**
     * It waits so long for other processes to let go of the database, then it refuses.
     */
    wait_for_writers_seconds: number
    /**
     * So many of the newest candles are read again after a restore.
     */
    resync_lookback: number
  }
  /**
   * What is promised, and measured.
   */
  sla: {
    /**
     * Recovery point objective: warning when the newest proven backup is older.
     */
    rpo_hours: number
    /**
     * Recovery time objective: from the start of a recovery to a proven database that serves.
     */
    rto_minutes: number
    /**
     * Share of time in which the data is fresh and the database sound.
     */
    availability_percent: number
    /**
     * Data that is older is not fresh.
     */
    freshness_hours: number
    /**
     * A daily sync takes no longer.
     */
    sync_minutes: number
  }
  /**
   * How a host is set up.
   */
  provision: {
    /**
     * The system user who runs the jobs; it is made where it is not there.
     */
    user: string
    /**
     * So many of the newest releases stay on a host, to go back to.
     */
    keep_releases: number
    /**
     * For so long another apt on the host, such as unattended-upgrades, is waited for.
     */
    apt_wait_seconds: number
    /**
     * What a host is for. jobs: candlekeep itself; metrics: node_exporter, which gives Prometheus what the jobs write; monitoring: Prometheus and Alertmanager for all hosts of the inventory that have metrics.
     *
     * @minItems 1
     */
    roles: ('jobs' | 'metrics' | 'monitoring')[]
  }
  /**
   * When Prometheus alerts, where no other section says it.
   */
  monitoring: {
    /**
     * Warning when the last sync that counts is older; critical is health.max_data_age_hours.
     */
    stale_warning_hours: number
    /**
     * Warning when Binance says too many requests so often within rate_limit_hours.
     */
    rate_limit_hits: number
    /**
     * See rate_limit_hits.
     */
    rate_limit_hours: number
    /**
     * Warning when no restore drill has proven a tier for so long.
     */
    drill_max_age_days: number
    /**
     * Warning when a host's clock differs so much from that of Prometheus.
     */
    max_clock_skew_seconds: number
    /**
     * Where docs/runbooks can be read; alerts link there.
     */
    runbooks_url: string
    /**
     * Where node_exporter listens on a host with the role metrics, and Prometheus finds it: a private address where that is another host.
     */
    exporter_listen: string
    /**
     * Where Prometheus listens on a host with the role monitoring. It has no passwords.
     */
    prometheus_listen: string
    /**
     * Where Alertmanager listens on a host with the role monitoring. It has no passwords.
     */
    alertmanager_listen: string
    /**
     * So often Prometheus asks the hosts, and looks at its rules. What is older than five minutes is gone for it.
     */
    scrape_seconds: number
    /**
     * For so long Prometheus keeps what it was told; availability is that of 30 days.
     */
    retention_days: number
    /**
     * Alertmanager waits so long for other hosts with the same alert before it tells of the first.
     */
    group_wait_seconds: number
    /**
     * And so long before it tells of more of the same alert, or that some are resolved.
     */
    group_interval_seconds: number
  }
  /**
   * Who is told what. The secrets are in environment variables; where NAME is unset, in the file that NAME_FILE names, which only its owner may read.
   */
  alerts: {
    /**
     * Start, success and fail pings in the healthchecks.io form.
     */
    heartbeat: {
      /**
       * Environment variable with the ping URL of the daily sync; no pings where it is unset.
       */
      url_env: string
      /**
       * The same for backups: each run to at least one tier is a ping.
       */
      backup_url_env: string
      /**
       * The same for Prometheus and Alertmanager: while both work there is a ping every five minutes.
       */
      watchdog_url_env: string
    }
    /**
     * Slack, by an incoming webhook.
     */
    slack: {
      /**
       * Environment variable with the webhook's URL; no messages where it is unset.
       */
      webhook_env: string
    }
    /**
     * E-mail through an SMTP server, by TLS.
     */
    email: {
      /**
       * Who gets the mail; nobody: none is sent.
       */
      to: EmailAddress[]
      /**
       * The sender; null: the first of those it goes to.
       */
      from: EmailAddress | null
      /**
       * Environment variable with smtps://USER:PASSWORD@HOST:465 or smtp://USER:PASSWORD@HOST:587 (STARTTLS, which is then demanded).
       */
      smtp_env: string
    }
    /**
     * PagerDuty, by Events API v2.
     */
    pagerduty: {
      /**
       * Environment variable with the integration's routing key; no pages where it is unset.
       */
      routing_key_env: string
      /**
       * Where events are sent (https://events.eu.pagerduty.com/v2/enqueue in the EU region).
       */
      url: string
    }
    /**
     * Which channels an alert goes to, by its severity.
     */
    routes: {
      critical: Channels
      warning: Channels1
      info: Channels2
    }
    /**
     * The jobs tell people themselves, which needs nothing else. false: Alertmanager does (the role monitoring), and nobody is told twice.
     */
    by_jobs: boolean
    /**
     * An alert that stays is said again after so long.
     */
    repeat_hours: number
    /**
     * A recovery is said when things have been well for so long; until then it may be flapping.
     */
    settle_minutes: number
  }
}
export interface Retry {
  /**
   * Wait before each further try, in seconds.
   *
   * @maxItems 10
   */
  backoff_seconds: number[]
  /**
   * Up to this much is added to each wait, at random.
   */
  jitter_seconds: number
}
