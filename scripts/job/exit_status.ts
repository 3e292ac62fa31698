/** What a command's exit status says. The one home of these numbers: monitoring and the cron wrapper rely on them. */
export const exitStatus = {
  done: 0,
  failed: 1,
  partly: 2,
  /** All of it was done, and what it found is not as it was promised. */
  missed: 3,
  usage: 64,
  locked: 75,
  configuration: 78,
  deadline: 124,
  interrupted: 130,
} as const

export const exitStatusHelp =
  '0 done · 1 failed · 2 partly done, the rest is committed · 64 usage · 75 another run holds the lock · ' +
  '78 configuration · 124 deadline passed · 130 interrupted'
