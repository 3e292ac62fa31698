// Generated from conf/cheat_sheet.schema.json by `npm run generate`: change the schema, not this file.

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
   * Who is told what.
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
    }
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
