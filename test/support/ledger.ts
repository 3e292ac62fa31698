/**
 * What a trading agent keeps, so that SQL alone can tell whether a database holds a state that existed: each
 * transaction adds rows to three tables and brings the one row of `journal_state` along, which counts and sums them
 * and holds a chain over all that was ever written. A page that is missing, old or of another moment breaks it.
 */
export const ledgerTables = `
  CREATE TABLE ledger (id INTEGER PRIMARY KEY, account INTEGER, amount INTEGER, chain INTEGER, note TEXT);
  CREATE INDEX ledger_account ON ledger (account, amount);
  CREATE TABLE balances (account INTEGER PRIMARY KEY, amount INTEGER, changes INTEGER) WITHOUT ROWID;
  CREATE TABLE recent (id INTEGER PRIMARY KEY, amount INTEGER);
  CREATE TABLE journal_state (one INTEGER PRIMARY KEY, last_id INTEGER, sum INTEGER, chain INTEGER);
  INSERT INTO balances WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 999) SELECT i, 0, 0 FROM n;
  INSERT INTO journal_state VALUES (1, 0, 0, 0);
`

/** A transaction: a row of the ledger, the balance that it moves, the newest rows once more, the state of all. */
export const ledgerTransaction = `
  INSERT INTO ledger SELECT last_id + 1, abs(random()) % 1000, random() % 1000000, 0, 'a trade that exists nowhere else'
    FROM journal_state;
  UPDATE ledger SET chain = ((SELECT chain FROM journal_state) * 31 + amount * 7 + account) % 1000000007
    WHERE id = (SELECT last_id + 1 FROM journal_state);
  UPDATE balances SET amount = balances.amount + last.amount, changes = changes + 1
    FROM (SELECT account AS moved, amount FROM ledger ORDER BY id DESC LIMIT 1) AS last WHERE account = last.moved;
  INSERT INTO recent SELECT id, amount FROM ledger ORDER BY id DESC LIMIT 1;
  DELETE FROM recent WHERE id <= (SELECT last_id - 199 FROM journal_state);
  UPDATE journal_state SET last_id = last.id, sum = sum + last.amount, chain = last.chain
    FROM (SELECT id, amount, chain FROM ledger ORDER BY id DESC LIMIT 1) AS last;
`

/** One line: `LAST_ID|1`; 0 in place of 1 where this is no state that existed. */
export const ledgerCheck = `
  WITH checked AS (SELECT *, ifnull(lag(chain) OVER (ORDER BY id), 0) AS before FROM ledger)
  SELECT last_id,
    (SELECT count(*) = last_id AND ifnull(max(id), 0) = last_id AND ifnull(sum(amount), 0) = s.sum
       AND ifnull(min((before * 31 + amount * 7 + account) % 1000000007 = chain), 1) FROM checked)
    AND s.chain = ifnull((SELECT chain FROM ledger WHERE id = last_id), 0)
    AND (SELECT sum(amount) = s.sum AND sum(changes) = last_id FROM balances)
    AND NOT EXISTS (SELECT account, amount FROM balances WHERE amount <> 0
      EXCEPT SELECT account, sum(amount) FROM ledger GROUP BY account)
    AND (SELECT count(*) = min(200, last_id) AND ifnull(max(id), 0) = last_id FROM recent)
    AND NOT EXISTS (SELECT id, amount FROM recent EXCEPT SELECT id, amount FROM ledger)
  FROM journal_state AS s`
