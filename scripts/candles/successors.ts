/**
 * Coins that go on under another name, as their projects announced it and Binance carried it out. A successor is only
 * suggested, and only where the exchange trades it: the contract's price may differ by a conversion rate.
 */
export const successors: Readonly<Record<string, string>> = {
  AGIX: 'FET',
  AMB: 'AIRDAO',
  BTT: 'BTTC',
  COCOS: 'COMBO',
  DAR: 'D',
  EOS: 'A',
  FTM: 'S',
  GAL: 'G',
  KLAY: 'KAIA',
  LUNA: 'LUNA2',
  MATIC: 'POL',
  MKR: 'SKY',
  NANO: 'XNO',
  OCEAN: 'FET',
  RNDER: 'RENDER',
  RNDR: 'RENDER',
  STRAX: 'XSTRAX',
  TOMO: 'VIC',
}
