import { Chalk, type ChalkInstance } from 'chalk'

/** Where a command speaks to people: the report on one stream, progress and warnings on the other. */
export type Terminal = {
  /** Colours for the report; plain where its stream is no terminal or NO_COLOR is set. */
  colour: ChalkInstance
  /** Colours for lines beside the report, which may go to a file while the report does not. */
  asideColour: ChalkInstance
  /** A line of the report. */
  report(line: string): void
  /** A line beside the report: warnings, progress. */
  aside(line: string): void
  /** Redraws one line in place; only on a terminal. `''` takes it away. */
  draw: ((line: string) => void) | undefined
}

const eraseLine = '\r\u001B[2K'

/** With `json` standard output belongs to the JSON object, and the report goes to standard error. */
export function openTerminal(json: boolean): Terminal {
  const reportStream = json ? process.stderr : process.stdout
  const live = process.stderr.isTTY && process.env.TERM !== 'dumb'
  let drawn = ''
  // a reader that goes away (`| head`) must not end the run
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined)

  const draw = (line: string) => {
    const width = process.stderr.columns - 1
    process.stderr.write(`${eraseLine}${line.length > width ? line.slice(0, width) : line}`)
    drawn = line
  }
  const print = (stream: NodeJS.WriteStream, line: string) => {
    const below = drawn
    if (below !== '') draw('')
    stream.write(`${line}\n`)
    if (below !== '') draw(below)
  }
  return {
    colour: colourFor(reportStream),
    asideColour: colourFor(process.stderr),
    report: line => print(reportStream, line),
    aside: line => print(process.stderr, line),
    draw: live ? draw : undefined,
  }
}

function colourFor(stream: NodeJS.WriteStream): ChalkInstance {
  return new Chalk({ level: stream.isTTY && !process.env.NO_COLOR ? 1 : 0 })
}
