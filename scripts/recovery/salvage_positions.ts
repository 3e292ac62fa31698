import type { PageFile } from './readable_file.ts'
import { byKey } from './readable_key.ts'
import { readTreePage, type TreePage } from './readable_page.ts'
import { payloadOf } from './readable_payload.ts'
import { byRowid, type Order, piecesOf } from './readable_rows.ts'
import type { SalvagedRow } from './salvage_aside.ts'
import { type Position, positionOf } from './salvage_compare.ts'
import { valuesOf } from './salvage_row.ts'
import type { TableShape } from './salvage_shape.ts'

/** The rows that lie at some places of a file, in that order. Those of a page come together, so it is read once. */
export function* rowsAt(
  file: PageFile,
  shape: TableShape,
  positions: Iterable<Position>,
): Generator<SalvagedRow> {
  let [number, bytes]: [number, Buffer | undefined] = [0, undefined]
  let page: TreePage | undefined
  for (const position of positions) {
    const wanted = Math.floor(position / 65_536)
    if (wanted !== number) {
      number = wanted
      bytes = file.page(number)
      page = bytes && readTreePage(bytes, file.layout.usable, number === 1)
    }
    const cell = page?.cells[position % 65_536]
    const payload = bytes && cell && payloadOf(file, bytes, cell)
    // it could be read before: a disk that fails in between makes a row less
    if (cell === undefined || payload === undefined) continue
    const values = valuesOf(shape, cell.rowid, payload.bytes)
    yield { rowid: cell.rowid, values, payload: payload.bytes }
  }
}

/** Where all rows of a table lie that can be read, whether its pages are in order or not. */
export function* allPositions(file: PageFile, shape: TableShape): Generator<Position> {
  const positions = function* <K>(order: Order<K>): Generator<Position> {
    for (const { page, rows } of piecesOf(file, shape.rootPage, order)) {
      for (const { index } of rows) yield positionOf(page?.number ?? 0, index)
    }
  }
  yield* shape.key === undefined ? positions(byRowid) : positions(byKey(file, shape.key))
}
