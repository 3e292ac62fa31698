/** What happens on a host, told as it happens; rendered for people by `output.ts`, or as lines of JSON. */
export type Event =
  | {
      event: 'task'
      host: string
      task: string
      status: TaskStatus
      ok: number
      changes: string[]
      seconds: number
    }
  | { event: 'diff'; host: string; path: string; diff: string }
  | { event: 'said'; host: string; title: string; status: number; output: string }
  | { event: 'doubt'; host: string; text: string }
  | { event: 'progress'; host: string; text: string }
  /** For the log only: what was asked of the host, and what it answered. */
  | { event: 'request'; host: string; script: string; status: number; output: string; seconds: number }
  | { event: 'failure'; host: string; task: string; message: string; hint: string | undefined }

export type TaskStatus = 'ok' | 'changed' | 'skipped' | 'failed'

export type Tell = (event: Event) => void

/** What a host came to. */
export type HostResult = {
  host: string
  status: 'done' | 'pending' | 'failed' | 'unreachable' | 'locked' | 'interrupted'
  ok: number
  changed: number
  unreachable: number
  failed: number
  skipped: number
  seconds: number
  release: string | undefined
}
