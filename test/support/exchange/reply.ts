import type { KlineRow } from './source.ts'

/** An answer before it goes out. `rows` are there where the body is a page of klines. */
export type Reply = {
  status: number
  headers: Record<string, string>
  body: string
  rows?: KlineRow[] | undefined
}

export function jsonReply(value: unknown, status = 200): Reply {
  return { status, headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(value) }
}

export function htmlReply(status: number, body: string): Reply {
  return { status, headers: { 'Content-Type': 'text/html' }, body }
}

/** Binance's form of an error. */
export function errorReply(status: number, code: number, msg: string): Reply {
  return jsonReply({ code, msg }, status)
}

export function klinesReply(rows: KlineRow[]): Reply {
  return {
    status: 200,
    headers: { 'Content-Type': 'application/json' },
    body: `[${rows.map(rowText).join(',')}]`,
    rows,
  }
}

/** The row's JSON. Its strings are digits and points: nothing to escape, and a template is far faster than stringify. */
function rowText(r: KlineRow): string {
  return `[${r[0]},"${r[1]}","${r[2]}","${r[3]}","${r[4]}","${r[5]}",${r[6]},"${r[7]}",${r[8]},"${r[9]}","${r[10]}","${r[11]}"]`
}
