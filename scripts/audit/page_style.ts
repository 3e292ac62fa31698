/** How the page looks: on a desk, on a phone, in the dark, on paper. All texts have a contrast of 4.5 : 1 at least. */
export const pageStyle = `
:root {
  color-scheme: light dark;
  --surface: #ffffff; --raised: #f6f8fa; --ink: #1b1f24; --muted: #57606a; --line: #d8dee4; --accent: #0969da;
  --good: #116329; --good-area: #dafbe1; --bad: #b3151f; --bad-area: #ffebe9; --doubt: #6f5200; --doubt-area: #fff3c4;
  --cell-full: #4ac26b; --cell-part: #e0b53a; --cell-part-ink: #1b1f24; --cell-none: #cf222e; --cell-none-ink: #ffffff; --cell-blank: #eaeef2;
}
@media (prefers-color-scheme: dark) {
  :root {
    --surface: #0d1117; --raised: #161b22; --ink: #e6edf3; --muted: #9da7b3; --line: #30363d; --accent: #58a6ff;
    --good: #56d364; --good-area: #0f2a18; --bad: #ff8a82; --bad-area: #3a1518; --doubt: #e3b341; --doubt-area: #2e2610;
    --cell-full: #238636; --cell-part: #d29922; --cell-blank: #21262d;
  }
}
@media print {
  :root {
    color-scheme: light;
    --surface: #ffffff; --raised: #ffffff; --ink: #000000; --muted: #444444; --line: #bbbbbb; --accent: #0969da;
    --good: #116329; --good-area: #ffffff; --bad: #b3151f; --bad-area: #ffebe9; --doubt: #6f5200; --doubt-area: #ffffff;
    --cell-full: #4ac26b; --cell-part: #e0b53a; --cell-blank: #eaeef2;
  }
}
* { box-sizing: border-box }
body { margin: 0; background: var(--surface); color: var(--ink); font: 16px/1.5 system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif }
main { max-width: 64rem; margin: 0 auto; padding: 2rem 1rem 4rem }
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0 }
h2 { font-size: 1.25rem; line-height: 1.3; margin: 3rem 0 .25rem }
p { margin: .25rem 0 .75rem }
.muted { color: var(--muted) }
.verdict { margin: 1.5rem 0; padding: 1rem 1.25rem; border-radius: .75rem; border: 1px solid currentColor; font-size: 1.25rem; font-weight: 600 }
.met { color: var(--good); background: var(--good-area) }
.missed { color: var(--bad); background: var(--bad-area) }
.unknown { color: var(--doubt); background: var(--doubt-area) }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: .75rem; padding: 0; margin: 0; list-style: none }
.cards li { border: 1px solid var(--line); border-radius: .75rem; padding: .9rem 1rem; background: var(--raised); display: flex; flex-direction: column; gap: .25rem }
.cards h2 { font-size: .95rem; font-weight: 600; margin: 0 }
.cards .figure { font-size: 1.6rem; font-weight: 650; line-height: 1.2; font-variant-numeric: tabular-nums }
.cards p { margin: 0; font-size: .85rem }
.badge { align-self: flex-start; border-radius: 1rem; padding: .05rem .6rem; font-size: .8rem; font-weight: 600 }
figure { margin: 0 }
.scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: .75rem; padding: .5rem; background: var(--surface) }
.scroll svg { display: block; width: 100%; height: auto }
.legend { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; padding: 0; margin: .5rem 0; list-style: none; font-size: .85rem; color: var(--muted) }
.legend i { print-color-adjust: exact; display: inline-block; width: .85rem; height: .85rem; border-radius: .2rem; margin-right: .4rem; vertical-align: -.1rem }
details { margin: .5rem 0 }
summary { cursor: pointer; color: var(--accent); font-size: .9rem }
table { border-collapse: collapse; width: 100%; font-size: .85rem; font-variant-numeric: tabular-nums }
th, td { text-align: left; vertical-align: top; padding: .35rem .75rem .35rem 0; border-bottom: 1px solid var(--line); overflow-wrap: anywhere }
th { font-weight: 600; overflow-wrap: normal }
td:nth-child(-n+3) { white-space: nowrap }
td:last-child { overflow-wrap: break-word }
figure + table { margin-top: .75rem }
table.grid td, table.grid th { padding-right: .5rem; white-space: nowrap }
footer { margin-top: 3rem; border-top: 1px solid var(--line); padding-top: 1rem; font-size: .85rem }
@media (max-width: 40rem) {
  main { padding: 1.25rem .85rem 3rem }
  h1 { font-size: 1.4rem }
  .verdict { font-size: 1.05rem }
  .cards { grid-template-columns: 1fr }
  table.stack thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%) }
  table.stack tr { display: block; border-bottom: 1px solid var(--line); padding: .5rem 0 }
  table.stack td { display: block; border: 0; padding: .1rem 0; white-space: normal }
  table.stack td:empty { display: none }
  table.stack td::before { content: attr(data-label); color: var(--muted); margin-right: .5rem }
}
@media print {
  body { font-size: 10pt }
  main { max-width: none; padding: 0 }
  details { display: none }
  .scroll { overflow: visible; border: 0; padding: 0 }
  .scroll svg { min-width: 0 !important; max-height: 24cm }
  .cards { grid-template-columns: repeat(3, 1fr) }
  figure, .cards li, tr, .verdict { break-inside: avoid }
  h2 { break-after: avoid }
}
`
