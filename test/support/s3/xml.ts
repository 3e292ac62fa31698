import { S3Error } from './errors.ts'

export type Element = { name: string; children: Element[]; text: string }

const declaration = '<?xml version="1.0" encoding="UTF-8"?>\n'
const namespace = 'http://s3.amazonaws.com/doc/2006-03-01/'

/** A whole document of S3's namespace, of the content given. */
export function document(root: string, ...content: string[]): string {
  return `${declaration}<${root} xmlns="${namespace}">${content.join('')}</${root}>`
}

/** S3's errors are of no namespace. */
export function errorDocument(fields: Record<string, string>): string {
  return `${declaration}<Error>${elements(fields)}</Error>`
}

/** Elements with text only, in order; what is undefined is left out. */
export function elements(fields: Record<string, string | number | boolean | undefined>): string {
  const given = Object.entries(fields).filter(([, value]) => value !== undefined)
  return given.map(([name, value]) => `<${name}>${escaped(String(value))}</${name}>`).join('')
}

function escaped(text: string): string {
  const named: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }
  // a carriage return that stands there as such would be read as a line feed
  return text.replace(/[&<>"\r]/g, character => named[character] ?? '&#13;')
}

/** The root of what a client has sent: elements and text, no comments and no CDATA. */
export function parseXml(source: string): Element {
  const top: Element = { name: '', children: [], text: '' }
  const open = [top]
  let at = 0
  const text = source.replace(/^\uFEFF?\s*<\?xml[^?]*\?>/, '')
  for (const match of text.matchAll(/<(\/?)([A-Za-z][\w:.-]*)([^<>]*?)(\/?)>/g)) {
    const [whole, end, name = '', , alone] = match
    const parent = open.at(-1) as Element
    parent.text += unescaped(text.slice(at, match.index))
    at = match.index + whole.length
    if (end) {
      if (open.length === 1 || parent.name !== name) throw new S3Error('MalformedXML')
      open.pop()
      continue
    }
    const element: Element = { name, children: [], text: '' }
    parent.children.push(element)
    if (!alone) open.push(element)
  }
  const [root] = top.children
  if (open.length > 1 || !root || top.children.length > 1 || text.slice(at).trim() !== '')
    throw new S3Error('MalformedXML')
  return root
}

function unescaped(text: string): string {
  if (text.includes('<')) throw new S3Error('MalformedXML')
  const named: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }
  return text.replace(/&(#x?)?(\w+);/g, (_, number: string | undefined, name: string) => {
    if (number) return String.fromCodePoint(Number.parseInt(name, number === '#x' ? 16 : 10))
    const character = named[name]
    if (character === undefined) throw new S3Error('MalformedXML')
    return character
  })
}

export function childrenOf(element: Element | undefined, name: string): Element[] {
  return element?.children.filter(child => child.name === name) ?? []
}

/** The text of the only child of that name; undefined where there is none. */
export function textOf(element: Element | undefined, name: string): string | undefined {
  return childrenOf(element, name)[0]?.text
}
