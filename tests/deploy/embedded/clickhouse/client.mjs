// What a service in Node does with ClickHouse, through the official client. Prints one JSON
// object, which the test compares.
import { Readable } from 'node:stream'
import { createRequire } from 'node:module'

const require = createRequire(process.argv[3] + '/')
const { createClient } = require('@clickhouse/client')

const found = {}
for (const gzip of [false, true]) {
  const client = createClient({
    url: process.argv[2],
    compression: { request: gzip, response: gzip },
  })
  const table = `js_${process.pid}_${gzip}`
  const out = (found[gzip] = {})
  out.ping = (await client.ping()).success
  out.selectPing = (await client.ping({ select: true })).success
  await client.command({
    query: `CREATE TABLE ${table} (a UInt64, b String) ENGINE = MergeTree ORDER BY a`,
  })

  const rows = [{ a: '1', b: "it's \\ \n ☃" }, { a: '2', b: '' }]
  const inserted = await client.insert({ table, values: rows, format: 'JSONEachRow' })
  out.insertedRows = inserted.summary?.written_rows
  const compact = [[3, 'three']]
  await client.insert({ table, values: compact, format: 'JSONCompactEachRow' })
  async function* many() {
    for (let n = 10; n < 100010; n++) yield { a: n, b: `row ${n}` }
  }
  await client.insert({ table, values: Readable.from(many()), format: 'JSONEachRow' })

  const json = await client.query({
    query: `SELECT a, b FROM ${table} WHERE a < {top:UInt64} ORDER BY a`,
    query_params: { top: 4 },
  })
  out.json = (await json.json()).data
  const bound = await client.query({
    query: 'SELECT {s:String} AS s, {l:Array(String)} AS l, {t:DateTime64(6)} AS t',
    query_params: { s: "tab\t'q' \\ \n", l: ["a'b", '\\'], t: '2024-02-29 23:59:59.123456' },
    format: 'JSONEachRow',
  })
  out.bound = await bound.json()

  let streamed = 0n
  let seen = 0
  const stream = await client.query({ query: `SELECT a FROM ${table}`, format: 'JSONEachRow' })
  for await (const part of stream.stream()) {
    for (const row of part) {
      streamed += BigInt(row.json().a)
      seen += 1
    }
  }
  out.streamed = [seen, streamed.toString()]
  const csv = await client.query({ query: 'SELECT 1 AS a WHERE 0', format: 'CSVWithNames' })
  out.csv = await csv.text()

  try {
    await client.query({ query: 'SELECT * FROM nowhere' })
  } catch (error) {
    out.error = [error.code, error.type]
  }
  try {
    const broken = await client.query({
      query: "SELECT throwIf(number = 3000000, 'broke here') AS x FROM numbers(4000000)",
      format: 'JSONEachRow',
      clickhouse_settings: { wait_end_of_query: 0 },
    })
    for await (const _ of broken.stream());
    out.broken = 'complete'
  } catch (error) {
    out.broken = [error.code, error.message.includes('broke here')]
  }
  try {
    await client.insert({ table, values: [{ a: 'x' }], format: 'JSONEachRow' })
  } catch (error) {
    out.badInsert = error.type
  }

  const session = createClient({ url: process.argv[2], session_id: `js-${process.pid}-${gzip}` })
  await session.command({ query: 'CREATE TEMPORARY TABLE mine (a UInt8)' })
  await session.insert({ table: 'mine', values: [{ a: 7 }], format: 'JSONEachRow' })
  const mine = await session.query({ query: 'SELECT a FROM mine', format: 'JSONEachRow' })
  out.session = await mine.json()
  await session.close()

  const settings = await client.query({
    query: "SELECT getSetting('max_block_size') AS s",
    format: 'JSONEachRow',
    clickhouse_settings: { max_block_size: '77' },
  })
  out.settings = await settings.json()
  const raw = await client.exec({ query: `SELECT count() FROM ${table} FORMAT TSV` })
  let text = ''
  for await (const chunk of raw.stream) text += chunk
  out.exec = text
  await client.command({ query: `DROP TABLE ${table}` })
  await client.close()
}
console.log(JSON.stringify(found))
