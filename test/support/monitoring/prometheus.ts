/** A series as Prometheus' HTTP API has it, with its value at the moment. */
export type Answer = { metric: Record<string, string>; value: [at: number, value: string] }

/** What Prometheus says to a query now. */
export async function query(url: string, expr: string): Promise<Answer[]> {
  const { result } = await ask<{ result: Answer[] }>(url, 'query', { query: expr })
  return result
}

/** The values of a label, of all series or of those of a metric. */
export function labelValues(url: string, label: string, metric?: string): Promise<string[]> {
  return ask(url, `label/${label}/values`, metric === undefined ? {} : { 'match[]': metric })
}

/** The expressions of all rules that are loaded. */
export async function ruleExpressions(url: string): Promise<string[]> {
  const { groups } = await ask<{ groups: { rules: { query: string }[] }[] }>(url, 'rules', {})
  return groups.flatMap(({ rules }) => rules.map(rule => rule.query))
}

async function ask<T>(url: string, path: string, parameters: Record<string, string>): Promise<T> {
  const response = await fetch(`${url}/api/v1/${path}?${new URLSearchParams(parameters).toString()}`)
  const { status, data, error } = (await response.json()) as { status: string; data: T; error?: string }
  if (status !== 'success') throw new Error(`Prometheus refuses ${JSON.stringify(parameters)}: ${error}`)
  return data
}
