/** Digits behind the point of a decimal string. */
export function decimalsOf(text: string): number {
  const point = text.indexOf('.')
  return point === -1 ? 0 : text.length - point - 1
}

/** The decimal string of `units / 10 ** decimals`, exact for safe integers. */
export function formatUnits(units: number | bigint, decimals: number): string {
  const digits = String(units)
  if (decimals === 0) return digits
  const padded = digits.padStart(decimals + 1, '0')
  return `${padded.slice(0, -decimals)}.${padded.slice(-decimals)}`
}

/** Exact sum of decimal strings that are not negative, with as many decimals as the longest has. */
export function sumDecimals(texts: string[]): string {
  const decimals = Math.max(0, ...texts.map(decimalsOf))
  let sum = 0n
  for (const text of texts) {
    sum += BigInt(text.replace('.', '') + '0'.repeat(decimals - decimalsOf(text)))
  }
  return formatUnits(sum, decimals)
}

/** `share` (0 to 1) of a decimal string, cut to the decimals that it has. */
export function scaleDecimal(text: string, share: number): string {
  const decimals = decimalsOf(text)
  const unit = 10 ** decimals
  return (Math.floor(Number(text) * share * unit) / unit).toFixed(decimals)
}
