/**
 * Cyrillic and Greek letters that pass for Latin ones, each with the Latin letters that may have been meant: by shape
 * first, by sound second (`У` looks like Y, but who types it on a Russian keyboard may have meant U).
 */
const lookAlikes: Readonly<Record<string, string>> = {
  А: 'A',
  В: 'BV',
  Е: 'E',
  І: 'I',
  К: 'K',
  М: 'M',
  Н: 'HN',
  О: 'O',
  Р: 'PR',
  С: 'CS',
  Т: 'T',
  У: 'YU',
  Х: 'XH',
  Ѕ: 'S',
  Ј: 'J',
  Α: 'A',
  Β: 'B',
  Ε: 'E',
  Ζ: 'Z',
  Η: 'H',
  Ι: 'I',
  Κ: 'K',
  Μ: 'M',
  Ν: 'N',
  Ο: 'O',
  Ρ: 'PR',
  Τ: 'T',
  Υ: 'YU',
  Χ: 'X',
}

/**
 * The Latin spellings that a symbol with look-alike letters may stand for; none for one whose letters are what they
 * seem to be. Names such as 币安人生USDT are real: other scripts alone are no fault.
 */
export function latinSpellings(symbol: string): string[] {
  const letters = Array.from(symbol.normalize('NFKC').toUpperCase())
  const given = Array.from(symbol)
  if (
    letters.every(
      (letter, i) => lookAlikes[letter] === undefined && letter === (given[i] ?? '').toUpperCase(),
    )
  ) {
    return []
  }
  return letters.reduce<string[]>(
    (spellings, letter) =>
      spellings
        .flatMap(spelling => Array.from(lookAlikes[letter] ?? letter).map(latin => spelling + latin))
        .slice(0, 256),
    [''],
  )
}
