import type Database from 'better-sqlite3'

/** Each entry brings the schema from version i to i + 1 (`PRAGMA user_version`). Entries are never changed. */
const migrations = [
  `
  CREATE TABLE runs (
    id INTEGER PRIMARY KEY,
    job TEXT NOT NULL,
    pid INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    finished_at INTEGER,
    outcome TEXT NOT NULL,
    exit_status INTEGER,
    summary TEXT,
    figures TEXT,
    log_file TEXT
  ) STRICT;
  CREATE INDEX runs_job ON runs (job, started_at);

  -- what the exchange later said otherwise: the values that stood in the agent's database before
  CREATE TABLE candle_revisions (
    interval TEXT NOT NULL,
    symbol TEXT NOT NULL,
    open_time INTEGER NOT NULL,
    old TEXT NOT NULL,
    new TEXT NOT NULL,
    recorded_at INTEGER NOT NULL,
    run INTEGER NOT NULL,
    PRIMARY KEY (interval, symbol, open_time, old, new)
  ) STRICT, WITHOUT ROWID;

  -- rows of the exchange's answers that failed validation, as they came
  CREATE TABLE quarantined_rows (
    interval TEXT NOT NULL,
    symbol TEXT NOT NULL,
    reason TEXT NOT NULL,
    raw TEXT NOT NULL,
    recorded_at INTEGER NOT NULL,
    run INTEGER NOT NULL
  ) STRICT;

  -- a digest of the stored candles of a symbol and month, up to the open time "last"; pending: what it becomes with
  -- the commit that is under way
  CREATE TABLE candle_seals (
    interval TEXT NOT NULL,
    symbol TEXT NOT NULL,
    month TEXT NOT NULL,
    last INTEGER,
    digest TEXT,
    pending_last INTEGER,
    pending_digest TEXT,
    sealed_at INTEGER NOT NULL,
    PRIMARY KEY (interval, symbol, month)
  ) STRICT, WITHOUT ROWID;

  -- the first candle that the exchange has of a symbol
  CREATE TABLE first_candles (
    interval TEXT NOT NULL,
    symbol TEXT NOT NULL,
    open_time INTEGER NOT NULL,
    PRIMARY KEY (interval, symbol)
  ) STRICT, WITHOUT ROWID;
  `,
  `
  CREATE INDEX runs_started ON runs (started_at);

  -- what the health check found, a row for each of its six checks and run
  CREATE TABLE checks (
    run INTEGER NOT NULL,
    name TEXT NOT NULL,
    status TEXT NOT NULL,
    line TEXT NOT NULL,
    figures TEXT NOT NULL,
    checked_at INTEGER NOT NULL,
    PRIMARY KEY (run, name)
  ) STRICT, WITHOUT ROWID;

  -- what a sync or a health check last saw in the agent's database
  CREATE TABLE stored_candles (
    interval TEXT NOT NULL,
    symbol TEXT NOT NULL,
    count INTEGER NOT NULL,
    last INTEGER NOT NULL,
    seen_at INTEGER NOT NULL,
    PRIMARY KEY (interval, symbol)
  ) STRICT, WITHOUT ROWID;

  -- when the health check last compared the stored candles with this seal
  ALTER TABLE candle_seals ADD COLUMN verified_at INTEGER;

  -- copies of the agent's database; covers_until: the copy holds all that was committed up to then
  CREATE TABLE backups (
    id TEXT NOT NULL,
    tier TEXT NOT NULL,
    taken_at INTEGER NOT NULL,
    covers_until INTEGER NOT NULL,
    proven_at INTEGER,
    bytes INTEGER NOT NULL,
    PRIMARY KEY (id, tier)
  ) STRICT, WITHOUT ROWID;

  -- what runs that the retention has removed had added to the totals that the metrics count
  CREATE TABLE retired_totals (name TEXT PRIMARY KEY, value REAL NOT NULL) STRICT, WITHOUT ROWID;
  `,
  `
  -- how each condition is, and what people were last told of it; alert: what was wrong then; channels: a JSON list of
  -- those that were told
  CREATE TABLE alert_states (
    key TEXT PRIMARY KEY,
    current TEXT NOT NULL,
    announced TEXT NOT NULL,
    announced_at INTEGER NOT NULL,
    since INTEGER NOT NULL,
    lower_since INTEGER,
    title TEXT NOT NULL,
    details TEXT NOT NULL,
    alert TEXT,
    channels TEXT NOT NULL,
    seen_at INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;

  -- what people had to be told, and when
  CREATE TABLE alert_events (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL,
    kind TEXT NOT NULL,
    level TEXT NOT NULL,
    previous TEXT NOT NULL,
    title TEXT NOT NULL,
    details TEXT NOT NULL,
    alert TEXT,
    since INTEGER NOT NULL,
    at INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX alert_events_at ON alert_events (at);

  -- each event once for each channel; outcome: due, sent, superseded by a newer one, needless, given up, skipped since
  -- the channel was not configured
  CREATE TABLE alert_deliveries (
    event INTEGER NOT NULL,
    channel TEXT NOT NULL,
    outcome TEXT NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL,
    ended_at INTEGER,
    PRIMARY KEY (event, channel)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX alert_deliveries_due ON alert_deliveries (channel) WHERE outcome = 'due';

  -- who is sending to a channel and until when that counts; how often in a row it failed and when to try again
  CREATE TABLE alert_channels (
    name TEXT PRIMARY KEY,
    claim TEXT,
    claimed_until INTEGER,
    failures INTEGER NOT NULL DEFAULT 0,
   
    retry_at INTEGER
  ) STRICT, WITHOUT ROWID;
  `,
  `
  -- proven_at: when it was last found good; failed_at and failure: when and why a later proof found it bad; removed_at:
  -- since when it is not there any more
  ALTER TABLE backups ADD COLUMN failed_at INTEGER;
  ALTER TABLE backups ADD COLUMN failure TEXT;
  ALTER TABLE backups ADD COLUMN removed_at INTEGER;
  `,
  `
  -- databases that were brought back. base: what the new one was made from, the name of a backup or "itself"; known_lost:
  -- rows that were there and are in neither; rpo_ms: so old was the base, where not all that came after was salvaged;
  -- rto_ms: from the start of the recovery to a proven database in place; quarantine: where the damaged one is kept
  CREATE TABLE recoveries (
    id TEXT PRIMARY KEY,
    run INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    serving_at INTEGER,
    finished_at INTEGER,
    damage TEXT NOT NULL,
    base TEXT,
    tier TEXT,
    salvaged INTEGER NOT NULL DEFAULT 0,
    conflicts INTEGER NOT NULL DEFAULT 0,
    known_lost INTEGER NOT NULL DEFAULT 0,
    rpo_ms INTEGER,
    rto_ms INTEGER,
    quarantine TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;

  -- backups that were restored elsewhere, to see whether that works; failure: why it did not. behind_rows: rows that the
  -- live database had more; behind_ms: how old the backup was
  CREATE TABLE drills (
    id INTEGER PRIMARY KEY,
    run INTEGER NOT NULL,
    tier TEXT NOT NULL,
    backup TEXT,
    started_at INTEGER NOT NULL,
    finished_at INTEGER NOT NULL,
    bytes INTEGER,
    behind_rows INTEGER,
    behind_ms INTEGER,
    failure TEXT
  ) STRICT;
  CREATE INDEX drills_tier ON drills (tier, finished_at);
  `,
]

/** Brings the history to the newest schema; one that a newer candlekeep wrote is left alone and refused. */
export function migrate(database: Database.Database): void {
  const version = Number(database.pragma('user_version', { simple: true }))
  if (version > migrations.length)
    throw new Error(`the history has schema ${version}, newer than this program`)
  if (version === migrations.length) return
  database
    .transaction(() => {
      const current = Number(database.pragma('user_version', { simple: true }))
      for (const migration of migrations.slice(current)) database.exec(migration)
      database.pragma(`user_version = ${migrations.length}`)
    })
    .immediate()
}
