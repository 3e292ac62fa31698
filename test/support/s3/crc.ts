import { crc32 } from 'node:zlib'

/** CRC-32 as zlib has it, CRC-32C and CRC-64/NVME by table, each big-endian as S3 encodes them. */
export const crcs = {
  crc32(data: Buffer): Buffer {
    return bigEndian(crc32(data))
  },

  crc32c(data: Buffer): Buffer {
    let crc = 0xffffffff
    for (const byte of data) crc = (crc >>> 8) ^ (castagnoli[(crc ^ byte) & 0xff] as number)
    return bigEndian(~crc >>> 0)
  },

  crc64nvme(data: Buffer): Buffer {
    // two halves of 32 bits, since BigInt would take seconds for a file of some size
    let high = 0xffffffff
    let low = 0xffffffff
    for (const byte of data) {
      const index = (low ^ byte) & 0xff
      low = ((low >>> 8) | (high << 24)) ^ (nvmeLow[index] as number)
      high = (high >>> 8) ^ (nvmeHigh[index] as number)
    }
    return Buffer.concat([bigEndian(~high >>> 0), bigEndian(~low >>> 0)])
  },
}

function bigEndian(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value >>> 0)
  return bytes
}

/** For a polynomial with its bits reversed. */
function table(polynomial: bigint): bigint[] {
  return Array.from({ length: 256 }, (_, index) => {
    let entry = BigInt(index)
    for (let bit = 0; bit < 8; bit++) entry = entry & 1n ? (entry >> 1n) ^ polynomial : entry >> 1n
    return entry
  })
}

const castagnoli = Uint32Array.from(table(0x82f63b78n), Number)
const nvme = table(0x9a6c9329ac4bc9b5n)
const nvmeHigh = Uint32Array.from(nvme, entry => Number(entry >> 32n))
const nvmeLow = Uint32Array.from(nvme, entry => Number(entry & 0xffffffffn))
